#include "kernel/block_cache.h"

#include <algorithm>
#include <bit>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/mutex.h"
#include "format/block_memory.h"

namespace tarn::kernel {
namespace {

// What S3-FIFO's authors found best over their traces: a tenth of the bytes for newcomers, counters of 2 bits.
constexpr uint64_t kSmallShare = 10;
constexpr uint8_t kMaxHits = 3;

// Memory of one entry besides its bytes and Entry: bucket and ghosts (24 bytes, up to twice that after the table
// doubled), and its share of what is mapped and not handed out.
constexpr uint64_t kOverheadBytes = 80;

// Memory of evicted blocks that is not given back: moving blocks costs less and less the more of it there may be.
constexpr uint64_t kIdleShare = 16;
constexpr uint64_t kIdleLeast = 4 << 20;

// splitmix64's finaliser over both numbers: offsets are multiples of small sizes, so low bits need mixing.
uint64_t HashOf(uint64_t table, uint64_t offset) {
  uint64_t x = table * 0x9e3779b97f4a7c15ull + offset;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace

// What Peek looks at is the first cache line, and does not change while it can be reached, the chain excepted.
// Entries live where blocks live, on huge pages, because a lookup jumps to them as it does to blocks.
struct BlockCache::Entry final : Reclaimer::Object {
  Entry(uint64_t t, uint64_t o, uint64_t h, BlockRef b, uint64_t bytes)
      : table(t), offset(o), block(b.get()), end(b->end()), hash(h), charge(bytes), held(std::move(b)) {}
  static constexpr size_t kPieceBytes = 192;  // whole cache lines
  static void* operator new(size_t) noexcept {
    static_assert(kPieceBytes % 64 == 0 && sizeof(Entry) <= kPieceBytes);
    return AllocateBlock(kPieceBytes);
  }
  static void operator delete(void* piece) { FreeBlock(piece, kPieceBytes); }

  const uint64_t table, offset;
  const Block* const block;
  const char* const end;               // of the block
  std::atomic<Entry*> chain{nullptr};  // same bucket
  std::atomic<uint8_t> hits{0};
  bool in_main = false;
  const uint64_t hash, charge;
  const BlockRef held;
  Entry *newer = nullptr, *older = nullptr;                // same queue
  Entry *table_next = nullptr, *table_previous = nullptr;  // same table

  void Use() {
    const uint8_t now = hits.load(std::memory_order_relaxed);
    if (now < kMaxHits) hits.store(now + 1, std::memory_order_relaxed);  // a lost count does not matter
  }
};

// The heads of the chains, a power of two of them.
struct BlockCache::Buckets final : Reclaimer::Object {
  explicit Buckets(size_t n) : heads(n) {}
  std::atomic<Entry*>& Of(uint64_t hash) { return heads[hash & (heads.size() - 1)]; }
  std::vector<std::atomic<Entry*>> heads;
};

// A sixteenth of the cache: a hash table, the two queues, the ghost, and a list of entries for each table.
class alignas(64) BlockCache::Shard {
 public:
  explicit Shard(Reclaimer* reclaimer) : reclaimer_(reclaimer) {}
  ~Shard() {
    Buckets* const buckets = buckets_.load();
    if (buckets == nullptr) return;
    for (const std::atomic<Entry*>& head : buckets->heads) {
      for (Entry* entry = head.load(); entry != nullptr;) delete std::exchange(entry, entry->chain.load());
    }
    delete buckets;
  }

  BlockRef Lookup(uint64_t table, uint64_t offset, uint64_t hash) {
    MutexLock lock(mutex_);
    Entry* entry = Find(table, offset, hash);
    if (entry == nullptr) return nullptr;
    entry->Use();
    return entry->held;
  }

  BlockRef Peek(uint64_t table, uint64_t offset, uint64_t hash) {
    Entry* entry = Find(table, offset, hash);
    if (entry == nullptr) return nullptr;
    // Its size and its index stand at its two ends, and both are looked at next.
    __builtin_prefetch(entry->block);
    __builtin_prefetch(entry->end - 1);
    entry->Use();
    return BlockRef::Borrow(entry->block);
  }

  void Prefetch(uint64_t hash, Way way) {
    Buckets* const buckets = buckets_.load();
    if (buckets == nullptr) return;
    std::atomic<Entry*>& head = buckets->Of(hash);
    __builtin_prefetch(way == Way::kBucket ? static_cast<const void*>(&head) : head.load());
  }

  bool Contains(uint64_t table, uint64_t offset, uint64_t hash) {
    MutexLock lock(mutex_);
    return Find(table, offset, hash) != nullptr;
  }

  // Takes over `entry`, unless its block is here already.
  bool Insert(Entry* entry) {
    MutexLock lock(mutex_);
    if (Find(entry->table, entry->offset, entry->hash) != nullptr) return false;
    // What may find no memory comes first, so that it changes nothing.
    if (buckets_.load() == nullptr || count_ >= buckets_.load()->heads.size()) Grow();
    Entry*& head = tables_[entry->table];
    ++count_;
    entry->in_main = TakeGhost(entry->hash);
    Chain(entry, buckets_.load());
    Push(entry);
    entry->table_next = head;
    if (head != nullptr) head->table_previous = entry;
    head = entry;
    return true;
  }

  // Which block lies at `place`; without one if the cache has none there.
  struct Held {
    uint64_t table = 0, offset = 0, charge = 0;
    BlockRef block;
  };
  Held HeldAt(uint64_t hash, const void* place) {
    MutexLock lock(mutex_);
    const Entry* entry = HolderOf(hash, place);
    return entry != nullptr ? Held{entry->table, entry->offset, entry->charge, entry->held} : Held{};
  }

  // Takes over `fresh` in place of the entry that holds the block at `place`, and returns that one, for the caller to
  // free; null when it is not there any more.
  Entry* Replace(Entry* fresh, const void* place) {
    MutexLock lock(mutex_);
    Entry* const old = HolderOf(fresh->hash, place);
    if (old == nullptr) return nullptr;
    fresh->hits.store(old->hits.load(std::memory_order_relaxed), std::memory_order_relaxed);
    fresh->in_main = old->in_main;
    ++count_;
    Chain(fresh, buckets_.load());  // first, so that a reader meets one of the two
    Unchain(old);
    Queue& queue = old->in_main ? main_ : small_;
    fresh->newer = old->newer;
    fresh->older = old->older;
    (old->newer != nullptr ? old->newer->older : queue.newest) = fresh;
    (old->older != nullptr ? old->older->newer : queue.oldest) = fresh;
    fresh->table_next = old->table_next;
    fresh->table_previous = old->table_previous;
    if (old->table_next != nullptr) old->table_next->table_previous = fresh;
    (old->table_previous != nullptr ? old->table_previous->table_next : tables_[old->table]) = fresh;
    return old;
  }

  // The entry to be given up, unlinked, for the caller to free; null when there is none.
  Entry* Evict() {
    MutexLock lock(mutex_);
    while (count_ > 0) {
      const bool from_small = small_.bytes * kSmallShare > small_.bytes + main_.bytes || main_.oldest == nullptr;
      Entry* entry = from_small ? small_.oldest : main_.oldest;
      Unqueue(entry);
      if (!entry->in_main && entry->hits > 1) {
        entry->in_main = true;
        entry->hits = 0;
      } else if (entry->in_main && entry->hits > 0) {
        --entry->hits;
      } else {
        if (!entry->in_main) AddGhost(entry->hash);
        Unlink(entry);
        return entry;
      }
      Push(entry);  // a second chance, at the young end of main
    }
    return nullptr;
  }

  // Unlinks all entries of a table and returns them as a list over table_next.
  Entry* TakeTable(uint64_t table) {
    MutexLock lock(mutex_);
    const auto found = tables_.find(table);
    if (found == tables_.end()) return nullptr;
    Entry* const head = found->second;
    tables_.erase(found);
    for (Entry* entry = head; entry != nullptr; entry = entry->table_next) {
      Unqueue(entry);
      Unchain(entry);
    }
    return head;
  }

  // For choosing a victim; may be a moment old.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Queue {
    Entry *newest = nullptr, *oldest = nullptr;
    uint64_t bytes = 0;
  };
  // Which blocks left the small queue lately: sets of eight, a cache line each, that forget by overwriting their
  // oldest and by age, where time is counted in evictions.
  struct Ghost {
    uint32_t fingerprint = 0;  // 0: free
    uint32_t time = 0;
  };
  using GhostSet = std::array<Ghost, 8>;

  // With the mutex, or inside a guard.
  Entry* Find(uint64_t table, uint64_t offset, uint64_t hash) {
    Buckets* const buckets = buckets_.load();
    if (buckets == nullptr) return nullptr;
    Entry* entry = buckets->Of(hash).load();
    while (entry != nullptr && (entry->offset != offset || entry->table != table)) entry = entry->chain.load();
    return entry;
  }

  Entry* HolderOf(uint64_t hash, const void* place) REQUIRES(mutex_) {
    Buckets* const buckets = buckets_.load();
    if (buckets == nullptr) return nullptr;
    Entry* entry = buckets->Of(hash).load();
    while (entry != nullptr && (entry->hash != hash || entry->block != place)) entry = entry->chain.load();
    return entry;
  }

  static void Chain(Entry* entry, Buckets* buckets) {
    std::atomic<Entry*>& head = buckets->Of(entry->hash);
    entry->chain.store(head.load());
    head.store(entry);
  }

  // A reader that is in a chain while its entries move to others misses some, but comes to an end: each chain has
  // one.
  void Grow() REQUIRES(mutex_) {
    Buckets* const old = buckets_.load();
    auto fresh = std::make_unique<Buckets>(old != nullptr ? old->heads.size() * 2 : 64);
    std::vector<GhostSet> ghosts(fresh->heads.size() * 2 / std::tuple_size_v<GhostSet>);
    ghosts_.swap(ghosts);
    if (old != nullptr) {
      for (const std::atomic<Entry*>& head : old->heads) {
        for (Entry* entry = head.load(); entry != nullptr;) {
          Entry* const next = entry->chain.load();
          Chain(entry, fresh.get());
          entry = next;
        }
      }
    }
    buckets_.store(fresh.release());
    if (old != nullptr) reclaimer_->Retire(old);
  }

  void Push(Entry* entry) REQUIRES(mutex_) {
    Queue& queue = entry->in_main ? main_ : small_;
    entry->newer = nullptr;
    entry->older = queue.newest;
    (queue.newest != nullptr ? queue.newest->newer : queue.oldest) = entry;
    queue.newest = entry;
    queue.bytes += entry->charge;
    bytes_.store(small_.bytes + main_.bytes, std::memory_order_relaxed);
  }

  void Unqueue(Entry* entry) REQUIRES(mutex_) {
    Queue& queue = entry->in_main ? main_ : small_;
    (entry->newer != nullptr ? entry->newer->older : queue.newest) = entry->older;
    (entry->older != nullptr ? entry->older->newer : queue.oldest) = entry->newer;
    queue.bytes -= entry->charge;
    bytes_.store(small_.bytes + main_.bytes, std::memory_order_relaxed);
  }

  void Unchain(Entry* entry) REQUIRES(mutex_) {
    std::atomic<Entry*>* link = &buckets_.load()->Of(entry->hash);
    while (link->load() != entry) link = &link->load()->chain;
    link->store(entry->chain.load());
    --count_;
  }

  // From hash table and table list; the entry is out of its queue already.
  void Unlink(Entry* entry) REQUIRES(mutex_) {
    Unchain(entry);
    if (entry->table_next != nullptr) entry->table_next->table_previous = entry->table_previous;
    if (entry->table_previous != nullptr) {
      entry->table_previous->table_next = entry->table_next;
    } else if (entry->table_next != nullptr) {
      tables_[entry->table] = entry->table_next;
    } else {
      tables_.erase(entry->table);
    }
  }

  // The bucket uses the low bits of the hash, the shard the highest; the fingerprint takes the middle.
  static uint32_t FingerprintOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 24) | 1; }

