#include "kernel/dead_ranges.h"

#include <algorithm>
#include <utility>

namespace tarn::kernel {
namespace {

// The least key after `key`.
std::string After(std::string_view key) {
  std::string after;
  after.reserve(key.size() + 1);
  after.append(key).push_back('\0');
  return after;
}

// The part of both; begin >= end when there is none.
KeyRange Common(const KeyRange& a, const KeyRange& b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

bool Covers(const KeyRange& a, const KeyRange& b) { return a.begin <= b.begin && b.end <= a.end; }

// The first range that ends behind the key: the one with the key in it, if there is one.
template <typename Ranges>
auto EndingAfter(Ranges& ranges, std::string_view key) {
  return std::partition_point(ranges.begin(), ranges.end(),
                              [key](const auto& range) { return range.row.end <= key; });
}

}  // namespace

bool DeadRanges::Find(uint32_t family, std::string_view key, Sequence snapshot, KeyRange* range) {
  if (published_.load(std::memory_order_relaxed) == 0) return false;
  MutexLock lock(mutex_);
  const auto known = families_.find(family);
  if (known == families_.end()) return false;
  const auto found = EndingAfter(known->second.ranges, key);
  if (found == known->second.ranges.end() || !found->row.Contains(key) || found->since > snapshot) return false;
  found->used = ++uses_;
  *range = found->row;
  stats_.Add(Counter::kDeadRangesUsed);
  return true;
}

void DeadRanges::Offer(uint32_t family, const KeyRange& row, uint64_t keys, Sequence snapshot) {
  if (std::max(row.begin.size(), row.end.size()) > kMaxRangeKeyBytes) return;
  MutexLock lock(mutex_);
  Family& known = families_[family];
  Prove(known, row, keys, snapshot);
  known.watches.push_back({row, kMaxSequence});
  Publish();
  const Sequence announced = announced_.load();  // after it was published: see 1. of the header
  if (announced <= snapshot) {
    known.watches.pop_back();
    Add(known, {row, snapshot, keys, ++uses_});
  } else if (Known(known, row)) {
    known.watches.pop_back();
  } else {
    known.watches.back().announced = announced;
    if (known.watches.size() > kMaxWatches) known.watches.erase(known.watches.begin());
  }
  Publish();
}

// Whether the newest watch is not needed: a range says the same, or an older watch, which is proven sooner.
bool DeadRanges::Known(const Family& family, const KeyRange& row) {
  const auto range = EndingAfter(family.ranges, row.begin);
  if (range != family.ranges.end() && Covers(range->row, row)) return true;
  return std::any_of(family.watches.begin(), family.watches.end() - 1,
                     [&](const Watch& watch) { return Covers(watch.row, row); });
}

// Makes ranges of the watches that stood since before the snapshot, as far as they lie in the row.
void DeadRanges::Prove(Family& family, const KeyRange& row, uint64_t keys, Sequence snapshot) {
  std::vector<KeyRange> proven;
  std::erase_if(family.watches, [&](const Watch& watch) {
    if (watch.announced > snapshot) return false;
    KeyRange common = Common(watch.row, row);
    if (common.begin >= common.end) return false;
    proven.push_back(std::move(common));
    return true;
  });
  for (KeyRange& part : proven) Add(family, {std::move(part), snapshot, keys, ++uses_});
}

// Joined with those that it overlaps or touches.
void DeadRanges::Add(Family& family, Range range) {
  const auto first = std::partition_point(family.ranges.begin(), family.ranges.end(),
                                          [&](const Range& r) { return r.row.end < range.row.begin; });
  auto last = first;
  for (; last != family.ranges.end() && last->row.begin <= range.row.end; ++last) {
    range.keys = Covers(last->row, range.row) ? last->keys : range.keys + last->keys;
    range.row.begin = std::min(range.row.begin, last->row.begin);
    range.row.end = std::max(range.row.end, last->row.end);
    range.since = std::max(range.since, last->since);
  }
  family.ranges.insert(family.ranges.erase(first, last), std::move(range));
  MakeRoom();
}

void DeadRanges::MakeRoom() {
  for (;;) {
    size_t count = 0;
    uint64_t oldest = UINT64_MAX;
    for (const auto& [id, family] : families_) {
      count += family.ranges.size();
      for (const Range& range : family.ranges) oldest = std::min(oldest, range.used);
    }
    if (count <= kMaxRanges) return;
    for (auto& [id, family] : families_) {
      std::erase_if(family.ranges, [&](const Range& range) { return range.used == oldest; });
    }
  }
}

void DeadRanges::Forget(uint32_t family, std::string_view key) {
  MutexLock lock(mutex_);
  const auto known = families_.find(family);
  if (known == families_.end()) return;
  const size_t stale = std::erase_if(known->second.watches, [&](const Watch& w) { return w.row.Contains(key); });
  const bool cut = Cut(&known->second.ranges, key);
  if (stale == 0 && !cut) return;
  MakeRoom();
  Publish();
}

// A range that has lost a key is still dead on both sides of it. False: the key is in none.
bool DeadRanges::Cut(std::vector<Range>* ranges, std::string_view key) const {
  const auto hit = EndingAfter(*ranges, key);
  if (hit == ranges->end() || !hit->row.Contains(key)) return false;
  Range left = std::move(*hit);
  auto at = ranges->erase(hit);
  left.keys /= 2;
  if (left.keys < least_row_) return true;
  Range right = left;
  right.row.begin = After(key);
  left.row.end = key.substr(0, kMaxRangeKeyBytes);
  if (right.row.begin.size() <= kMaxRangeKeyBytes && right.row.begin < right.row.end) {
    at = ranges->insert(at, std::move(right));
  }
  if (left.row.begin < left.row.end) ranges->insert(at, std::move(left));
  return true;
}

void DeadRanges::DropFamily(uint32_t family) {
  MutexLock lock(mutex_);
  families_.erase(family);
  Publish();
}

void DeadRanges::Publish() {
  size_t count = 0;
  for (auto it = families_.begin(); it != families_.end();) {
    const size_t of_family = it->second.ranges.size() + it->second.watches.size();
    count += of_family;
    it = of_family == 0 ? families_.erase(it) : std::next(it);
  }
  published_.store(count);
}

bool DeadRow::Pass(std::string_view key) {
  if (passed_++ == 0) {
    row_.begin.assign(key);
    row_.end.assign(key).push_back('\0');
  } else if (key < row_.begin) {
    row_.begin.assign(key);
  } else {
    row_.end.assign(key).push_back('\0');
  }
  if (ranges_ == nullptr || passed_ < next_look_) return false;
  next_look_ = passed_ + ranges_->least_row();
  if (!ranges_->Find(family_, key, snapshot_, &range_)) return false;
  row_.begin = std::min(row_.begin, range_.begin);
  row_.end = std::max(row_.end, range_.end);
  next_look_ = passed_ + 1;
  jumped_ = true;
  return true;
}

void DeadRow::Finish(bool whole) {
  if (ranges_ != nullptr) {
    ranges_->stats().Add(Counter::kDeadKeys, passed_);
    const uint64_t at_least = ranges_->least_row(), few = std::min(kShort, at_least);
    if (whole && passed_ >= (jumped_ ? few : at_least)) ranges_->Offer(family_, row_, passed_, snapshot_);
    next_look_ = few;
  }
  passed_ = 0;
  jumped_ = false;
}

}  // namespace tarn::kernel
