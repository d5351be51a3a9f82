#include "tests/sim/lake_model.h"

namespace tarn::test {

using lake::Ino;
using lake::ModelFs;

void LakeModel::Synced() {
  for (const Commit& commit : commits_) commit(stored_);
  commits_.clear();
  acknowledged_ = 0;
}

void LakeModel::AddVersion(Ino ino) {
  const auto node = head.nodes().find(ino);
  if (node == head.nodes().end()) return;
  Add([ino, content = node->second.content](Stored& stored) { stored.versions[ino].push_back(content); });
}

void LakeModel::Dirtied(Ino ino) {
  if (!dirty(ino)) dirty_.push_back(ino);
}

void LakeModel::AddFlush(Ino ino) {
  if (dirty(ino)) AddStore(ino, head);
}

void LakeModel::AddStore(Ino ino, const ModelFs& fs) {
  Cleaned(ino);
  const auto node = fs.nodes().find(ino);
  if (node == fs.nodes().end() || !node->second.is_regular()) return;
  Add([ino, content = node->second.content, mtime = node->second.mtime](Stored& stored) {
    stored.fs.Store(ino, content, mtime);
    stored.versions.erase(ino);
  });
}

void LakeModel::AddFlushOfAll(bool order_known) {
  if (!order_known) AddVersionsOfAll();
  const size_t before = commits_.size();
  while (!dirty_.empty()) AddFlush(dirty_.front());
  if (order_known || commits_.size() < before + 2) return;
  // Until the last of them each may have happened or not, which the versions say; then all have.
  std::vector<Commit> flushes(commits_.begin() + static_cast<ptrdiff_t>(before), commits_.end());
  commits_.resize(before);
  Add([flushes = std::move(flushes)](Stored& stored) {
    for (const Commit& flush : flushes) flush(stored);
  });
}

void LakeModel::AddVersionsOfAll() {
  for (const Ino ino : dirty_) AddVersion(ino);
}

std::string LakeModel::Difference(const Stored& state, const ModelFs& found,
                                  const std::vector<std::string>& found_log) {
  if (state.log != found_log) {
    return "the log has " + std::to_string(found_log.size()) + " records, wanted " + std::to_string(state.log.size());
  }
  bool stages = false;
  for (const Ino ino : state.fs.Rootless()) stages = stages || state.fs.nodes().at(ino).is_stage(ino);
  if (!stages) return state.fs.Difference(found, state.versions);
  ModelFs without = state.fs;
  without.DropStages();
  return without.Difference(found, state.versions);
}

std::string LakeModel::Recover(ModelFs found, const std::vector<std::string>& found_log, bool power,
                               const Place& in_flight) {
  const auto parent = found.nodes().find(in_flight.parent);
  if (parent != found.nodes().end()) {
    const auto entry = parent->second.entries.find(in_flight.name);
    if (entry != parent->second.entries.end()) stored_.in_flight = entry->second;
  }
  const size_t least = power ? 0 : acknowledged_;
  std::string why;
  bool good = false;
  for (size_t made = 0; made <= commits_.size() && !good; ++made) {
    if (made > 0) commits_[made - 1](stored_);
    if (made < least) continue;
    why = Difference(stored_, found, found_log);
    good = why.empty();
  }
  if (!good) {
    return "no state that may be is there; after all of " + std::to_string(commits_.size()) + " commits (" +
           std::to_string(least) + " are certain): " + why;
  }
  head = found;
  log = found_log;
  stored_ = {.fs = std::move(found), .versions = {}, .log = found_log, .in_flight = 0};
  commits_.clear();
  acknowledged_ = 0;
  dirty_.clear();
  return {};
}

std::string LakeModel::DifferenceBeside(const ModelFs& found) const {
  Stored state = stored_;
  for (const Commit& commit : commits_) commit(state);
  return state.fs.Difference(found, state.versions);
}

}  // namespace tarn::test