  // Replaces the oldest of its set.
  void AddGhost(uint64_t hash) REQUIRES(mutex_) {
    GhostSet& set = GhostSetOf(hash);
    ++evictions_;
    Ghost* oldest = &set[0];
    for (Ghost& ghost : set) {
      if (AgeOf(ghost) > AgeOf(*oldest)) oldest = &ghost;
    }
    *oldest = {FingerprintOf(hash), evictions_};
  }

  // True, and forgotten, if the block left the small queue no more evictions ago than there are entries now.
  bool TakeGhost(uint64_t hash) REQUIRES(mutex_) {
    for (Ghost& ghost : GhostSetOf(hash)) {
      if (ghost.fingerprint != FingerprintOf(hash)) continue;
      const bool recent = AgeOf(ghost) <= count_;
      ghost = {};
      return recent;
    }
    return false;
  }

  GhostSet& GhostSetOf(uint64_t hash) REQUIRES(mutex_) { return ghosts_[hash & (ghosts_.size() - 1)]; }
  uint32_t AgeOf(const Ghost& ghost) const REQUIRES(mutex_) {
    return ghost.fingerprint == 0 ? UINT32_MAX : evictions_ - ghost.time;
  }

  Reclaimer* const reclaimer_;
  std::atomic<Buckets*> buckets_{nullptr};  // at least one an entry; changed under the mutex
  Mutex mutex_;
  std::vector<GhostSet> ghosts_ GUARDED_BY(mutex_);  // two ghosts a bucket, so few are overwritten too early
  Queue small_ GUARDED_BY(mutex_), main_ GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, Entry*> tables_ GUARDED_BY(mutex_);  // first of the list over table_next
  size_t count_ GUARDED_BY(mutex_) = 0;
  uint32_t evictions_ GUARDED_BY(mutex_) = 0;  // wraps; only differences matter
  std::atomic<uint64_t> bytes_{0};
};

