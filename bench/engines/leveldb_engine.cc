// LevelDB, with the few options it has. README.md says which advice is followed.
//
// Memory: two write buffers (an eighth of the budget each; one fills while one is flushed) and the block cache; an
// eighth is left for the index and filter of each open table, which LevelDB keeps outside of the cache.
// Durability: always a log. Each record is written with write(), so process is its lowest level; power = sync.
#include <fmt/format.h>
#include <leveldb/c.h>
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "bench/engines/adapter.h"
#include "bench/engines/leveldb_cursor.h"

namespace tarn::bench {
namespace {

// db/dbformat.h and db/version_set.cc of LevelDB 1.23: what makes a level due for compaction.
constexpr size_t kLevels = 7;
constexpr size_t kLevel0Trigger = 4;
constexpr uint64_t kLevel1Bytes = 10 << 20;  // each further level ten times as many; the last one any

void Must(const leveldb::Status& status) {
  if (!status.ok()) Die("leveldb: " + status.ToString());
}
leveldb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }

// Whether a level is over its limit, from the property leveldb.sstables: "--- level 2 ---", then for each table
// " 17:2097152['first' .. 'last']", with keys escaped so that none holds a newline.
bool CompactionIsDue(std::string_view tables) {
  std::array<uint64_t, kLevels> bytes{}, files{};
  size_t level = 0;
  while (!tables.empty()) {
    const std::string_view line = tables.substr(0, tables.find('\n'));
    tables.remove_prefix(std::min(tables.size(), line.size() + 1));
    constexpr std::string_view kHead = "--- level ";
    if (line.starts_with(kHead)) {
      level = static_cast<size_t>(line[kHead.size()] - '0');
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos && level < kLevels) {
      uint64_t size = 0;
      std::from_chars(line.data() + colon + 1, line.data() + line.size(), size);
      bytes[level] += size;
      ++files[level];
    }
  }
  if (files[0] >= kLevel0Trigger) return true;
  uint64_t limit = kLevel1Bytes;
  for (level = 1; level + 1 < kLevels; ++level, limit *= 10) {
    if (bytes[level] >= limit) return true;
  }
  return false;
}

class LeveldbEngine final : public Engine {
 public:
  explicit LeveldbEngine(const EngineConfig& config)
      : config_(config),
        cache_bytes_(config.memory_budget / 8 * 5),
        cache_(leveldb::NewLRUCache(cache_bytes_)),
        filter_(config.filter_bits_per_key == 0
                    ? nullptr
                    : leveldb::NewBloomFilterPolicy(static_cast<int>(config.filter_bits_per_key))) {
    MakeDir(config.dir);
    options_.create_if_missing = true;
    options_.write_buffer_size = config.memory_budget / 8;
    options_.block_cache = cache_.get();
    options_.filter_policy = filter_.get();
    options_.compression = config.compression ? leveldb::kSnappyCompression : leveldb::kNoCompression;
    write_.sync = config.durability == Durability::kPower;
    leveldb::DB* db = nullptr;
    Must(leveldb::DB::Open(options_, config.dir, &db));
    db_.reset(db);
  }

  void Put(std::string_view key, std::string_view value) override {
    Must(db_->Put(write_, ToSlice(key), ToSlice(value)));
  }
  void Delete(std::string_view key) override { Must(db_->Delete(write_, ToSlice(key))); }
  bool Get(std::string_view key, std::string* value) override {
    const leveldb::Status status = db_->Get(read_, ToSlice(key), value);
    if (status.IsNotFound()) return false;
    Must(status);
    return true;
  }
  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    for (size_t i = 0; i < keys.size(); ++i) found[i] = Get(keys[i], &values[i]);
  }
  std::unique_ptr<Cursor> NewCursor() override {
    return std::make_unique<LeveldbCursor<leveldb::Iterator, leveldb::Slice, decltype(&Must)>>(
        db_->NewIterator(read_), &Must);
  }

  // LevelDB offers nothing to wait on, but CompactRange goes through its one background thread: when it returns, what
  // ran before has ended. Over a range that holds no key it flushes the memtable and merges nothing. A compaction may
  // also be due because of reads; it begins within the pause, and the tables change.
  void Settle() override {
    for (std::string before, now;; before = std::exchange(now, {})) {
      CompactNothing();
      if (!db_->GetProperty("leveldb.sstables", &now))
        Die("leveldb: this version lacks the property leveldb.sstables");
      if (now == before && !CompactionIsDue(now)) return;
      // A failed compaction is never tried again; a write says so.
      leveldb::WriteBatch empty;
      Must(db_->Write({}, &empty));
      PauseBetweenPolls();
    }
  }

  std::string Describe() const override {
    return fmt::format(
        "block cache {}, write buffer 2 x {}, the rest of {} for indexes and filters of open tables; durability {}; "
        "one background thread; compression {} at all levels; filter {} bits/key; blocks {}; tables {}, mapped into "
        "memory, so peak memory counts cached pages of them too{}",
        Size(cache_bytes_), Size(options_.write_buffer_size), Size(config_.memory_budget), DurabilityText(),
        config_.compression ? "snappy" : "none", config_.filter_bits_per_key, Size(options_.block_size),
        Size(options_.max_file_size), config_.direct_reads ? "; no direct reads: it has none" : "");
  }

 private:
  void CompactNothing() {
    static const std::string beyond(600, '\xff');
    const leveldb::Slice begin = beyond, end = beyond;
    db_->CompactRange(&begin, &end);
  }
  const char* DurabilityText() const {
    switch (config_.durability) {
      case Durability::kNone: return "process (it cannot do without its log), sync=false";
      case Durability::kProcess: return "process, sync=false";
      case Durability::kPower: return "power, sync=true";
    }
    return "";
  }

  const EngineConfig config_;
  const uint64_t cache_bytes_;
  const std::unique_ptr<leveldb::Cache> cache_;
  const std::unique_ptr<const leveldb::FilterPolicy> filter_;
  leveldb::Options options_;
  leveldb::WriteOptions write_;
  const leveldb::ReadOptions read_;
  std::unique_ptr<leveldb::DB> db_;  // last: uses all of the above
};

}  // namespace

EngineKind LeveldbKind() {
  return {"leveldb", fmt::format("{}.{}", leveldb_major_version(), leveldb_minor_version()),
          [](const EngineConfig& config) { return std::make_unique<LeveldbEngine>(config); }};
}

}  // namespace tarn::bench
