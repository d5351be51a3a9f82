// What reads a store: point reads, iterators over short and long times, held snapshots.
#include <algorithm>

#include "tests/sim/store_world.h"

namespace tarn::test {
namespace {

constexpr size_t kHeldSnapshots = 4;
constexpr size_t kLongWalks = 3;

// The first key after all that start with `prefix`; empty: none.
std::string AfterPrefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace

uint32_t StoreWorld::DrawFamily(SeededRandom& random) const {
  const std::vector<uint32_t>& live = model_.live();
  return live[random.Below(live.size())];
}

StoreWorld::Moment StoreWorld::DrawMoment(SeededRandom& random) const {
  if (held_.empty() || random.OneIn(2)) return {nullptr, model_.visible()};
  const Held& held = held_[random.Below(held_.size())];
  return {held.snapshot.get(), held.at};
}

void StoreWorld::CheckAnswer(uint32_t family, KeyId key, Commit at, const Status& status, const std::string& value) {
  const ValueTag* expected = model_.Get(family, key, at);
  if (status.ok() && expected != nullptr && IsValue(*expected, value)) return;
  if (status.code() == Code::kNotFound && expected == nullptr) return;
  if (!status.ok() && status.code() != Code::kNotFound && Excused(status)) return;
  Differ("get of key " + std::to_string(key) + " in " + model_.families()[family].name + " as of commit " +
         std::to_string(at) +
         (status.ok() ? ": " + std::to_string(value.size()) + " bytes" : ": " + status.ToString()) + ", expected " +
         (expected == nullptr ? "nothing" : std::to_string(expected->size) + " bytes"));
}

void StoreWorld::Get(SeededRandom& random) {
  for (uint64_t n = 1 + random.Below(8); n > 0 && failure_.empty(); --n) {
    const Moment moment = DrawMoment(random);
    const uint32_t family = DrawFamily(random);
    const auto key = static_cast<KeyId>(random.Below(keys_.size()));
    const ReadOptions options{.snapshot = moment.snapshot, .fill_cache = true};
    const Status got = db_->Get(model_.families()[family].handle, keys_[key], &value_, options);
    Count();
    CheckAnswer(family, key, moment.at, got, value_);
  }
}

void StoreWorld::MultiGet(SeededRandom& random) {
  const Moment moment = DrawMoment(random);
  const uint32_t family = DrawFamily(random);
  std::vector<KeyId> ids(1 + random.Below(20));
  std::vector<std::string_view> keys;
  for (KeyId& id : ids) {
    id = static_cast<KeyId>(random.Below(keys_.size()));
    keys.push_back(keys_[id]);
  }
  std::vector<std::string> values;
  const ReadOptions options{.snapshot = moment.snapshot};
  const std::vector<Status> statuses = db_->MultiGet(model_.families()[family].handle, keys, &values, options);
  Count();
  if (statuses.size() != keys.size() || values.size() != keys.size()) return Differ("multiget lost an answer");
  for (size_t i = 0; i < ids.size(); ++i) CheckAnswer(family, ids[i], moment.at, statuses[i], values[i]);
}

StoreWorld::Walk StoreWorld::NewWalk(SeededRandom& random) {
  const Moment moment = DrawMoment(random);
  Walk walk{.family = DrawFamily(random), .at = moment.at, .begin = 0, .end = keys_.size(), .place = keys_.size()};
  std::string lower, upper, prefix;
  const auto draw = [&] { return keys_[static_cast<KeyId>(random.Below(keys_.size()))]; };
  if (random.OneIn(3)) lower = draw();
  if (random.OneIn(3)) upper = draw();
  if (random.OneIn(4)) prefix = draw().substr(0, 1 + random.Below(8));
  const std::string after = AfterPrefix(prefix);
  walk.begin = keys_.LowerBound(std::max(lower, prefix));
  if (!upper.empty()) walk.end = keys_.LowerBound(upper);
  if (!after.empty()) walk.end = std::min(walk.end, keys_.LowerBound(after));
  walk.end = std::max(walk.begin, walk.end);
  walk.it = db_->NewIterator(model_.families()[walk.family].handle, {.snapshot = moment.snapshot,
                                                                     .lower_bound = lower,
                                                                     .upper_bound = upper,
                                                                     .prefix = prefix,
                                                                     .fill_cache = !random.OneIn(4)});
  Count();
  return walk;
}

void StoreWorld::ShortWalk(SeededRandom& random) {
  Walk walk = NewWalk(random);
  Move(walk, 1 + random.Below(60), random);
}

// Other steps happen between the moves: writes, flushes, compactions, and the end of its family.
void StoreWorld::LongWalk(SeededRandom& random) {
  if (walks_.empty() || (walks_.size() < kLongWalks && random.OneIn(4))) {
    walks_.push_back(NewWalk(random));
    model_.Hold(walks_.back().at);
  }
  const size_t which = random.Below(walks_.size());
  Walk& walk = walks_[which];
  const bool lost = !model_.families()[walk.family].live;
  if (!lost) Move(walk, 1 + random.Below(20), random);
  if (!lost && !random.OneIn(10)) return;
  model_.Unhold(walk.at);
  walks_.erase(walks_.begin() + static_cast<std::ptrdiff_t>(which));
}

void StoreWorld::Move(Walk& walk, uint64_t moves, SeededRandom& random) {
  for (; moves > 0 && failure_.empty(); --moves) {
    MoveOnce(walk, random);
    Count();
    if (!walk.it->status().ok()) {
      Good(walk.it->status(), "iterator");
      if (walk.it->valid()) Differ("an iterator shows an entry and an error");
      walk.place = keys_.size();  // a seek starts anew
    }
  }
}

void StoreWorld::MoveOnce(Walk& walk, SeededRandom& random) {
  const uint64_t dice = random.Below(12);
  const KeyId nowhere = keys_.size();
  const auto next = [&](KeyId from) {
    return model_.NextPresent(walk.family, std::max(from, walk.begin), walk.end, walk.at);
  };
  const auto prev = [&](KeyId from) {
    return model_.PrevPresent(walk.family, std::min(from, walk.end), walk.begin, walk.at);
  };
  if (walk.place != nowhere && dice < 8) {
    walk.place = next(walk.place + 1);
    walk.it->Next();
    return CheckPlace(walk, "next");
  }
  if (walk.place != nowhere && dice < 11) {
    walk.place = prev(walk.place);
    walk.it->Prev();
    return CheckPlace(walk, "prev");
  }
  const auto key = static_cast<KeyId>(random.Below(keys_.size()));
  switch (random.Below(4)) {
    case 0:
      walk.place = next(0);
      walk.it->SeekToFirst();
      return CheckPlace(walk, "seek to first");
    case 1:
      walk.place = prev(nowhere);
      walk.it->SeekToLast();
      return CheckPlace(walk, "seek to last");
    case 2:
      walk.place = next(key);
      walk.it->Seek(keys_[key]);
      return CheckPlace(walk, "seek");
    default:
      walk.place = prev(key + 1);
      walk.it->SeekForPrev(keys_[key]);
      return CheckPlace(walk, "seek for prev");
  }
}

void StoreWorld::CheckPlace(Walk& walk, const char* move) {
  Say([&] {
    return std::string("  ") + move + " to " +
           (walk.place == keys_.size() ? "nowhere" : "key " + std::to_string(walk.place));
  });
  if (!walk.it->status().ok()) return;  // judged by Move
  const bool expected = walk.place != keys_.size();
  const auto where = [&] {
    return std::string("iterator over ") + model_.families()[walk.family].name + " as of commit " +
           std::to_string(walk.at) + " after " + move;
  };
  const auto shown = [&] {
    return " is on key " + std::to_string(keys_.LowerBound(walk.it->key())) + " with " +
           std::to_string(walk.it->value().size()) + " bytes";
  };
  if (walk.it->valid() != expected) {
    return Differ(where() + (expected ? " is nowhere, expected key " + std::to_string(walk.place) : shown()));
  }
  if (!expected) return;
  if (walk.it->key() != keys_[walk.place]) {
    return Differ(where() + shown() + ", expected key " + std::to_string(walk.place));
  }
  if (!IsValue(*model_.Get(walk.family, walk.place, walk.at), walk.it->value())) {
    Differ(where() + " has another value for key " + std::to_string(walk.place));
  }
}

void StoreWorld::Snapshots(SeededRandom& random) {
  Count();
  if (held_.size() < kHeldSnapshots && (held_.empty() || random.OneIn(2))) {
    held_.push_back({db_->GetSnapshot(), model_.visible()});
    return model_.Hold(held_.back().at);
  }
  const size_t which = random.Below(held_.size());
  model_.Unhold(held_[which].at);
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(which));
}

}  // namespace tarn::test
