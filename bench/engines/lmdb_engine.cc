// LMDB: a copy-on-write B+ tree in one mapped file. One write transaction a Put; writers take turns at its mutex.
//
// Memory: it has no cache of its own. The mapped file is the cache, the kernel decides how much of it stays, and no
// budget can be given. Peak memory counts the pages that were touched.
// Durability: a commit is written with pwrite() before it is acknowledged, so no level is lower than process. power
// adds fdatasync. Without that (MDB_NOSYNC) a loss of power may damage the file, as lmdb.h says.
// Reads: a thread keeps its read transaction and renews it for each lookup; cursors keep theirs in a pool. So it is
// meant by lmdb.h, which makes beginning a read cost no lock.
#include <fmt/format.h>
#include <lmdb.h>

#include "bench/engines/adapter.h"

namespace tarn::bench {
namespace {

constexpr size_t kMapBytes = 64ull << 30;  // address space, not memory: more than any run here writes
constexpr unsigned kMaxReaders = 1024;     // read transactions at once, idle ones included

void Must(int rc) {
  if (rc == MDB_MAP_FULL)
    Die(fmt::format("lmdb: the store has outgrown its map of {}; use fewer keys", Size(kMapBytes)));
  if (rc != MDB_SUCCESS) Die(fmt::format("lmdb: {}", mdb_strerror(rc)));
}
MDB_val ToVal(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
std::string_view View(const MDB_val& val) { return {static_cast<const char*>(val.mv_data), val.mv_size}; }

// A read transaction that is kept between uses: begun once, then reset and renewed.
class ReadTxn {
 public:
  explicit ReadTxn(MDB_env* env) {
    Must(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn_));
    mdb_txn_reset(txn_);
  }
  ~ReadTxn() { mdb_txn_abort(txn_); }
  MDB_txn* Renew() {
    Must(mdb_txn_renew(txn_));
    return txn_;
  }
  void Reset() { mdb_txn_reset(txn_); }

 private:
  MDB_txn* txn_ = nullptr;
};

struct Walk {  // what a cursor needs and gives back to the pool
  Walk(MDB_env* env, MDB_dbi dbi) : txn(env) {
    Must(mdb_cursor_open(txn.Renew(), dbi, &cursor));
    txn.Reset();
  }
  ~Walk() { mdb_cursor_close(cursor); }
  ReadTxn txn;
  MDB_cursor* cursor = nullptr;
};
using Pool = std::vector<std::unique_ptr<Walk>>;

class LmdbCursor final : public Cursor {
 public:
  LmdbCursor(Pool& pool, std::unique_ptr<Walk> walk) : pool_(pool), walk_(std::move(walk)) {
    Must(mdb_cursor_renew(walk_->txn.Renew(), walk_->cursor));
  }
  ~LmdbCursor() override {
    walk_->txn.Reset();
    pool_.push_back(std::move(walk_));
  }
  void Seek(std::string_view key) override {
    if (key.empty()) return SeekToFirst();  // LMDB knows no empty key
    key_ = ToVal(key);
    Move(MDB_SET_RANGE);
  }
  void SeekToFirst() override { Move(MDB_FIRST); }
  void SeekToLast() override { Move(MDB_LAST); }
  void Next() override { Move(MDB_NEXT); }
  void Prev() override { Move(MDB_PREV); }
  bool valid() const override { return valid_; }
  std::pair<std::string_view, std::string_view> Entry() const override { return {View(key_), View(value_)}; }

 private:
  void Move(MDB_cursor_op op) {
    const int rc = mdb_cursor_get(walk_->cursor, &key_, &value_, op);
    valid_ = rc != MDB_NOTFOUND;
    if (valid_) Must(rc);
  }
  Pool& pool_;  // of the thread that made the cursor, which is the one that destroys it
  std::unique_ptr<Walk> walk_;
  MDB_val key_{}, value_{};
  bool valid_ = false;
};

class LmdbEngine final : public Engine {
 public:
  explicit LmdbEngine(const EngineConfig& config) : config_(config) {
    MakeDir(config.dir);
    Must(mdb_env_create(&env_));
    Must(mdb_env_set_mapsize(env_, kMapBytes));
    Must(mdb_env_set_maxreaders(env_, kMaxReaders));
    Must(mdb_env_open(env_, config.dir.c_str(), Flags(), 0644));
    max_key_ = static_cast<size_t>(mdb_env_get_maxkeysize(env_));
    Write([this](MDB_txn* txn) { return mdb_dbi_open(txn, nullptr, 0, &dbi_); });
  }
  ~LmdbEngine() override {
    readers_.Clear();
    pools_.Clear();
    Must(mdb_env_sync(env_, 1));
    mdb_env_close(env_);
  }

