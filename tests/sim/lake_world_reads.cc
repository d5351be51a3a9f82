// The calls of LakeWorld that change nothing. An error is excused only by a fault in this very call: reads go on
// when the log has failed.

#include <algorithm>
#include <cerrno>

#include "tests/sim/lake_world.h"

namespace tarn::test {

bool LakeWorld::ExpectRead(const Status& status, int wanted, const char* what) {
  if (!status.ok() && Excused(status) && !storage_->stopped() && FaultCount() == faults_at_call_) {
    Fail(std::string(what) + " fails without a fault: " + status.ToString());
  }
  return Expect(status, wanted, what);
}

const lake::ModelFs::Node* LakeWorld::Node(Ino ino) const {
  const auto found = model_.head.nodes().find(ino);
  return found == model_.head.nodes().end() ? nullptr : &found->second;
}

bool LakeWorld::SameAttr(const lake::Attr& attr) const {
  const ModelFs::Node* const node = Node(attr.ino);
  if (node == nullptr) return false;
  const uint64_t size = node->is_dir() ? node->entries.size() : node->content->size();
  return attr.mode == node->mode && attr.nlink == node->nlink && attr.uid == node->uid && attr.gid == node->gid &&
         attr.size == size && (!node->atime || *node->atime == attr.atime_ns) &&
         (!node->mtime || *node->mtime == attr.mtime_ns);
}

void LakeWorld::DoLookup() {
  const Ino dir = AnyDir();
  const std::string name = AnyEntry(dir);
  const auto found = lake_->Head().Lookup(dir, name);
  const ModelFs::Node* const node = Node(dir);
  const bool is_dir = node != nullptr && node->is_dir();
  const auto entry = is_dir ? node->entries.find(name) : decltype(node->entries.find(name)){};
  const bool there = is_dir && entry != node->entries.end();
  if (!ExpectRead(found, there ? 0 : node != nullptr && !is_dir ? ENOTDIR : ENOENT, "lookup") || !there) return;
  ExpectSame(found->ino == entry->second && SameAttr(*found), "lookup", name);
}

void LakeWorld::DoGetAttr() {
  const Ino ino = AnyInode();
  const auto attr = lake_->Head().GetAttr(ino);
  if (!ExpectRead(attr, Node(ino) == nullptr ? ENOENT : 0, "getattr") || !attr.ok()) return;
  ExpectSame(SameAttr(*attr), "getattr", "inode " + std::to_string(ino));
}

void LakeWorld::DoReadDir() {
  const Ino dir = AnyDir();
  const std::string after = random_->OneIn(2) ? "" : AnyName();
  const size_t limit = 1 + random_->Below(5);
  const auto entries = lake_->Head().ReadDir(dir, after, limit);
  const ModelFs::Node* const node = Node(dir);
  const int wanted = node == nullptr ? ENOENT : node->is_dir() ? 0 : ENOTDIR;
  if (!ExpectRead(entries, wanted, "readdir") || wanted != 0) return;
  auto expected = after.empty() ? node->entries.begin() : node->entries.upper_bound(after);
  for (const lake::DirEntry& entry : *entries) {
    if (expected == node->entries.end() || entry.name != expected->first || entry.ino != expected->second) {
      return ExpectSame(false, "readdir", entry.name);
    }
    ++expected;
  }
  ExpectSame(entries->size() == limit || expected == node->entries.end(), "readdir", "it ends early");
}

void LakeWorld::DoRead() {
  const Ino ino = AnyFile();
  const uint64_t offset = AnyOffset();
  std::string out(random_->OneIn(8) ? random_->Below(300'000) : random_->Below(4000), '?');
  const auto got = lake_->Head().Read(ino, offset, out);
  const ModelFs::Node* const node = Node(ino);
  const int wanted = node == nullptr ? ENOENT : node->is_dir() ? EISDIR : node->is_regular() ? 0 : EINVAL;
  if (!ExpectRead(got, wanted, "read") || wanted != 0) return;
  const std::string_view content = *node->content;
  const std::string_view expected = content.substr(std::min<uint64_t>(offset, content.size()), out.size());
  ExpectSame(std::string_view(out).substr(0, *got) == expected, "read",
             "inode " + std::to_string(ino) + " offset " + std::to_string(offset));
}

// What is a hole is the lake's business, but there is no data in one.
void LakeWorld::DoSeek() {
  const Ino ino = AnyFile();
  const uint64_t offset = AnyOffset();
  const ModelFs::Node* const node = Node(ino);
  const bool regular = node != nullptr && node->is_regular();
  const bool behind = regular && offset >= node->content->size();
  const auto data = lake_->Head().SeekData(ino, offset);
  ++tally_.operations;
  if (!data.ok() && Excused(data.status())) {  // it flushes first, and that writes
    model_.AddVersion(ino);
    Acknowledge();
    return Resolve("seek data", {Now()});
  }
  model_.AddFlush(ino);
  Acknowledge();
  const bool none = data.status().os_error() == ENXIO;
  if (!regular || behind || (!data.ok() && !none)) {
    Expect(data, node == nullptr ? ENOENT : node->is_dir() ? EISDIR : regular ? ENXIO : EINVAL, "seek data");
    return;
  }
  const uint64_t to = none ? node->content->size() : *data;
  const size_t first = node->content->find_first_not_of('\0', offset);
  ExpectSame(to >= offset && to <= std::min(first, node->content->size()), "seek data", std::to_string(to));
}

void LakeWorld::DoReadLink() {
  const Ino ino = AnyInode();
  const auto target = lake_->Head().ReadLink(ino);
  const ModelFs::Node* const node = Node(ino);
  const bool link = node != nullptr && (node->mode & 0170000) == 0120000;
  if (!ExpectRead(target, node == nullptr ? ENOENT : link ? 0 : EINVAL, "readlink") || !link) return;
  ExpectSame(*target == *node->content, "readlink", *target);
}

void LakeWorld::DoGetXattr() {
  const Ino ino = AnyInode();
  const ModelFs::Node* const node = Node(ino);
  if (random_->OneIn(2)) {
    const auto names = lake_->Head().ListXattr(ino);
    if (!ExpectRead(names, node == nullptr ? ENOENT : 0, "listxattr") || node == nullptr) return;
    bool same = names->size() == node->xattrs.size();
    for (const std::string& name : *names) same = same && node->xattrs.contains(name);
    return ExpectSame(same, "listxattr", "inode " + std::to_string(ino));
  }
  const std::string name = "user." + AnyName();
  const auto value = lake_->Head().GetXattr(ino, name);
  const bool has = node != nullptr && node->xattrs.contains(name);
  if (!ExpectRead(value, node == nullptr ? ENOENT : has ? 0 : ENODATA, "getxattr") || !has) return;
  ExpectSame(*value == node->xattrs.at(name), "getxattr", name);
}

Result<std::vector<std::string>> LakeWorld::Commands() {
  TARN_ASSIGN(const auto records, lake_->ReadLog(0, SIZE_MAX));
  std::vector<std::string> commands(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].id != records.size() - i) return Status::Corruption("the log's ids have a gap");
    commands[records.size() - 1 - i] = records[i].command;
  }
  return commands;
}

void LakeWorld::DoReadLog() {
  const auto commands = Commands();
  if (ExpectRead(commands, 0, "read log")) ExpectSame(*commands == model_.log, "read log");
}

void LakeWorld::DoUsage() {
  const auto usage = lake_->Head().GetUsage();
  if (!ExpectRead(usage, 0, "usage") || trash_left_) return;
  ExpectSame(usage->inodes == model_.head.nodes().size(), "usage", std::to_string(usage->inodes) + " inodes");
}

void LakeWorld::DoReadSnapshot() {
  for (const auto& [name, state] : snapshots_) {
    if (!state.certain || state.dropped || random_->OneIn(2)) continue;
    const auto view = lake_->At(name);
    if (!ExpectRead(view, 0, "open snapshot")) return;
    const std::string why = state.fs.Difference(**view);
    tally_.operations += state.fs.nodes().size();
    if (FaultCount() == faults_at_call_ && !storage_->stopped()) ExpectSame(why.empty(), "snapshot", why);
  }
}

void LakeWorld::DoCompare() {
  const std::string why = model_.head.Difference(lake_->Head());
  tally_.operations += model_.head.nodes().size();
  if (FaultCount() == faults_at_call_ && !storage_->stopped()) ExpectSame(why.empty(), "the tree", why);
}

void LakeWorld::DoCheck() { CheckAll(random_->OneIn(4)); }

std::vector<lake::Ino> LakeWorld::Stages() const {
  std::vector<Ino> stages;
  for (const auto& [ino, node] : model_.head.nodes()) {
    if (node.is_stage(ino)) stages.push_back(ino);
  }
  return stages;
}

// Another process reads what is committed.
void LakeWorld::DoBeside() {
  if (must_reopen_ || fault_steps_ > 0) return;
  lake::LakeOptions options = options_;
  options.settings.read_only = true;
  const auto scheduler = scheduler_;
  auto opened = lake::Lake::Open(Parts(), options);
  scheduler_ = scheduler;
  if (!ExpectRead(opened, 0, "open read-only")) return;
  std::string why;
  const ModelFs found = ModelFs::Load((*opened)->Head(), Stages(), &why);
  if (why.empty()) why = model_.DifferenceBeside(found);
  if (!storage_->stopped()) ExpectSame(why.empty(), "what another process reads", why);
  if (!storage_->stopped()) {
    Expect((*opened)->MakeDir(lake::kRootIno, "x", 0755, {}), EROFS, "mkdir in a read-only lake");
  }
}

}  // namespace tarn::test
