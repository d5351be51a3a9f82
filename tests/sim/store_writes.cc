// What changes a store: writes, syncs and transactions.
#include <algorithm>

#include "tests/sim/store_world.h"

namespace tarn::test {
namespace {

constexpr size_t kOpenTransactions = 3;

}  // namespace

Durability StoreWorld::DrawDurability(SeededRandom& random) const {
  const uint64_t dice = random.Below(20);
  return dice < 8 ? Durability::kNone : dice < 18 ? Durability::kProcess : Durability::kPower;
}

ValueTag StoreWorld::DrawValue(SeededRandom& random, uint64_t n) const {
  ValueTag value{.tag = (step_ << 16 | n) * 0x9e3779b97f4a7c15ull, .size = 0};
  if (plan_.big_value_one_in != 0 && random.OneIn(plan_.big_value_one_in)) {
    value.size = static_cast<uint32_t>(random.Below(random.OneIn(20) ? 700000 : 20000));
  } else if (!random.OneIn(20)) {
    value.size = static_cast<uint32_t>(8 + random.Below(plan_.value_bytes));
  }
  return value;
}

StoreWorld::Change StoreWorld::DrawChange(SeededRandom& random, uint64_t n) {
  Change change{.family = DrawFamily(random), .key = static_cast<KeyId>(random.Below(keys_.size()))};
  const uint64_t dice = random.Below(30);
  if (dice < 21) {
    change.value = DrawValue(random, n);
  } else if (dice < 29) {
    change.kind = Kind::kDelete;
  } else {
    change.kind = Kind::kRangeDelete;
    change.end = static_cast<KeyId>(random.Below(keys_.size()));
    if (!random.OneIn(5)) change.end = std::min<KeyId>(keys_.size() - 1, change.key + random.Below(30));
  }
  return change;
}

void StoreWorld::AddTo(WriteBatch* batch, const Change& change) {
  const ColumnFamily family = model_.families()[change.family].handle;
  switch (change.kind) {
    case Kind::kPut:
      MakeValue(change.value, &buffer_);
      batch->Put(family, keys_[change.key], buffer_);
      break;
    case Kind::kDelete: batch->Delete(family, keys_[change.key]); break;
    case Kind::kRangeDelete: batch->DeleteRange(family, keys_[change.key], keys_[change.end]); break;
  }
}

void StoreWorld::Write(SeededRandom& random) {
  uint64_t count = random.OneIn(4) ? 1 + random.Below(8) : 1;
  if (random.OneIn(plan_.big_batch_one_in)) count = 200 + random.Below(2000);
  std::vector<Change> changes;
  WriteBatch batch;
  for (uint64_t n = 0; n < count; ++n) {
    changes.push_back(DrawChange(random, n));
    AddTo(&batch, changes.back());
  }
  const bool by_default = random.OneIn(8);
  const Durability durability = by_default ? settings_.durability : DrawDurability(random);
  const Status written = db_->Write(batch, by_default ? WriteOptions() : WriteOptions(durability));
  Count();
  Learn(written, changes, durability, "write");
}

std::string StoreWorld::Show(const std::vector<Change>& changes) const {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, changes.size()); ++i) {
    const Change& change = changes[i];
    text += change.kind == Kind::kPut ? " put " : change.kind == Kind::kDelete ? " delete " : " delete-range ";
    text += model_.families()[change.family].name + "/" + std::to_string(change.key);
    if (change.kind == Kind::kRangeDelete) text += ".." + std::to_string(change.end);
    if (change.kind == Kind::kPut) text += " (" + std::to_string(change.value.size) + " bytes)";
  }
  return changes.size() > kShown ? text + " and " + std::to_string(changes.size() - kShown) + " more" : text;
}

void StoreWorld::Learn(const Status& status, const std::vector<Change>& changes, Durability durability,
                       const char* what) {
  Say([&] {
    return "  after commit " + std::to_string(model_.visible()) + ": " + what + ", durability " +
           std::to_string(static_cast<int>(durability)) + ":" + Show(changes) + ": " + status.ToString();
  });
  const bool refused_before = refuses_;
  if (Good(status, what)) {
    if (refuses_) Differ(std::string(what) + " was taken although the store had said that it is read-only");
    return model_.Apply(changes, durability);
  }
  if (!refused_before) model_.ApplyInDoubt(changes);
}