  void Put(std::string_view key, std::string_view value) override {
    if (key.size() > max_key_) {
      Die(fmt::format("lmdb: a key of {} bytes; it takes at most {}: use shorter keys, or leave lmdb out", key.size(),
                      max_key_));
    }
    MDB_val k = ToVal(key), v = ToVal(value);
    Write([&](MDB_txn* txn) { return mdb_put(txn, dbi_, &k, &v, 0); });
  }
  void Delete(std::string_view key) override {
    MDB_val k = ToVal(key);
    Write([&](MDB_txn* txn) {
      const int rc = mdb_del(txn, dbi_, &k, nullptr);
      return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
    });
  }
  bool Get(std::string_view key, std::string* value) override {
    ReadTxn& reader = Reader();
    const bool found = Lookup(reader.Renew(), key, value);
    reader.Reset();
    return found;
  }
  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    ReadTxn& reader = Reader();
    MDB_txn* txn = reader.Renew();
    for (size_t i = 0; i < keys.size(); ++i) found[i] = Lookup(txn, keys[i], &values[i]);
    reader.Reset();
  }
  std::unique_ptr<Cursor> NewCursor() override {
    Pool& pool = pools_.Get([] { return std::make_unique<Pool>(); });
    if (pool.empty()) pool.push_back(std::make_unique<Walk>(env_, dbi_));
    std::unique_ptr<Walk> walk = std::move(pool.back());
    pool.pop_back();
    return std::make_unique<LmdbCursor>(pool, std::move(walk));
  }
  // There is no work in the background. The file is synced, as the flushes of others are.
  void Settle() override { Must(mdb_env_sync(env_, 1)); }

  std::string Describe() const override {
    static constexpr const char* kDurability[] = {"none: as process, since a commit is always written (MDB_NOSYNC)",
                                                  "process: MDB_NOSYNC", "power: fdatasync at each commit"};
    return fmt::format(
        "map {}, one transaction a write; no memory budget (the page cache is its cache); durability {}; no "
        "compression, filters or background threads; keys up to {} bytes; {}",
        Size(kMapBytes), kDurability[static_cast<size_t>(config_.durability)], max_key_,
        config_.direct_reads ? "no direct reads: MDB_NORDAHEAD instead, meant for data larger than memory"
                             : "readahead by the kernel");
  }

 private:
  unsigned Flags() const {
    unsigned flags = MDB_NOTLS | MDB_NOMEMINIT;
    if (config_.durability != Durability::kPower) flags |= MDB_NOSYNC;
    if (config_.direct_reads) flags |= MDB_NORDAHEAD;
    return flags;
  }
  ReadTxn& Reader() {
    return readers_.Get([this] { return std::make_unique<ReadTxn>(env_); });
  }
  bool Lookup(MDB_txn* txn, std::string_view key, std::string* value) const {
    MDB_val k = ToVal(key), v{};
    const int rc = mdb_get(txn, dbi_, &k, &v);
    if (rc == MDB_NOTFOUND) return false;
    Must(rc);
    value->assign(static_cast<const char*>(v.mv_data), v.mv_size);
    return true;
  }
  template <class Change>
  void Write(const Change& change) {
    MDB_txn* txn = nullptr;
    Must(mdb_txn_begin(env_, nullptr, 0, &txn));
    Must(change(txn));
    Must(mdb_txn_commit(txn));
  }

  const EngineConfig config_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  size_t max_key_ = 0;
  PerThread<ReadTxn> readers_;
  PerThread<Pool> pools_;
};

}  // namespace

EngineKind LmdbKind() {
  int major = 0, minor = 0, patch = 0;
  mdb_version(&major, &minor, &patch);
  return {"lmdb", fmt::format("{}.{}.{}", major, minor, patch),
          [](const EngineConfig& config) { return std::make_unique<LmdbEngine>(config); }};
}

}  // namespace tarn::bench
