#include "memtable/skiplist.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <new>

#include "base/assert.h"

namespace tarn {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): the n-th number of the stream of `seed`, computed on its own, so that
// threads share nothing but the counter n.
uint64_t SplitMix64(uint64_t seed, uint64_t n) {
  uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// Equal or ordered as the keys are: a shorter key that is a prefix of the other is padded with the least byte,
// and ties are left to the full comparison.
uint64_t PrefixOf(std::string_view user_key) {
  char bytes[8] = {};
  // A key may be a default string_view, whose null data memcpy must not see.
  if (!user_key.empty()) std::memcpy(bytes, user_key.data(), std::min<size_t>(user_key.size(), sizeof(bytes)));
  uint64_t little;
  std::memcpy(&little, bytes, sizeof(little));
  return __builtin_bswap64(little);
}

void Copy(char* to, std::string_view from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

bool IsBefore(const SkipList::Node& node, const SkipList::Position& position) {
  if (node.prefix != position.prefix) return node.prefix < position.prefix;
  const int user = UserKeyOf(node.key()).compare(position.user_key);
  if (user != 0) return user < 0;
  return TrailerOf(node.key()) > position.trailer;  // newest first
}

}  // namespace

static_assert(sizeof(SkipList::Node) == 16 && alignof(SkipList::Node) <= Arena::kAlignment);
static_assert(std::atomic<SkipList::Node*>::is_always_lock_free);

SkipList::Position::Position(std::string_view key, uint64_t key_trailer)
    : user_key(key), trailer(key_trailer), prefix(PrefixOf(key)) {}

SkipList::SkipList(Arena* arena, uint64_t seed) : arena_(arena), seed_(seed) {
  static_assert(offsetof(Head, node) == sizeof(Head::tower), "the tower ends where the node begins");
}

void SkipList::Insert(std::string_view user_key, Sequence sequence, Kind kind, std::string_view value) {
  const uint64_t trailer = sequence << 8 | static_cast<uint8_t>(kind);
  const Position position(user_key, trailer);
  const int height = NextHeight();
  Node* const node = NewNode(height, user_key, trailer, position.prefix, value);

  RaiseHeight(height);
  Gap gaps[kMaxHeight];
  Node* start = head();
  for (int level = std::max(height, height_.load(std::memory_order_relaxed)) - 1; level >= 0; --level) {
    gaps[level] = FindGap(start, level, position);
    start = gaps[level].before;
  }
  // From the bottom up: whoever meets the node on a level finds it on all levels below (invariant 2).
  for (int level = 0; level < height; ++level) {
    Gap& gap = gaps[level];
    for (;;) {
      DCHECK(gap.after == nullptr || TrailerOf(gap.after->key()) != trailer ||
             UserKeyOf(gap.after->key()) != user_key);
      node->link(level).store(gap.after, std::memory_order_relaxed);  // published by the exchange below
      if (gap.before->link(level).compare_exchange_strong(gap.after, node, std::memory_order_release,
                                                          std::memory_order_relaxed)) {
        break;
      }
      gap = FindGap(gap.before, level, position);  // invariant 4
    }
  }
}

const SkipList::Node* SkipList::Last() const {
  Node* node = head();
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    while (Node* next = node->Next(level)) node = next;
  }
  return node == head() ? nullptr : node;
}

const SkipList::Node* SkipList::FirstAtOrAfter(const Position& position) const {
  Gap gap{head(), nullptr};
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    gap = FindGap(gap.before, level, position);
  }
  return gap.after;
}

const SkipList::Node* SkipList::LastBefore(const Position& position) const {
  Gap gap{head(), nullptr};
  for (int level = height_.load(std::memory_order_relaxed) - 1; level >= 0; --level) {
    gap = FindGap(gap.before, level, position);
  }
  return gap.before == head() ? nullptr : gap.before;
}

SkipList::Gap SkipList::FindGap(Node* start, int level, const Position& position) {
  Node* before = start;
  Node* after = before->Next(level);
  for (;;) {
    // Whichever way the comparison goes, what is looked at next is on its way meanwhile: nearly every node is a miss.
    if (level > 0) __builtin_prefetch(before->Next(level - 1));
    if (after == nullptr) return {before, after};
    Node* const beyond = after->Next(level);
    __builtin_prefetch(beyond);
    if (!IsBefore(*after, position)) return {before, after};
    before = after;
    after = beyond;
  }
}

SkipList::Node* SkipList::NewNode(int height, std::string_view user_key, uint64_t trailer, uint64_t prefix,
                                  std::string_view value) {
  CHECK(user_key.size() <= UINT32_MAX - kTrailerBytes);
  CHECK(value.size() <= UINT32_MAX);
  const size_t tower_bytes = static_cast<size_t>(height) * sizeof(Node::Link);
  char* const piece = arena_->Allocate(tower_bytes + sizeof(Node) + user_key.size() + kTrailerBytes + value.size());
  for (int i = 0; i < height; ++i) new (piece + static_cast<size_t>(i) * sizeof(Node::Link)) Node::Link(nullptr);
  Node* const node = new (piece + tower_bytes) Node;
  node->prefix = prefix;
  node->key_bytes = static_cast<uint32_t>(user_key.size() + kTrailerBytes);
  node->value_bytes = static_cast<uint32_t>(value.size());
  char* const bytes = piece + tower_bytes + sizeof(Node);
  Copy(bytes, user_key);
  std::memcpy(bytes + user_key.size(), &trailer, kTrailerBytes);
  Copy(bytes + user_key.size() + kTrailerBytes, value);
  return node;
}

int SkipList::NextHeight() {
  const uint64_t random = SplitMix64(seed_, inserts_.fetch_add(1, std::memory_order_relaxed));
  return std::min(1 + std::countr_zero(random | 1ull << 63) / 2, kMaxHeight);
}

void SkipList::RaiseHeight(int height) {
  int seen = height_.load(std::memory_order_relaxed);
  while (seen < height && !height_.compare_exchange_weak(seen, height, std::memory_order_relaxed)) {
  }
}

}  // namespace tarn