void StoreWorld::Sync() {
  const Status synced = db_->SyncWal();
  Count();
  if (!Good(synced, "sync")) return;
  if (refuses_) Differ("a sync succeeded although the store had said that it is read-only");
  model_.Survives(Durability::kPower);
}

void StoreWorld::Transactions(SeededRandom& random) {
  if (txns_.empty() || (txns_.size() < kOpenTransactions && random.OneIn(4))) return BeginTransaction(random);
  const size_t which = random.Below(txns_.size());
  if (!random.OneIn(3)) return TouchTransaction(txns_[which], random);
  OpenTransaction open = std::move(txns_[which]);
  txns_.erase(txns_.begin() + static_cast<std::ptrdiff_t>(which));
  CommitTransaction(std::move(open), random);
}

void StoreWorld::BeginTransaction(SeededRandom& random) {
  OpenTransaction open{.txn = db_->Begin(), .begin = model_.visible()};
  Count();
  model_.Hold(open.begin);
  TouchTransaction(open, random);
  txns_.push_back(std::move(open));
}

void StoreWorld::TouchTransaction(OpenTransaction& open, SeededRandom& random) {
  for (uint64_t n = 1 + random.Below(4); n > 0 && failure_.empty(); --n) {
    Change change{.family = DrawFamily(random), .key = static_cast<KeyId>(random.Below(keys_.size()))};
    const ColumnFamily family = model_.families()[change.family].handle;
    const auto own = std::find_if(open.changes.rbegin(), open.changes.rend(),
                                  [&](const Change& c) { return c.family == change.family && c.key == change.key; });
    Count();
    const uint64_t dice = random.Below(4);
    if (dice < 2) {
      const Status got = open.txn->Get(family, keys_[change.key], &value_);
      if (own == open.changes.rend()) {
        CheckAnswer(change.family, change.key, open.begin, got, value_);
      } else if (own->kind == Kind::kPut ? !got.ok() || !IsValue(own->value, value_)
                                         : got.code() != Code::kNotFound) {
        Differ("a transaction does not see its own change: " + got.ToString());
      }
    } else if (dice == 2) {
      change.value = DrawValue(random, 0x8000 + open.changes.size());
      MakeValue(change.value, &buffer_);
      open.txn->Put(family, keys_[change.key], buffer_);
      open.changes.push_back(change);
    } else {
      change.kind = Kind::kDelete;
      open.txn->Delete(family, keys_[change.key]);
      open.changes.push_back(change);
    }
    open.tracked.emplace_back(change.family, change.key);
  }
}

void StoreWorld::CommitTransaction(OpenTransaction open, SeededRandom& random) {
  // Of a key that was written to and is as it was (absent) nobody can say: compaction may have dropped the traces.
  bool differs = false, touched = false, family_gone = false;
  for (const auto& [family, key] : open.tracked) {
    if (!model_.families()[family].live) {
      family_gone = true;
      continue;
    }
    const ValueTag* before = model_.Get(family, key, open.begin);
    const ValueTag* now = model_.Get(family, key, model_.visible());
    differs |= (before == nullptr) != (now == nullptr) || (before != nullptr && !(*before == *now));
    touched |= model_.Touched(family, key) > open.begin;
  }
  model_.Unhold(open.begin);
  Count();
  if (random.OneIn(5)) return open.txn->Rollback();
  const Durability durability = DrawDurability(random);
  const Status committed = open.txn->Commit(durability);
  if (committed.ok() && (differs || family_gone)) {
    return Differ(family_gone ? "a transaction on a dropped family was committed" : "a conflict was not seen");
  }
  if (committed.code() == Code::kBusy && (differs || touched)) return;
  if (committed.code() == Code::kInvalid && family_gone) return;
  Learn(committed, open.changes, durability, "transaction");
}

}  // namespace tarn::test
