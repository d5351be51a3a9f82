// Fragments are made by one sweep over the sorted ends of all tombstones: between two neighbouring ends the set
// of tombstones that cover a key does not change, so each such stretch is one fragment. Neighbouring fragments
// with the same sequences are joined again: that is what mends the cuts that clipping to table borders makes.

#include "format/range_tombstones.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

namespace tarn {
namespace {

// The sequences of the tombstones that are open at the point of the sweep. A multiset, because the same
// tombstone may come from two tables which were cut inside it.
using OpenSet = std::multiset<Sequence, std::greater<>>;

std::vector<Sequence> Distinct(const OpenSet& open) {
  std::vector<Sequence> sequences(open.begin(), open.end());
  sequences.erase(std::unique(sequences.begin(), sequences.end()), sequences.end());
  return sequences;
}

}  // namespace

RangeTombstones::RangeTombstones(std::vector<RangeTombstone> tombstones) {
  std::erase_if(tombstones, [](const RangeTombstone& t) { return t.begin >= t.end; });
  const size_t n = tombstones.size();
  std::vector<size_t> by_begin(n), by_end(n);
  for (size_t i = 0; i < n; ++i) by_begin[i] = by_end[i] = i;
  std::sort(by_begin.begin(), by_begin.end(),
            [&](size_t a, size_t b) { return tombstones[a].begin < tombstones[b].begin; });
  std::sort(by_end.begin(), by_end.end(), [&](size_t a, size_t b) { return tombstones[a].end < tombstones[b].end; });

  OpenSet open;
  size_t next_begin = 0;
  for (size_t next_end = 0; next_end < n;) {
    // The next point where something opens or closes. An end is always left, or the loop would be over.
    const std::string& closing = tombstones[by_end[next_end]].end;
    const bool opens = next_begin < n && tombstones[by_begin[next_begin]].begin < closing;
    const std::string& at = opens ? tombstones[by_begin[next_begin]].begin : closing;
    while (next_end < n && tombstones[by_end[next_end]].end == at) {
      open.erase(open.find(tombstones[by_end[next_end++]].sequence));
    }
    while (next_begin < n && tombstones[by_begin[next_begin]].begin == at) {
      open.insert(tombstones[by_begin[next_begin++]].sequence);
    }
    if (open.empty()) continue;

    const std::string& until =
        next_begin < n && tombstones[by_begin[next_begin]].begin < tombstones[by_end[next_end]].end
            ? tombstones[by_begin[next_begin]].begin
            : tombstones[by_end[next_end]].end;
    std::vector<Sequence> sequences = Distinct(open);
    if (!fragments_.empty() && fragments_.back().end == at && fragments_.back().sequences == sequences) {
      fragments_.back().end = until;
    } else {
      fragments_.push_back({at, until, std::move(sequences)});
    }
  }
}

const RangeTombstones::Fragment* RangeTombstones::Find(std::string_view user_key) const {
  auto after = std::upper_bound(fragments_.begin(), fragments_.end(), user_key,
                                [](std::string_view key, const Fragment& f) { return key < f.begin; });
  if (after == fragments_.begin()) return nullptr;
  const Fragment& candidate = *std::prev(after);
  return user_key < candidate.end ? &candidate : nullptr;
}

Sequence RangeTombstones::NewestCover(std::string_view user_key, Sequence snapshot) const {
  const Fragment* fragment = Find(user_key);
  if (fragment == nullptr) return 0;
  const auto& sequences = fragment->sequences;
  auto newest = std::lower_bound(sequences.begin(), sequences.end(), snapshot, std::greater<>());
  return newest == sequences.end() ? 0 : *newest;
}

std::vector<RangeTombstone> RangeTombstones::Clip(std::string_view begin, std::string_view end) const {
  std::vector<RangeTombstone> pieces;
  for (const Fragment& fragment : fragments_) {
    if (!end.empty() && fragment.begin >= end) break;
    const std::string_view from = std::max<std::string_view>(fragment.begin, begin);
    const std::string_view until = end.empty() ? fragment.end : std::min<std::string_view>(fragment.end, end);
    if (from >= until) continue;
    for (Sequence sequence : fragment.sequences) {
      pieces.push_back({std::string(from), std::string(until), sequence});
    }
  }
  return pieces;
}

size_t RangeTombstones::memory_bytes() const {
  size_t bytes = fragments_.capacity() * sizeof(Fragment);
  for (const Fragment& fragment : fragments_) {
    bytes += fragment.begin.capacity() + fragment.end.capacity();
    bytes += fragment.sequences.capacity() * sizeof(Sequence);
  }
  return bytes;
}

}  // namespace tarn
