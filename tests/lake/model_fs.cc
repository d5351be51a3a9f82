#include "tests/lake/model_fs.h"

#include <algorithm>
#include <cerrno>

namespace tarn::lake {
namespace {

std::shared_ptr<const std::string> Share(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

}  // namespace

ModelFs::ModelFs() {
  Node& root = nodes_[kRootIno];
  root.mode = 0040755;
  root.nlink = 2;
  root.parent = kRootIno;
}

ModelFs::Node* ModelFs::Find(Ino ino) {
  const auto found = nodes_.find(ino);
  return found == nodes_.end() ? nullptr : &found->second;
}

int ModelFs::LiveDir(Ino ino, Node** dir) {
  *dir = Find(ino);
  if (*dir == nullptr) return ENOENT;
  if (!(*dir)->is_dir()) return ENOTDIR;
  return (*dir)->nlink == 0 ? ENOENT : 0;
}

int ModelFs::Regular(Ino ino, Node** node) {
  *node = Find(ino);
  if (*node == nullptr) return ENOENT;
  if ((*node)->is_dir()) return EISDIR;
  return (*node)->is_regular() ? 0 : EINVAL;
}

int ModelFs::Add(Ino parent, const std::string& name, uint32_t mode, std::string_view target, Ino ino) {
  Node* dir;
  if (const int error = LiveDir(parent, &dir)) return error;
  if (dir->entries.contains(name)) return EEXIST;
  dir->entries[name] = ino;
  Node& node = nodes_[ino];
  node.mode = mode;
  node.nlink = node.is_dir() ? 2 : 1;
  if (node.is_dir()) {
    node.parent = parent;
    ++Find(parent)->nlink;
  }
  node.content = Share(std::string(target));
  return 0;
}

int ModelFs::Link(Ino ino, Ino parent, const std::string& name) {
  Node* dir;
  if (const int error = LiveDir(parent, &dir)) return error;
  Node* node = Find(ino);
  if (node == nullptr) return ENOENT;
  if (node->is_dir()) return EPERM;
  if (node->nlink == 0) return ENOENT;
  if (dir->entries.contains(name)) return EEXIST;
  dir->entries[name] = ino;
  ++node->nlink;
  return 0;
}

void ModelFs::Drop(Ino ino) {
  Node* node = Find(ino);
  if (node->is_dir()) {
    node->nlink = 0;
    node->parent = 0;
  } else {
    --node->nlink;
  }
  if (node->nlink == 0 && node->opens == 0) nodes_.erase(ino);
}

void ModelFs::DropAll(Ino ino) {
  Node* node = Find(ino);
  const auto entries = node->entries;
  node->entries.clear();
  for (const auto& [name, child] : entries) DropAll(child);
  Drop(ino);
}

int ModelFs::Remove(Ino parent, const std::string& name, bool directory) {
  Node* dir;
  if (const int error = LiveDir(parent, &dir)) return error;
  const auto entry = dir->entries.find(name);
  if (entry == dir->entries.end()) return ENOENT;
  const Ino ino = entry->second;
  Node* node = Find(ino);
  if (directory && !node->is_dir()) return ENOTDIR;
  if (!directory && node->is_dir()) return EISDIR;
  if (directory && !node->entries.empty()) return ENOTEMPTY;
  dir->entries.erase(entry);
  if (directory) --dir->nlink;
  Drop(ino);
  return 0;
}

int ModelFs::RemoveTree(Ino parent, const std::string& name) {
  Node* dir;
  if (const int error = LiveDir(parent, &dir)) return error;
  const auto entry = dir->entries.find(name);
  if (entry == dir->entries.end()) return ENOENT;
  const Ino ino = entry->second;
  dir->entries.erase(entry);
  if (Find(ino)->is_dir()) --dir->nlink;
  DropAll(ino);
  return 0;
}

bool ModelFs::Below(Ino ino, Ino ancestor) {
  for (;;) {
    if (ino == ancestor) return true;
    const Node* node = Find(ino);
    if (node->parent == ino || node->parent == 0) return false;
    ino = node->parent;
  }
}

int ModelFs::Rename(Ino from, const std::string& name, Ino to, const std::string& new_name, RenameMode mode) {
  Node *source_dir, *target_dir;
  if (const int error = LiveDir(from, &source_dir)) return error;
  if (const int error = LiveDir(to, &target_dir)) return error;
  const auto source = source_dir->entries.find(name);
  if (source == source_dir->entries.end()) return ENOENT;
  const auto target = target_dir->entries.find(new_name);
  const bool replaces = target != target_dir->entries.end();
  if (replaces && mode == RenameMode::kNoReplace) return EEXIST;
  if (!replaces && mode == RenameMode::kExchange) return ENOENT;
  const Ino moved = source->second, old = replaces ? target->second : 0;
  if (moved == old) return 0;
  Node* const moved_node = Find(moved);
  Node* const old_node = replaces ? Find(old) : nullptr;
  if (from != to && moved_node->is_dir() && Below(to, moved)) return EINVAL;
  if (mode == RenameMode::kExchange) {
    if (from != to && old_node->is_dir() && Below(from, old)) return EINVAL;
    std::swap(source->second, target->second);
    if (moved_node->is_dir()) {
      moved_node->parent = to;
      --source_dir->nlink, ++target_dir->nlink;
    }
    if (old_node->is_dir()) {
      old_node->parent = from;
      ++source_dir->nlink, --target_dir->nlink;
    }
    return 0;
  }
  if (replaces) {
    if (moved_node->is_dir() && !old_node->is_dir()) return ENOTDIR;
    if (!moved_node->is_dir() && old_node->is_dir()) return EISDIR;
    if (!old_node->entries.empty()) return ENOTEMPTY;
    if (old_node->is_dir()) --target_dir->nlink;
    Drop(old);
  }
  source_dir->entries.erase(source);
  target_dir->entries[new_name] = moved;
  if (moved_node->is_dir()) {
    moved_node->parent = to;
    --source_dir->nlink, ++target_dir->nlink;
  }
  return 0;
}

int ModelFs::Write(Ino ino, uint64_t offset, std::string_view bytes) {
  Node* node;
  if (const int error = Regular(ino, &node)) return error;
  if (bytes.empty()) return 0;
  std::string content = *node->content;
  content.resize(std::max<size_t>(content.size(), offset + bytes.size()));
  content.replace(offset, bytes.size(), bytes);
  node->content = Share(std::move(content));
  return 0;
}

int ModelFs::Truncate(Ino ino, uint64_t size) {
  Node* node;
  if (const int error = Regular(ino, &node)) return error;
  std::string content = *node->content;
  content.resize(size);
  node->content = Share(std::move(content));
  return 0;
}

int ModelFs::Punch(Ino ino, uint64_t offset, uint64_t length) {
  Node* node;
  if (const int error = Regular(ino, &node)) return error;
  std::string content = *node->content;
  for (uint64_t at = offset; at < std::min<uint64_t>(offset + length, content.size()); ++at) content[at] = '\0';
  node->content = Share(std::move(content));
  return 0;
}

int ModelFs::SetXattr(Ino ino, const std::string& name, const std::string& value, bool create, bool replace) {
  Node* node = Find(ino);
  if (node == nullptr) return ENOENT;
  if (create && node->xattrs.contains(name)) return EEXIST;
  if (replace && !node->xattrs.contains(name)) return ENODATA;
  node->xattrs[name] = value;
  return 0;
}

int ModelFs::RemoveXattr(Ino ino, const std::string& name) {
  Node* node = Find(ino);
  if (node == nullptr) return ENOENT;
  return node->xattrs.erase(name) == 1 ? 0 : ENODATA;
}

int ModelFs::Open(Ino ino) {
  Node* node = Find(ino);
  if (node == nullptr) return ENOENT;
  ++node->opens;
  return 0;
}

void ModelFs::Release(Ino ino) {
  Node* node = Find(ino);
  if (--node->opens == 0 && node->nlink == 0) nodes_.erase(ino);
}

void ModelFs::ForgetOpens() {
  std::erase_if(nodes_, [](const auto& item) { return item.second.nlink == 0; });
  for (auto& [ino, node] : nodes_) node.opens = 0;
}

std::string ModelFs::Difference(View& view) const {
  std::string difference = DifferenceAt(view, kRootIno, "/");
  for (const auto& [ino, node] : nodes_) {
    if (!difference.empty()) break;
    if (node.nlink == 0) difference = DifferenceAt(view, ino, "orphan " + std::to_string(ino));
  }
  return difference;
}

std::string ModelFs::DifferenceAt(View& view, Ino ino, const std::string& path) const {
  const auto told = [&](const std::string& what) { return path + ": " + what; };
  const Node& node = nodes_.at(ino);
  const auto attr = view.GetAttr(ino);
  if (!attr.ok()) return told(attr.status().ToString());
  if (attr->mode != node.mode) return told("mode differs");
  if (attr->nlink != node.nlink) {
    return told("nlink is " + std::to_string(attr->nlink) + ", wanted " + std::to_string(node.nlink));
  }
  const uint64_t size = node.is_dir() ? node.entries.size() : node.content->size();
  if (attr->size != size) return told("size is " + std::to_string(attr->size) + ", wanted " + std::to_string(size));
  const auto names = view.ListXattr(ino);
  if (!names.ok()) return told(names.status().ToString());
  if (names->size() != node.xattrs.size()) return told("number of attributes differs");
  for (const auto& [name, value] : node.xattrs) {
    const auto got = view.GetXattr(ino, name);
    if (!got.ok() || *got != value) return told("attribute " + name + " differs");
  }
  if (node.is_regular()) {
    std::string bytes(size + 1, '?');
    const auto got = view.Read(ino, 0, bytes);
    if (!got.ok()) return told(got.status().ToString());
    bytes.resize(*got);
    if (bytes != *node.content) return told("content differs");
  } else if (!node.is_dir()) {
    const auto target = view.ReadLink(ino);
    if (!target.ok() || *target != *node.content) return told("target differs");
  } else {
    const auto entries = view.ReadDir(ino, {}, SIZE_MAX);
    if (!entries.ok()) return told(entries.status().ToString());
    if (entries->size() != node.entries.size()) return told("number of entries differs");
    auto wanted = node.entries.begin();
    for (const DirEntry& entry : *entries) {
      if (entry.name != wanted->first || entry.ino != wanted->second) return told("entry " + entry.name + " differs");
      const std::string below = DifferenceAt(view, entry.ino, path + entry.name + "/");
      if (!below.empty()) return below;
      ++wanted;
    }
  }
  return {};
}

}  // namespace tarn::lake
