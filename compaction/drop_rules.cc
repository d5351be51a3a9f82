#include "compaction/drop_rules.h"

#include <algorithm>
#include <functional>
#include <string>

namespace tarn {
namespace {

// Of the sequences (descending), the oldest above `low`; 0 when that is not below `high`.
Sequence OldestBetween(const std::vector<Sequence>* sequences, Sequence low, Sequence high) {
  if (sequences == nullptr) return 0;
  const auto end = std::lower_bound(sequences->begin(), sequences->end(), low, std::greater<>());
  if (end == sequences->begin()) return 0;
  const Sequence oldest = *std::prev(end);
  return oldest < high ? oldest : 0;
}

}  // namespace

void DropRules::Walk::MoveTo(std::string_view user_key) {
  const auto& fragments = set.fragments();
  while (at < fragments.size() && fragments[at].end <= user_key) ++at;
  sequences = at < fragments.size() && fragments[at].begin <= user_key ? &fragments[at].sequences : nullptr;
}

DropRules::DropRules(std::vector<Sequence> retained, std::vector<RangeTombstone> tombstones, bool bottom)
    : retained_(std::move(retained)), bottom_(bottom) {
  std::sort(retained_.begin(), retained_.end());
  retained_.erase(std::unique(retained_.begin(), retained_.end()), retained_.end());
  all_.set = RangeTombstones(std::move(tombstones));
  kept_.set = RangeTombstones(OnePerStripe());
}

size_t DropRules::StripeOf(Sequence sequence) const {
  return static_cast<size_t>(std::lower_bound(retained_.begin(), retained_.end(), sequence) - retained_.begin());
}

std::vector<RangeTombstone> DropRules::OnePerStripe() const {
  std::vector<RangeTombstone> kept;
  for (const RangeTombstones::Fragment& fragment : all_.set.fragments()) {
    size_t stripe = SIZE_MAX;
    for (Sequence sequence : fragment.sequences) {
      if (StripeOf(sequence) == stripe) continue;
      stripe = StripeOf(sequence);
      kept.push_back({fragment.begin, fragment.end, sequence});
    }
  }
  return kept;
}

void DropRules::StartKey(std::string_view user_key) {
  all_.MoveTo(user_key);
  kept_.MoveTo(user_key);
  stripe_ = SIZE_MAX;
  newer_ = kAboveAll;
  held_ = 0;
}

DropRules::Verdict DropRules::Judge(Sequence sequence, Kind kind) {
  const size_t stripe = StripeOf(sequence);
  if (stripe == stripe_) return Verdict::kDrop;  // rule 1
  stripe_ = stripe;
  const Sequence hidden_by = OldestBetween(all_.sequences, sequence, kAboveAll);
  if (hidden_by != 0 && hidden_by <= TopOf(stripe)) return Verdict::kDrop;  // rule 2
  if (!bottom_) return Verdict::kKeep;
  if (kind == Kind::kPut) return JudgePutAtBottom(sequence);
  if (stripe == 0) return Verdict::kDrop;  // rule 4; holding it would end the same way
  held_ = sequence;
  return Verdict::kHold;
}

// A put that stays: the tombstone that hides it is either the held delete, or a range tombstone before that.
DropRules::Verdict DropRules::JudgePutAtBottom(Sequence sequence) {
  const Sequence range = OldestBetween(kept_.sequences, sequence, held_ != 0 ? held_ : newer_);
  if (range != 0) needed_.emplace(kept_.at, range);
  const bool with_held = held_ != 0 && range == 0;
  held_ = 0;
  newer_ = sequence;
  return with_held ? Verdict::kKeepWithHeld : Verdict::kKeep;
}

std::vector<RangeTombstone> DropRules::TakeTombstones(std::string_view begin, std::string_view end) {
  if (!bottom_) return kept_.set.Clip(begin, end);
  std::vector<RangeTombstone> pieces;
  for (const auto& [at, sequence] : needed_) {
    const RangeTombstones::Fragment& fragment = kept_.set.fragments()[at];
    const std::string_view from = std::max<std::string_view>(fragment.begin, begin);
    const std::string_view until = end.empty() ? fragment.end : std::min<std::string_view>(fragment.end, end);
    pieces.push_back({std::string(from), std::string(until), sequence});
  }
  needed_.clear();
  return pieces;
}

}  // namespace tarn
