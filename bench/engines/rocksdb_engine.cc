// RocksDB, set up for mixed work within one memory budget as its own guides say; README.md names them.
//
// Memory: one LRU cache of the size of the budget. Memtables are charged to it, index and filter blocks live in it.
// Durability: none = no log, process = the log is written with write() for each record, power = and synced.
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>

#include "bench/engines/adapter.h"
#include "bench/engines/leveldb_cursor.h"

namespace tarn::bench {
namespace {

// A compaction that is due and has not begun after this many looks (2 s) is one that RocksDB will not start: its
// picker may find nothing to pick although a level is over its size.
constexpr int kLooksForStart = 200;

void Must(const rocksdb::Status& status) {
  if (!status.ok()) Die("rocksdb: " + status.ToString());
}
rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }

rocksdb::BlockBasedTableOptions TableOptionsOf(const EngineConfig& config) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(config.memory_budget);
  table.block_size = 4096;  // as Tarn's, and RocksDB's default
  table.format_version = 5;
  if (config.filter_bits_per_key > 0) {
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(config.filter_bits_per_key));
    table.optimize_filters_for_memory = true;
  }
  // In the cache, so that the budget bounds them too; those of level 0 stay, as each lookup needs them.
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // A hash directory in each data block: less processor time for a get.
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  table.data_block_hash_table_util_ratio = 0.75;
  return table;
}

rocksdb::Options OptionsOf(const EngineConfig& config, const rocksdb::BlockBasedTableOptions& table) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.max_background_jobs = static_cast<int>(config.background_threads);
  options.level_compaction_dynamic_level_bytes = true;
  options.compression = config.compression ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
  options.bottommost_compression = config.compression ? rocksdb::kZSTD : rocksdb::kNoCompression;
  // Memtables as Tarn has them: an eighth of the budget each, half of it at most.
  options.write_buffer_size = std::max<uint64_t>(config.memory_budget / 8, 64 << 10);
  options.max_write_buffer_number = 4;
  options.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(config.memory_budget / 2, table.block_cache);
  // Level 1 as large as level 0 is when it is compacted, and cut into eight files.
  options.max_bytes_for_level_base =
      options.write_buffer_size * static_cast<uint64_t>(options.level0_file_num_compaction_trigger);
  options.target_file_size_base = options.max_bytes_for_level_base / 8;
  options.bytes_per_sync = 1 << 20;
  options.compaction_readahead_size = 2 << 20;
  options.enable_pipelined_write = true;
  options.use_direct_reads = config.direct_reads;
  options.stats_dump_period_sec = 0;  // no other engine writes reports meanwhile
  options.stats_persist_period_sec = 0;
  return options;
}

class RocksdbEngine final : public Engine {
 public:
  explicit RocksdbEngine(const EngineConfig& config)
      : config_(config), table_(TableOptionsOf(config)), options_(OptionsOf(config, table_)) {
    MakeDir(config.dir);
    write_.disableWAL = config.durability == Durability::kNone;
    write_.sync = config.durability == Durability::kPower;
    rocksdb::DB* db = nullptr;
    Must(rocksdb::DB::Open(options_, config.dir, &db));
    db_.reset(db);
  }
  ~RocksdbEngine() override { Must(db_->Close()); }  // flushes first what no log holds

  void Put(std::string_view key, std::string_view value) override {
    Must(db_->Put(write_, ToSlice(key), ToSlice(value)));
  }
  void Delete(std::string_view key) override { Must(db_->Delete(write_, ToSlice(key))); }

