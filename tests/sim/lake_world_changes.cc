// The calls of LakeWorld that change something. The lake is asked first; then the model says what should have been.

#include <algorithm>
#include <cerrno>

#include "tests/sim/lake_world.h"

namespace tarn::test {

using lake::kBlockBytes;
using lake::RenameMode;

// A change that is one commit or none.
void LakeWorld::Did(const Status& status, const char* what, const Change& change) {
  if (status.ok() || !Excused(status)) {
    const ModelFs before = must_reopen_ ? model_.head : ModelFs();
    const int wanted = change(model_.head);
    if (!Expect(status, wanted, what) || wanted != 0) return;
    if (must_reopen_) {  // only what changes nothing needs no log
      const std::string why = before.Difference(model_.head, {});
      if (!why.empty()) Fail(std::string(what) + " is acknowledged although the log has failed");
      return;
    }
    model_.Add([change](LakeModel::Stored& stored) { change(stored.fs); });
    return Acknowledge();
  }
  ++tally_.operations;
  Note(status, what);
  if (must_reopen_) return;
  std::vector<Outcome> outcomes = {Now(), After(change)};
  model_.Add([change](LakeModel::Stored& stored) { change(stored.fs); });
  Resolve(what, std::move(outcomes));
}

LakeWorld::Outcome LakeWorld::After(const Change& change) const {
  Outcome after = Now();
  change(after.fs);
  return after;
}

// After a call that failed: the lake shows one of the outcomes (the first is what was before), and if it still takes
// writes, that is what happened. The commits that were added for the call are not acknowledged yet.
void LakeWorld::Resolve(const char* what, std::vector<Outcome> outcomes) {
  trash_left_ = true;
  if (storage_->stopped()) return;
  QuietFaults();
  std::vector<Ino> more;
  for (const Outcome& outcome : outcomes) {
    const std::vector<Ino> rootless = outcome.fs.Rootless();
    more.insert(more.end(), rootless.begin(), rootless.end());
  }
  std::string why;
  const ModelFs found = ModelFs::Load(lake_->Head(), more, &why);
  const auto log = Commands();
  if (why.empty() && !log.ok()) why = log.status().ToString();
  size_t which = outcomes.size();
  for (size_t i = 0; why.empty() && i < outcomes.size() && which == outcomes.size(); ++i) {
    if (outcomes[i].log == *log && outcomes[i].fs.Difference(found, {}).empty()) which = i;
  }
  if (which == outcomes.size() && why.empty()) {
    // Done, but the reclaiming that follows was not: until the next open the links of what is gone are counted, and
    // removed directories that are open are not empty.
    ModelFs named = outcomes.back().fs;
    named.ForgetOpens();
    ModelFs lower = ModelFs::Load(lake_->Head(), named.Rootless(), &why);
    lower.LowerLinks(named);
    reopen_now_ = why.empty() && outcomes.back().log == *log && named.Difference(lower, {}).empty();
    if (reopen_now_) --which;
  }
  if (which == outcomes.size()) {
    if (why.empty()) why = outcomes.back().fs.Difference(found, {});
    if (why.empty()) why = "the log of commands";
    return Fail(std::string("after ") + what + " failed the lake is neither before nor after it: " + why);
  }
  model_.head = std::move(outcomes[which].fs);
  model_.log = std::move(outcomes[which].log);
  if (!lake_->db().SyncWal().ok()) {
    must_reopen_ = true;
    return;
  }
  if (which == 0) {
    model_.Withdraw();
  } else {
    Acknowledge();
  }
  Synced();
}

// Once the log has failed nothing is certain until the next open.
void LakeWorld::Acknowledge() {
  if (!must_reopen_) model_.Acknowledge();
}

void LakeWorld::Synced() {
  if (must_reopen_) return Fail("something is said to be durable although the log has failed");
  model_.Synced();
}

void LakeWorld::AddNode(uint32_t mode) {
  const Ino dir = AnyDir();
  const std::string name = AnyName();
  const lake::Owner owner{static_cast<uint32_t>(random_->Below(3)), static_cast<uint32_t>(random_->Below(3))};
  const uint32_t type = mode & 0170000;
  const std::string target = type == 0120000 ? "to " + name : "";
  const auto made = type == 0040000   ? lake_->MakeDir(dir, name, mode & 07777, owner)
                    : type == 0120000 ? lake_->Symlink(dir, name, target, owner)
                                      : lake_->Create(dir, name, mode, 0, owner);
  const auto change = [=](ModelFs& fs, Ino ino) {
    const int error = fs.Add(dir, name, mode, target, ino);
    if (error == 0) fs.SetAttr(ino, {.uid = owner.uid, .gid = owner.gid});
    return error;
  };
  if (made.ok() || !Excused(made.status())) {
    const Ino ino = made.ok() ? made->ino : 0;
    return Did(made.status(), "create", [=](ModelFs& fs) { return change(fs, ino); });
  }
  ++tally_.operations;
  Note(made.status(), "create");
  if (must_reopen_) return;
  in_flight_ = {dir, name};
  model_.Add([=](LakeModel::Stored& stored) { change(stored.fs, stored.in_flight); });
  QuietFaults();
  const auto there = lake_->Head().Lookup(dir, name);
  std::vector<Outcome> outcomes = {Now()};
  if (there.ok()) outcomes.push_back(After([&](ModelFs& fs) { return change(fs, there->ino); }));
  Resolve("create", std::move(outcomes));
}

void LakeWorld::DoCreate() {
  if (model_.head.nodes().size() > most_nodes_) return DoUnlink();
  AddNode(random_->OneIn(20) ? 0010644 : 0100644);
}

void LakeWorld::DoMakeDir() {
  if (model_.head.nodes().size() > most_nodes_) return DoRemoveTree();
  AddNode(0040755);
}

void LakeWorld::DoSymlink() { AddNode(0120777); }

void LakeWorld::DoLink() {
  const Ino ino = AnyFile(), dir = AnyDir();
  const std::string name = AnyName();
  Did(lake_->Link(ino, dir, name).status(), "link", [=](ModelFs& fs) { return fs.Link(ino, dir, name); });
}

void LakeWorld::DoUnlink() {
  const Ino dir = AnyDir();
  const std::string name = AnyEntry(dir);
  Did(lake_->Unlink(dir, name), "unlink", [=](ModelFs& fs) { return fs.Remove(dir, name, false); });
}

void LakeWorld::DoRemoveDir() {
  const Ino dir = AnyDir();
  const std::string name = AnyEntry(dir);
  Did(lake_->RemoveDir(dir, name), "rmdir", [=](ModelFs& fs) { return fs.Remove(dir, name, true); });
}

void LakeWorld::DoRemoveTree() {
  const Ino dir = AnyDir();
  const std::string name = AnyEntry(dir);
  Did(lake_->RemoveTree(dir, name), "rmtree", [=](ModelFs& fs) { return fs.RemoveTree(dir, name); });
}

void LakeWorld::DoRename() {
  const Ino from = AnyDir(), to = random_->OneIn(2) ? from : AnyDir();
  const std::string name = AnyEntry(from), new_name = random_->OneIn(2) ? AnyEntry(to) : AnyName();
  const auto mode = static_cast<RenameMode>(random_->Below(3));
  Did(lake_->Rename(from, name, to, new_name, mode), "rename",
      [=](ModelFs& fs) { return fs.Rename(from, name, to, new_name, mode); });
}

void LakeWorld::DoSetXattr() {
  const Ino ino = AnyInode();
  const std::string name = "user." + AnyName();
  const std::string value = Pattern(random_->OneIn(50) ? random_->Below(lake::kMaxXattrValue) : random_->Below(40));
  const bool create = random_->OneIn(4), replace = !create && random_->OneIn(4);
  Did(lake_->SetXattr(ino, name, value, create, replace), "setxattr",
      [=](ModelFs& fs) { return fs.SetXattr(ino, name, value, create, replace); });
}

void LakeWorld::DoRemoveXattr() {
  const Ino ino = AnyInode();
  const std::string name = "user." + AnyName();
  Did(lake_->RemoveXattr(ino, name), "removexattr", [=](ModelFs& fs) { return fs.RemoveXattr(ino, name); });
}

void LakeWorld::DoSetAttr() {
  const Ino ino = AnyInode();
  lake::AttrChange change;
  if (random_->OneIn(2)) change.mode = random_->Below(01000);
  if (random_->OneIn(3)) change.uid = random_->Below(5);
  if (random_->OneIn(3)) change.gid = random_->Below(5);
  if (random_->OneIn(2)) change.atime_ns = static_cast<int64_t>(random_->Below(1000));
  if (random_->OneIn(2)) change.mtime_ns = static_cast<int64_t>(random_->Below(1000));
  Did(lake_->SetAttr(ino, change).status(), "setattr", [=](ModelFs& fs) { return fs.SetAttr(ino, change); });
}

// Block by block: where the lake flushes by itself, it may do so before each of them.
void LakeWorld::DoWrite() {
  const Ino ino = AnyFile();
  const uint64_t begin = AnyOffset();
  const std::string bytes = AnyBytes();
  const Status status = lake_->Write(ino, begin, bytes);
  const bool excused = !status.ok() && Excused(status);
  std::vector<Outcome> outcomes;
  if (excused) outcomes.push_back(Now());
  int wanted = 0;
  size_t done = 0;
  do {
    const size_t piece = std::min<size_t>(bytes.size() - done, kBlockBytes - (begin + done) % kBlockBytes);
    wanted = model_.head.Write(ino, begin + done, std::string_view(bytes).substr(done, piece));
    done += piece;
    if (wanted == 0 && flushes_by_itself_) model_.AddVersion(ino);
    if (excused) outcomes.push_back(Now());
  } while (done < bytes.size() && wanted == 0);
  if (wanted == 0 && !bytes.empty()) model_.Dirtied(ino);
  Acknowledge();
  if (!excused) {
    Expect(status, wanted, "write");
    return;
  }
  ++tally_.operations;
  Note(status, "write");
  Resolve("write", std::move(outcomes));
}

void LakeWorld::DoTruncate() {
  const Ino ino = AnyFile();
  const uint64_t size = random_->OneIn(6) ? 0 : AnyOffset();
  const Status status = lake_->SetAttr(ino, {.size = size}).status();
  const auto change = [=](ModelFs& fs) { return fs.Truncate(ino, size); };
  if (status.ok() || !Excused(status)) {
    if (status.ok() && size > 0) model_.AddFlush(ino);
    const int wanted = change(model_.head);
    if (!Expect(status, wanted, "truncate") || wanted != 0) return;
    if (must_reopen_) return Fail("truncate is acknowledged although the log has failed");
    model_.AddStore(ino, model_.head);
    return Acknowledge();
  }
  ++tally_.operations;
  Note(status, "truncate");
  if (must_reopen_) return;
  if (model_.dirty(ino)) model_.AddVersion(ino);
  Acknowledge();
  Outcome after = After(change);
  model_.AddStore(ino, after.fs);
  model_.Dirtied(ino);
  Resolve("truncate", {Now(), std::move(after)});
}

// The file as it is; then without its whole blocks; then without the rest.
void LakeWorld::DoPunch() {
  const Ino ino = AnyFile();
  const uint64_t begin = AnyOffset(), length = AnyOffset();
  const ModelFs::Node* const node = Node(ino);
  const uint64_t size = node == nullptr ? 0 : node->content->size();
  const Status status = lake_->PunchHole(ino, begin, length);
  const bool excused = !status.ok() && Excused(status);
  const uint64_t end = std::min(begin + length, size);
  const uint64_t first = (begin + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  const uint64_t last =
      end == size ? (end + kBlockBytes - 1) / kBlockBytes * kBlockBytes : end / kBlockBytes * kBlockBytes;
  const bool whole_blocks = size > lake::kInlineBytes && first <= last && begin < end;
  std::vector<Outcome> outcomes;
  if (excused) {
    outcomes.push_back(Now());
    if (model_.dirty(ino)) model_.AddVersion(ino);
  } else if (status.ok()) {
    model_.AddFlush(ino);
  }
  if (excused && whole_blocks) {
    outcomes.push_back(After([=](ModelFs& fs) { return fs.Punch(ino, begin, std::min(first, end) - begin); }));
    Outcome both = outcomes.back();
    const uint64_t right = std::max(last, begin);
    both.fs.Punch(ino, right, end - std::min(right, end));
    outcomes.push_back(std::move(both));
  }
  if (whole_blocks) {  // also when there are none: the times are committed
    ModelFs middle = model_.head;
    middle.Punch(ino, first, last - first);
    model_.Add([ino, content = middle.nodes().at(ino).content](LakeModel::Stored& stored) {
      stored.versions[ino].push_back(content);
    });
  }
  const int wanted = model_.head.Punch(ino, begin, length);
  if (excused) {
    outcomes.push_back(Now());
    model_.AddVersion(ino);
    model_.Dirtied(ino);
    Acknowledge();
    ++tally_.operations;
    Note(status, "punch");
    return Resolve("punch", std::move(outcomes));
  }
  if (!Expect(status, wanted, "punch") || wanted != 0 || begin >= end) return Acknowledge();
  model_.Dirtied(ino);
  model_.AddFlush(ino);
  Acknowledge();
}

void LakeWorld::DoOpen() {
  const Ino ino = AnyInode();
  const Status status = lake_->Open(ino);
  ModelFs::Node const* const node = Node(ino);
  if (!Expect(status, node == nullptr ? ENOENT : 0, "open") || !status.ok()) return;
  model_.head.Open(ino);
  opened_.push_back(ino);
}

void LakeWorld::DoRelease() {
  if (opened_.empty()) return DoOpen();
  const size_t which = random_->Below(opened_.size());
  const Ino ino = opened_[which];
  opened_.erase(opened_.begin() + static_cast<ptrdiff_t>(which));
  lake_->Release(ino);
  ++tally_.operations;
  model_.head.Release(ino);
  if (FaultCount() != faults_at_open_) trash_left_ = true;  // nobody is told
}

void LakeWorld::DoFlush() {
  const Ino ino = AnyFile();
  const Status status = lake_->Flush(ino);
  if (Expect(status, 0, "flush")) {
    model_.AddFlush(ino);
    return Acknowledge();
  }
  model_.AddVersion(ino);
  Acknowledge();
  Resolve("flush", {Now()});
}

void LakeWorld::DoSync() {
  const Ino ino = AnyFile();
  if (Expect(lake_->Sync(ino), 0, "sync")) {
    model_.AddFlush(ino);
    return Synced();
  }
  model_.AddVersion(ino);
  Acknowledge();
  Resolve("sync", {Now()});
}

void LakeWorld::DoSyncAll() {
  if (Expect(lake_->SyncAll(), 0, "sync all")) {
    model_.AddFlushOfAll(OrderIsKnown());
    return Synced();
  }
  model_.AddVersionsOfAll();
  Acknowledge();
  Resolve("sync all", {Now()});
}

void LakeWorld::DoStage() {
  const lake::Owner owner{static_cast<uint32_t>(random_->Below(3)), 0};
  const auto stage = lake_->Stage(owner);
  if (Expect(stage, 0, "stage")) {
    const auto add = [ino = *stage, owner](ModelFs& fs) {
      fs.AddStage(ino, owner);
      return 0;
    };
    add(model_.head);
    model_.Add([add](LakeModel::Stored& stored) { add(stored.fs); });
    return Acknowledge();
  }
  if (!must_reopen_) Resolve("stage", {Now()});  // one that nobody knows of is reclaimed at the next open
}

void LakeWorld::DoPublish() {
  const std::vector<Ino> stages = Stages();
  if (stages.empty()) return DoStage();
  const Ino stage = stages[random_->Below(stages.size())], to = AnyDir();
  const std::string name = AnyEntry(stage), new_name = AnyName();
  const auto mode = static_cast<RenameMode>(random_->Below(3));
  const std::string command = "import " + std::to_string(++names_);
  const Status status = lake_->Publish(stage, name, to, new_name, mode, {.command = command});
  const auto change = [=](ModelFs& fs) { return fs.Publish(stage, name, to, new_name, mode); };
  const auto commit = [=](LakeModel::Stored& stored) {
    change(stored.fs);
    stored.log.push_back(command);
  };
  if (status.ok() || !Excused(status)) {
    model_.AddFlushOfAll(OrderIsKnown());
    const int wanted = change(model_.head);
    if (!Expect(status, wanted, "publish") || wanted != 0) return Acknowledge();
    model_.log.push_back(command);
    model_.Add(commit);
    return Synced();
  }
  ++tally_.operations;
  Note(status, "publish");
  model_.AddVersionsOfAll();
  if (must_reopen_) return;
  Acknowledge();
  std::vector<Outcome> outcomes = {Now()};
  Outcome after = Now();
  if (change(after.fs) == 0) {
    after.log.push_back(command);
    model_.Add(commit);
    outcomes.push_back(std::move(after));
  }
  Resolve("publish", std::move(outcomes));
}

void LakeWorld::DoDropStage() {
  const std::vector<Ino> stages = Stages();
  const Ino stage = stages.empty() ? AnyInode() : stages[random_->Below(stages.size())];
  Did(lake_->DropStage(stage), "drop stage", [=](ModelFs& fs) {
    fs.DropStage(stage);
    return 0;
  });
}

void LakeWorld::DoAppendLog() {
  const std::string command = "command " + std::to_string(++names_);
  const auto record = lake_->AppendLog({.command = command});
  const auto commit = [=](LakeModel::Stored& stored) { stored.log.push_back(command); };
  if (Expect(record, 0, "append log")) {
    model_.log.push_back(command);
    ExpectSame(record->id == model_.log.size(), "id of a log record", std::to_string(record->id));
    model_.AddFlushOfAll(OrderIsKnown());
    model_.Add(commit);
    return Synced();
  }
  model_.AddVersionsOfAll();
  if (must_reopen_) return;
  Acknowledge();
  Outcome after = Now();
  after.log.push_back(command);
  model_.Add(commit);
  Resolve("append log", {Now(), std::move(after)});
}

void LakeWorld::DoCreateSnapshot() {
  const auto first = snapshots_.begin();
  const bool taken =
      first != snapshots_.end() && first->second.certain && !first->second.dropped && random_->OneIn(10);
  if (!taken && snapshots_.size() >= 3) return DoDropSnapshot();
  const std::string name = taken ? first->first : "s" + std::to_string(++names_);
  const auto made = lake_->CreateSnapshot(name);
  if (Expect(made, taken ? EEXIST : 0, "create snapshot")) {
    model_.AddFlushOfAll(OrderIsKnown());
    Acknowledge();
    if (taken) return;
    Synced();
    snapshots_[name] = {.fs = model_.head};
    return;
  }
  model_.AddVersionsOfAll();
  Acknowledge();
  if (!taken) snapshots_[name] = {.fs = model_.head, .certain = false};
  Resolve("create snapshot", {Now()});
}

void LakeWorld::DoDropSnapshot() {
  const bool missing = snapshots_.empty() || random_->OneIn(10);
  const std::string name = missing ? "nothing" : snapshots_.begin()->first;
  if (!missing && (!snapshots_[name].certain || snapshots_[name].dropped)) return;
  const Status status = lake_->DropSnapshot(name);
  if (Expect(status, missing ? ENOENT : 0, "drop snapshot")) {
    snapshots_.erase(name);
    return;
  }
  if (!missing) snapshots_[name].dropped = true;
  Resolve("drop snapshot", {Now()});
}

void LakeWorld::DoMaintain() {
  const Status status = random_->OneIn(3) ? lake_->db().Compact() : lake_->db().Flush();
  if (!Expect(status, 0, "maintain")) Resolve("maintain", {Now()});
}

}  // namespace tarn::test