BlockCache::BlockCache(MemoryBudget* budget) : budget_(budget) {
  for (auto& shard : shards_) shard = std::make_unique<Shard>(&reclaimer_);
}

BlockCache::~BlockCache() { budget_->Release(bytes()); }

uint64_t BlockCache::bytes() const { return bytes_.load(std::memory_order_relaxed); }

BlockCache::Shard& BlockCache::ShardOf(uint64_t hash) {
  static_assert(std::has_single_bit(kShards));
  return *shards_[hash >> (64 - std::countr_zero(kShards))];
}

BlockRef BlockCache::Lookup(uint64_t table, uint64_t offset) {
  const uint64_t hash = HashOf(table, offset);
  return ShardOf(hash).Lookup(table, offset, hash);
}

BlockRef BlockCache::Peek(uint64_t table, uint64_t offset) {
  const uint64_t hash = HashOf(table, offset);
  return ShardOf(hash).Peek(table, offset, hash);
}

void BlockCache::Prefetch(uint64_t table, uint64_t offset, Way way) {
  const uint64_t hash = HashOf(table, offset);
  ShardOf(hash).Prefetch(hash, way);
}

bool BlockCache::Contains(uint64_t table, uint64_t offset) {
  const uint64_t hash = HashOf(table, offset);
  return ShardOf(hash).Contains(table, offset, hash);
}