  // The overload that fills a string pins the block and copies once, as one would do with a PinnableSlice by hand.
  bool Get(std::string_view key, std::string* value) override {
    return Found(db_->Get(read_, db_->DefaultColumnFamily(), ToSlice(key), value));
  }

  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    static thread_local std::vector<rocksdb::Slice> asked;
    static thread_local std::vector<rocksdb::PinnableSlice> answers;
    static thread_local std::vector<rocksdb::Status> statuses;
    asked.clear();
    for (const std::string_view key : keys) asked.push_back(ToSlice(key));
    if (answers.size() < keys.size()) answers = std::vector<rocksdb::PinnableSlice>(keys.size());
    statuses.resize(keys.size());
    db_->MultiGet(read_, db_->DefaultColumnFamily(), keys.size(), asked.data(), answers.data(), statuses.data());
    for (size_t i = 0; i < keys.size(); ++i) {
      found[i] = Found(statuses[i]);
      if (found[i]) values[i].assign(answers[i].data(), answers[i].size());
      answers[i].Reset();  // lets go of the block
    }
  }

  std::unique_ptr<Cursor> NewCursor() override {
    return std::make_unique<LeveldbCursor<rocksdb::Iterator, rocksdb::Slice, decltype(&Must)>>(
        db_->NewIterator(read_), &Must);
  }

  // 7.8 has no public call that waits for compactions. Twice idle, because one may be scheduled between two looks.
  void Settle() override {
    Must(db_->Flush(rocksdb::FlushOptions()));
    int idle = 0, due = 0;
    while (idle < 2 && due < kLooksForStart) {
      if (Property(rocksdb::DB::Properties::kBackgroundErrors) > 0) {
        Die("rocksdb: a flush or compaction failed; its LOG in " + config_.dir + " says why");
      }
      const bool running = Property(rocksdb::DB::Properties::kNumRunningCompactions) > 0 ||
                           Property(rocksdb::DB::Properties::kNumRunningFlushes) > 0;
      const bool pending = Property(rocksdb::DB::Properties::kCompactionPending) > 0 ||
                           Property(rocksdb::DB::Properties::kMemTableFlushPending) > 0;
      idle = running || pending ? 0 : idle + 1;
      due = pending && !running ? due + 1 : 0;
      PauseBetweenPolls();
    }
  }

  std::string Describe() const override {
    static constexpr const char* kDurability[] = {"none: WAL off", "process: WAL, sync=false",
                                                  "power: WAL, sync=true"};
    return fmt::format(
        "LRUCache {} charged with memtables ({} x {}), index and filter blocks; durability {}; "
        "max_background_jobs {}; leveled, dynamic level bytes, level base {}, files {}; compression {}, bottommost "
        "{}; "
        "blocks {} with hash index, format_version {}; filter {} bits/key; pipelined writes; bytes_per_sync {}; "
        "compaction readahead {}; direct reads {}; async_io off; not in the cache: table readers' fixed part",
        Size(config_.memory_budget), options_.max_write_buffer_number, Size(options_.write_buffer_size),
        kDurability[static_cast<size_t>(config_.durability)], options_.max_background_jobs,
        Size(options_.max_bytes_for_level_base), Size(options_.target_file_size_base),
        config_.compression ? "lz4" : "none", config_.compression ? "zstd" : "none", Size(table_.block_size),
        table_.format_version, config_.filter_bits_per_key, Size(options_.bytes_per_sync),
        Size(options_.compaction_readahead_size), config_.direct_reads ? "on" : "off");
  }

 private:
  static bool Found(const rocksdb::Status& status) {
    if (status.IsNotFound()) return false;
    Must(status);
    return true;
  }
  uint64_t Property(const std::string& name) const {
    uint64_t value = 0;
    if (!db_->GetIntProperty(name, &value)) Die("rocksdb: this version lacks the property " + name);
    return value;
  }

  const EngineConfig config_;
  const rocksdb::BlockBasedTableOptions table_;
  const rocksdb::Options options_;
  rocksdb::WriteOptions write_;
  const rocksdb::ReadOptions read_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

EngineKind RocksdbKind() {
  return {"rocksdb", rocksdb::GetRocksVersionAsString(),
          [](const EngineConfig& config) { return std::make_unique<RocksdbEngine>(config); }};
}

}  // namespace tarn::bench
