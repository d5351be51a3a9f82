// WiredTiger: one B-tree file, set up as MongoDB does for its collections and as WiredTiger's own comparison with
// LevelDB did where the two differ in page size. README.md has the sources.
//
// Memory: the cache is the budget; WiredTiger itself takes 8 % off for what the allocator adds. Log buffers and
// sessions come on top.
// Durability: none = no log (a checkpoint a minute); process = each commit waits until its log record was written
// with write() (transaction_sync method=none); without transaction_sync it would rest in a buffer of the process and
// be lost with it. power = the same with fsync, shared by commits that come together.
// Threads: a session and its cursor belong to one thread at a time, so each thread keeps its own; ordered cursors
// hold a snapshot transaction, so each has a session to itself, from a pool.
#include <fmt/format.h>
#include <wiredtiger.h>

#include <algorithm>
#include <utility>

#include "bench/engines/adapter.h"

namespace tarn::bench {
namespace {

constexpr const char* kUri = "file:tarn_bench.wt";
constexpr unsigned kSessions = 1024;  // each thread and each open cursor has one

void Must(int rc) {
  if (rc != 0) Die(fmt::format("wiredtiger: {}", wiredtiger_strerror(rc)));
}
WT_ITEM ToItem(std::string_view text) {
  WT_ITEM item{};
  item.data = text.data();
  item.size = text.size();
  return item;
}
std::string_view View(const WT_ITEM& item) { return {static_cast<const char*>(item.data), item.size}; }

// A session with a cursor on the table.
class Handle {
 public:
  explicit Handle(WT_CONNECTION* connection) {
    Must(connection->open_session(connection, nullptr, nullptr, &session_));
    Must(session_->open_cursor(session_, kUri, nullptr, nullptr, &cursor_));
  }
  ~Handle() { Must(session_->close(session_, nullptr)); }  // closes the cursor
  Handle(const Handle&) = delete;
  WT_SESSION* session() const { return session_; }
  WT_CURSOR* cursor() const { return cursor_; }

 private:
  WT_SESSION* session_ = nullptr;
  WT_CURSOR* cursor_ = nullptr;
};
using Pool = std::vector<std::unique_ptr<Handle>>;

class WiredtigerCursor final : public Cursor {
 public:
  WiredtigerCursor(Pool& pool, std::unique_ptr<Handle> handle)
      : pool_(pool), handle_(std::move(handle)), cursor_(handle_->cursor()) {
    Must(handle_->session()->begin_transaction(handle_->session(), "isolation=snapshot"));
  }
  ~WiredtigerCursor() override {
    Must(handle_->session()->rollback_transaction(handle_->session(), nullptr));  // it only read
    pool_.push_back(std::move(handle_));
  }
  void Seek(std::string_view key) override {
    if (key.empty()) return SeekToFirst();
    WT_ITEM item = ToItem(key);
    cursor_->set_key(cursor_, &item);
    int order = 0;
    Arrive(cursor_->search_near(cursor_, &order));
    if (valid_ && order < 0) Next();
  }
  void SeekToFirst() override {
    Must(cursor_->reset(cursor_));
    Next();
  }
  void SeekToLast() override {
    Must(cursor_->reset(cursor_));
    Prev();
  }
  void Next() override { Arrive(cursor_->next(cursor_)); }
  void Prev() override { Arrive(cursor_->prev(cursor_)); }
  bool valid() const override { return valid_; }
  std::pair<std::string_view, std::string_view> Entry() const override {
    WT_ITEM key{}, value{};
    Must(cursor_->get_key(cursor_, &key));
    Must(cursor_->get_value(cursor_, &value));
    return {View(key), View(value)};
  }