void BlockCache::Insert(uint64_t table, uint64_t offset, BlockRef block) {
  const uint64_t hash = HashOf(table, offset);
  const uint64_t charge = Entry::kPieceBytes + kOverheadBytes + block->memory_bytes();
  if (charge > budget_->limit()) return;  // would push out everything and still not fit
  const size_t home = hash >> (64 - std::countr_zero(kShards));
  block->set_mark(hash);
  auto entry = std::make_unique<Entry>(table, offset, hash, std::move(block), charge);
  if (entry == nullptr) return;  // no memory
  while (!budget_->TryCharge(charge)) {
    if (!EvictOne(home)) return;
  }
  bytes_.fetch_add(charge, std::memory_order_relaxed);
  // Given back unless the entry stays, also when there is no memory for a place in the shard.
  const auto give_back = [this](Entry* unwanted) {
    bytes_.fetch_sub(unwanted->charge, std::memory_order_relaxed);
    budget_->Release(unwanted->charge);
    delete unwanted;
  };
  std::unique_ptr<Entry, decltype(give_back)> charged(entry.release(), give_back);
  if (shards_[home]->Insert(charged.get())) (void)charged.release();
}

void BlockCache::EraseTable(uint64_t table) {
  for (auto& shard : shards_) {
    Entry* entry = shard->TakeTable(table);
    while (entry != nullptr) {
      bytes_.fetch_sub(entry->charge, std::memory_order_relaxed);
      budget_->Release(entry->charge);
      reclaimer_.Retire(std::exchange(entry, entry->table_next));
    }
  }
}

