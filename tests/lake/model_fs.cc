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
  dir->mtime.reset();
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
  dir->mtime.reset();
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
  dir->mtime.reset();
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
  dir->mtime.reset();
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
  return Move(from, name, to, new_name, mode, false);
}

int ModelFs::Publish(Ino stage, const std::string& name, Ino parent, const std::string& new_name, RenameMode mode) {
  Node* root = Find(stage);
  if (root == nullptr || !root->is_stage(stage)) return ENOENT;
  if (const int error = Move(stage, name, parent, new_name, mode, true)) return error;
  if (root->entries.empty()) DropStage(stage);
  return 0;
}

int ModelFs::Move(Ino from, const std::string& name, Ino to, const std::string& new_name, RenameMode mode,
                  bool trees) {
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
    source_dir->mtime.reset(), target_dir->mtime.reset();
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
    if (!trees) {
      if (moved_node->is_dir() && !old_node->is_dir()) return ENOTDIR;
      if (!moved_node->is_dir() && old_node->is_dir()) return EISDIR;
      if (!old_node->entries.empty()) return ENOTEMPTY;
    }
    if (old_node->is_dir()) --target_dir->nlink;
    DropAll(old);
  }
  source_dir->mtime.reset(), target_dir->mtime.reset();
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
  node->mtime.reset();
  node->content = Share(std::move(content));
  return 0;
}

int ModelFs::Truncate(Ino ino, uint64_t size) {
  Node* node;
  if (const int error = Regular(ino, &node)) return error;
  std::string content = *node->content;
  content.resize(size);
  node->mtime.reset();
  node->content = Share(std::move(content));
  return 0;
}