 private:
  void Arrive(int rc) {
    valid_ = rc != WT_NOTFOUND;
    if (valid_) Must(rc);
  }
  Pool& pool_;  // of the thread that made the cursor, which is the one that destroys it
  std::unique_ptr<Handle> handle_;
  WT_CURSOR* const cursor_;
  bool valid_ = false;
};

std::string ConnectionText(const EngineConfig& config) {
  const uint32_t evictors = std::min(config.background_threads, 20u);  // its limit
  std::string text = fmt::format("create,cache_size={},session_max={},eviction=(threads_min={},threads_max={})",
                                 config.memory_budget, kSessions, evictors, evictors);
  if (config.durability == Durability::kNone) {
    text += ",checkpoint=(wait=60)";
  } else {
    // It preallocates log files, by default of 100 MB each; as large as the memtables of others takes less space.
    text += fmt::format(
        ",checkpoint=(wait=60,log_size=2GB),log=(enabled=true,file_max={}),"
        "transaction_sync=(enabled=true,method={})",
        std::max<uint64_t>(config.memory_budget / 8, 1 << 20),
        config.durability == Durability::kPower ? "fsync" : "none");
  }
  if (config.direct_reads) text += ",direct_io=[data]";
#ifdef TARN_BENCH_WIREDTIGER_SNAPPY
  text += ",extensions=[" TARN_BENCH_WIREDTIGER_SNAPPY "]";
#endif
  return text;
}

std::string TableText(const EngineConfig& config) {
  // In memory a page may grow to a tenth of the cache at most.
  const uint64_t in_memory = std::min<uint64_t>(10 << 20, config.memory_budget / 10);
  std::string text = fmt::format(
      "key_format=u,value_format=u,internal_page_max=16KB,leaf_page_max=16KB,leaf_value_max=64MB,"
      "memory_page_max={},block_compressor=",
      in_memory);
#ifdef TARN_BENCH_WIREDTIGER_SNAPPY
  if (config.compression) return text + "snappy";
#endif
  return text + "none";
}

class WiredtigerEngine final : public Engine {
 public:
  explicit WiredtigerEngine(const EngineConfig& config)
      : config_(config), connection_text_(ConnectionText(config)), table_text_(TableText(config)) {
    MakeDir(config.dir);
    Must(wiredtiger_open(config.dir.c_str(), nullptr, connection_text_.c_str(), &connection_));
    WT_SESSION* session = nullptr;
    Must(connection_->open_session(connection_, nullptr, nullptr, &session));
    Must(session->create(session, kUri, table_text_.c_str()));  // keeps one that is there
    Must(session->close(session, nullptr));
  }
  ~WiredtigerEngine() override {
    handles_.Clear();
    pools_.Clear();
    Must(connection_->close(connection_, nullptr));  // with a checkpoint
  }

  void Put(std::string_view key, std::string_view value) override {
    WT_CURSOR* cursor = Mine().cursor();
    WT_ITEM k = ToItem(key), v = ToItem(value);
    int rc = 0;
    do {  // WT_ROLLBACK: another thread changed the same key meanwhile
      cursor->set_key(cursor, &k);
      cursor->set_value(cursor, &v);
      rc = cursor->insert(cursor);  // over what is there; keeps no position
    } while (rc == WT_ROLLBACK);
    Must(rc);
  }
  void Delete(std::string_view key) override {
    WT_CURSOR* cursor = Mine().cursor();
    WT_ITEM k = ToItem(key);
    int rc = 0;
    do {
      cursor->set_key(cursor, &k);
      rc = cursor->remove(cursor);
    } while (rc == WT_ROLLBACK);
    if (rc != WT_NOTFOUND) Must(rc);
    Must(cursor->reset(cursor));
  }
  bool Get(std::string_view key, std::string* value) override { return Lookup(Mine().cursor(), key, value); }
  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    WT_CURSOR* cursor = Mine().cursor();
    for (size_t i = 0; i < keys.size(); ++i) found[i] = Lookup(cursor, keys[i], &values[i]);
  }
  std::unique_ptr<Cursor> NewCursor() override {
    Pool& pool = pools_.Get([] { return std::make_unique<Pool>(); });
    if (pool.empty()) pool.push_back(std::make_unique<Handle>(connection_));
    std::unique_ptr<Handle> handle = std::move(pool.back());
    pool.pop_back();
    return std::make_unique<WiredtigerCursor>(pool, std::move(handle));
  }
  void Settle() override {
    WT_SESSION* session = Mine().session();
    Must(session->checkpoint(session, nullptr));
  }

  std::string Describe() const override {
    static constexpr const char* kDurability[] = {"none", "process", "power"};
    std::string text =
        fmt::format("durability {}; connection \"{}\"; file \"{}\"",
                    kDurability[static_cast<size_t>(config_.durability)], connection_text_, table_text_);
    if (config_.compression) {
      text += table_text_.ends_with("snappy") ? "; snappy, since this build has neither lz4 nor zstd"
                                              : "; no compression: this build lacks the snappy extension";
    }
    return text + "; a B-tree: no filters, no levels; background_threads is the number of eviction threads";
  }

 private:
  Handle& Mine() {
    return handles_.Get([this] { return std::make_unique<Handle>(connection_); });
  }
  static bool Lookup(WT_CURSOR* cursor, std::string_view key, std::string* value) {
    WT_ITEM k = ToItem(key), v{};
    cursor->set_key(cursor, &k);
    const int rc = cursor->search(cursor);
    if (rc == WT_NOTFOUND) return false;
    Must(rc);
    Must(cursor->get_value(cursor, &v));
    value->assign(static_cast<const char*>(v.data), v.size);
    Must(cursor->reset(cursor));  // lets go of the page
    return true;
  }

  const EngineConfig config_;
  const std::string connection_text_, table_text_;
  WT_CONNECTION* connection_ = nullptr;
  PerThread<Handle> handles_;
  PerThread<Pool> pools_;
};

}  // namespace

EngineKind WiredtigerKind() {
  int major = 0, minor = 0, patch = 0;
  wiredtiger_version(&major, &minor, &patch);
  return {"wiredtiger", fmt::format("{}.{}.{}", major, minor, patch),
          [](const EngineConfig& config) { return std::make_unique<WiredtigerEngine>(config); }};
}

}  // namespace tarn::bench