void BlockCache::Shrink() {
  if (!budget_->over()) return;
  while (budget_->over() && EvictOne(hand_.load(std::memory_order_relaxed) % kShards)) {
  }
  while (IdleBlockBytes() > kIdleLeast + bytes() / kIdleShare && EmptySlab()) {
  }
}

// Moves the blocks of one slab to others. False when that gave nothing back: they are held, or another store's.
bool BlockCache::EmptySlab() {
  std::vector<std::pair<uint64_t, const void*>> places;
  const auto note = [&places](const void* place) { places.emplace_back(Block::MarkAt(place), place); };
  if (!ThinBlocks(note)) return false;
  size_t moved = 0;
  for (const auto& [mark, place] : places) moved += Move(mark, place) ? 1 : 0;
  return moved > 0;
}

// The block that is marked so and lies there, if it is still the cache's.
bool BlockCache::Move(uint64_t mark, const void* place) {
  const Shard::Held held = ShardOf(mark).HeldAt(mark, place);
  if (held.block == nullptr) return false;
  BlockRef copy = Block::Copy(held.block->bytes());
  if (copy == nullptr) return false;
  copy->set_mark(mark);
  auto fresh = std::make_unique<Entry>(held.table, held.offset, mark, std::move(copy), held.charge);
  if (fresh == nullptr) return false;
  Entry* const old = ShardOf(mark).Replace(fresh.get(), place);
  if (old == nullptr) return false;
  (void)fresh.release();
  reclaimer_.Retire(old);
  return true;
}

// One block, from a shard that holds at least its share. False when the cache is empty.
bool BlockCache::EvictOne(size_t preferred) {
  for (size_t tries = 0; tries < kShards; ++tries) {
    const size_t victim = PickVictim(preferred);
    if (Entry* entry = shards_[victim]->Evict(); entry != nullptr) {
      bytes_.fetch_sub(entry->charge, std::memory_order_relaxed);
      budget_->Release(entry->charge);
      reclaimer_.Retire(entry);
      return true;
    }
    if (bytes() == 0) return false;
  }
  return false;  // others evicted what we saw; the caller looks at the budget again
}

// Keeps shards of about equal size, also when the cache holds fewer blocks than there are shards.
size_t BlockCache::PickVictim(size_t preferred) {
  const uint64_t share = bytes() / kShards;
  if (shards_[preferred]->bytes() > share) return preferred;
  size_t fullest = hand_.fetch_add(1, std::memory_order_relaxed) % kShards;
  const size_t start = fullest;
  for (size_t i = 1; i < kShards; ++i) {
    const size_t candidate = (start + i) % kShards;
    if (shards_[candidate]->bytes() > shards_[fullest]->bytes()) fullest = candidate;
  }
  return fullest;
}

}  // namespace tarn::kernel