int ModelFs::Punch(Ino ino, uint64_t offset, uint64_t length) {
  Node* node;
  if (const int error = Regular(ino, &node)) return error;
  if (length == 0 || offset >= node->content->size()) return 0;
  std::string content = *node->content;
  const size_t count = std::min<uint64_t>(length, content.size() - offset);
  content.replace(offset, count, count, '\0');
  node->mtime.reset();
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

int ModelFs::SetAttr(Ino ino, const AttrChange& change) {
  Node* node = Find(ino);
  if (node == nullptr) return ENOENT;
  if (change.mode) node->mode = (node->mode & 0170000) | (*change.mode & 07777);
  if (change.uid) node->uid = *change.uid;
  if (change.gid) node->gid = *change.gid;
  if (change.atime_ns) node->atime = change.atime_ns;
  if (change.mtime_ns) node->mtime = change.mtime_ns;
  return 0;
}

void ModelFs::Store(Ino ino, Content content, std::optional<int64_t> mtime) {
  Node* node = Find(ino);
  if (node == nullptr) return;
  node->content = std::move(content);
  node->mtime = mtime;
}

void ModelFs::AddStage(Ino ino, Owner owner) {
  Node& node = nodes_[ino];
  node.mode = 0040700;
  node.nlink = 2;
  node.uid = owner.uid;
  node.gid = owner.gid;
  node.parent = ino;
}

void ModelFs::DropStage(Ino stage) {
  const Node* node = Find(stage);
  if (node != nullptr && node->is_stage(stage)) DropAll(stage);
}

void ModelFs::DropStages() {
  std::vector<Ino> stages;
  for (const auto& [ino, node] : nodes_) {
    if (node.is_stage(ino)) stages.push_back(ino);
  }
  for (const Ino ino : stages) DropStage(ino);
}

void ModelFs::LowerLinks(const ModelFs& other) {
  for (auto& [ino, node] : nodes_) {
    const auto counted = other.nodes_.find(ino);
    if (!node.is_dir() && counted != other.nodes_.end()) node.nlink = std::min(node.nlink, counted->second.nlink);
  }
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

std::vector<Ino> ModelFs::Rootless() const {
  std::vector<Ino> rootless;
  for (const auto& [ino, node] : nodes_) {
    if (node.nlink == 0 || node.is_stage(ino)) rootless.push_back(ino);
  }
  return rootless;
}

ModelFs ModelFs::Load(View& view, const std::vector<Ino>& more, std::string* why) {
  ModelFs found;
  why->clear();
  found.LoadFrom(view, kRootIno, "/", why);
  for (const Ino ino : more) {
    const auto attr = view.GetAttr(ino);
    if (!attr.ok() && attr.status().code() == Code::kNotFound) continue;  // the comparison says that it is missing
    if (!found.nodes_.contains(ino)) found.LoadFrom(view, ino, "nameless " + std::to_string(ino), why);
  }
  return found;
}

void ModelFs::LoadFrom(View& view, Ino ino, const std::string& path, std::string* why) {
  const auto failed = [&](const Status& status) {
    if (!status.ok() && why->empty()) *why = path + ": " + status.ToString();
    return !why->empty();
  };
  const auto attr = view.GetAttr(ino);
  if (failed(attr.status())) return;
  Node& node = nodes_[ino];
  node.mode = attr->mode;
  node.nlink = attr->nlink;
  node.uid = attr->uid;
  node.gid = attr->gid;
  node.atime = attr->atime_ns;
  node.mtime = attr->mtime_ns;
  const auto names = view.ListXattr(ino);
  if (failed(names.status())) return;
  for (const std::string& name : *names) {
    const auto value = view.GetXattr(ino, name);
    if (failed(value.status())) return;
    node.xattrs[name] = *value;
  }
  uint64_t size = attr->size;
  if (node.is_regular()) {
    std::string bytes(size + 1, '?');
    const auto got = view.Read(ino, 0, bytes);
    if (failed(got.status())) return;
    bytes.resize(*got);
    node.content = Share(std::move(bytes));
  } else if (!node.is_dir()) {
    const bool link = (node.mode & 0170000) == 0120000;
    auto target = link ? view.ReadLink(ino) : Result<std::string>(std::string());
    if (failed(target.status())) return;
    node.content = Share(std::move(*target));
  } else {
    const auto entries = view.ReadDir(ino, {}, SIZE_MAX);
    if (failed(entries.status())) return;
    const auto parent = view.ParentOf(ino);
    if (node.nlink > 0 && failed(parent.status())) return;
    node.parent = parent.ok() ? *parent : 0;
    for (const DirEntry& entry : *entries) node.entries[entry.name] = entry.ino;
    size -= entries->size();
    for (const DirEntry& entry : *entries) {
      if (!nodes_.contains(entry.ino)) LoadFrom(view, entry.ino, path + entry.name + "/", why);
      if (!why->empty()) return;
    }
  }
  if (!node.is_dir()) size -= node.content->size();
  if (size != 0) *why = path + ": size is " + std::to_string(attr->size) + ", which is not what is there";
}

std::string ModelFs::Difference(View& view) const {
  std::string why;
  const ModelFs found = Load(view, Rootless(), &why);
  return why.empty() ? Difference(found, {}) : why;
}

std::string ModelFs::Difference(const ModelFs& found, const Versions& versions) const {
  for (const auto& [ino, node] : found.nodes_) {
    if (!nodes_.contains(ino)) return "inode " + std::to_string(ino) + " is there, and should not be";
  }
  std::string difference = DifferenceAt(found, versions, kRootIno, "/");
  for (const Ino ino : Rootless()) {
    if (difference.empty()) difference = DifferenceAt(found, versions, ino, "nameless " + std::to_string(ino));
  }
  return difference;
}

std::string ModelFs::DifferenceAt(const ModelFs& found, const Versions& versions, Ino ino,
                                  const std::string& path) const {
  const auto told = [&](const std::string& what) { return path + ": " + what; };
  const auto number = [](uint64_t is, uint64_t wanted) {
    return " is " + std::to_string(is) + ", wanted " + std::to_string(wanted);
  };
  const auto there = found.nodes_.find(ino);
  if (there == found.nodes_.end()) return told("inode " + std::to_string(ino) + " is not there");
  const Node &node = nodes_.at(ino), &is = there->second;
  if (is.mode != node.mode) return told("mode" + number(is.mode, node.mode));
  if (is.nlink != node.nlink) return told("nlink" + number(is.nlink, node.nlink));
  if (is.uid != node.uid || is.gid != node.gid) return told("owner" + number(is.uid, node.uid));
  if (node.atime && is.atime != node.atime) return told("atime differs");
  if (is.xattrs != node.xattrs) return told("attributes differ");
  if (node.is_dir()) {
    if (is.parent != node.parent) return told("parent" + number(is.parent, node.parent));
    if (is.entries != node.entries) return told("entries differ");
    if (node.mtime && is.mtime != node.mtime) return told("mtime differs");
    for (const auto& [name, child] : node.entries) {
      std::string below = DifferenceAt(found, versions, child, path + name + "/");
      if (!below.empty()) return below;
    }
    return {};
  }
  const auto others = versions.find(ino);
  if (others == versions.end() && node.mtime && is.mtime != node.mtime) return told("mtime differs");
  if (*is.content == *node.content) return {};
  if (others != versions.end()) {
    for (const Content& other : others->second) {
      if (*is.content == *other) return {};
    }
  }
  if (is.content->size() != node.content->size())
    return told("size" + number(is.content->size(), node.content->size()));
  const auto at = std::mismatch(is.content->begin(), is.content->end(), node.content->begin()).first;
  return told("content differs at byte " + std::to_string(at - is.content->begin()));
}

}  // namespace tarn::lake
