// SkipList: the sorted, concurrent heart of the reference memtable. It keeps entries (internal key, value) in
// internal key order and never removes one.
//
// After W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (CACM 1990); insertion without
// locks, level by level from the bottom, after Herlihy, Lev, Luchangco and Shavit (2006), reduced to the
// insert-only case; nodes with inline keys in an arena as in LevelDB and RocksDB.
//
// A node is one piece of the arena. Its tower grows downwards from the fixed part, so that the key is always
// found at the same distance:
//
//      next[height-1] ... next[1] next[0] | prefix  key size  value size | internal key | value
//                                         ^ Node*
//
// `prefix` is the first eight bytes of the user key as a big-endian number, zero-filled: most comparisons are
// decided by it alone, without a call to memcmp.
//
// Invariants:
//   1. A node is never unlinked, moved or changed, except for the pointers of its tower.
//   2. The list of level i is sorted, and is a sub-list of that of level i-1 once an insertion has returned.
//   3. A node is reachable only after its bytes were written: every pointer to it is stored with release and
//      loaded with acquire.
//   4. A node that was found to be before a key stays before it; so a search that lost a race resumes from
//      where it stands and an insertion never starts over.
//
// There are no links back: Prev is a search, at the price of one Seek, which keeps insertion free of locks.
//
// Threads: any number may insert and read at once, without outside locks. Inserters that meet at the same place
// retry the one pointer they lost; readers never wait and never retry.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "tarn/sdk/internal_key.h"

namespace tarn {

class SkipList {
 public:
  // A tower reaches one level higher with probability 1/4, so twelve levels serve 4^12 = 16 million entries
  // without loss; beyond that searches only get slowly longer.
  static constexpr int kMaxHeight = 12;

  struct Node {
    uint64_t prefix;
    uint32_t key_bytes;  // internal key
    uint32_t value_bytes;

    std::string_view key() const { return {bytes(), key_bytes}; }
    std::string_view value() const { return {bytes() + key_bytes, value_bytes}; }
    Node* Next(int level) const { return link(level).load(std::memory_order_acquire); }

   private:
    friend class SkipList;
    using Link = std::atomic<Node*>;
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    Link& link(int level) const { return *(reinterpret_cast<Link*>(const_cast<Node*>(this)) - 1 - level); }
  };

  // A place in the order. An internal key taken apart, or (key, snapshot) without building one.
  struct Position {
    Position(std::string_view key, uint64_t key_trailer);
    explicit Position(std::string_view internal_key) : Position(UserKeyOf(internal_key), TrailerOf(internal_key)) {}
    std::string_view user_key;
    uint64_t trailer;
    uint64_t prefix;
  };

  // `seed` fixes the sequence of tower heights. The arena outlives the list.
  SkipList(Arena* arena, uint64_t seed);
  SkipList(const SkipList&) = delete;
  SkipList& operator=(const SkipList&) = delete;

  // Copies both. REQUIRES: no entry with this user key, sequence and kind exists.
  void Insert(std::string_view user_key, Sequence sequence, Kind kind, std::string_view value);

  // Null when there is none.
  const Node* First() const { return head()->Next(0); }
  const Node* Last() const;
  const Node* FirstAtOrAfter(const Position& position) const;
  const Node* LastBefore(const Position& position) const;

 private:
  // The neighbours of a position at one level: `before` may be the head, `after` may be null.
  struct Gap {
    Node* before;
    Node* after;
  };

  Node* head() const { return const_cast<Node*>(&head_.node); }
  // The gap of `position` at `level`, walking from `start`, which is before the position.
  static Gap FindGap(Node* start, int level, const Position& position);
  Node* NewNode(int height, std::string_view user_key, uint64_t trailer, uint64_t prefix, std::string_view value);
  int NextHeight();
  void RaiseHeight(int height);

  Arena* const arena_;
  const uint64_t seed_;
  std::atomic<uint64_t> inserts_{0};  // numbers the insertions, for the heights only
  std::atomic<int> height_{1};        // a hint where searches start; any value 1..kMaxHeight is correct
  // The head's tower lies before its node, as for every other node. It has no key.
  struct Head {
    Node::Link tower[kMaxHeight] = {};
    Node node = {};
  } head_;
};

}  // namespace tarn
