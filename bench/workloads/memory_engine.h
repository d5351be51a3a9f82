// MemoryEngine: the reference that the workloads are tested on. A std::map, a mutex, and counts of every call. The
// store outlives the engines that are opened on it, as files would. Test code only.
#pragma once

#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bench/workloads/data.h"
#include "bench/workloads/workload.h"

namespace tarn::bench {

struct MemoryStore {
  std::mutex mutex;  // guards everything below
  std::map<std::string, std::string, std::less<>> data;
  EngineConfig config;  // of the last open
  uint64_t opens = 0, puts = 0, deletes = 0, gets = 0, multigets = 0, multiget_keys = 0, settles = 0;
  uint64_t cursors = 0, seeks = 0, seeks_to_end = 0, nexts = 0, prevs = 0;
  std::vector<uint64_t> put_order;    // numbers
  std::map<uint64_t, uint64_t> got;   // number -> how often, by Get and MultiGet
  std::vector<uint64_t> value_sizes;  // of puts
  std::function<void(uint64_t, std::string*)> spoil = [](uint64_t, std::string*) {};  // what a reader gets instead
  bool loses_puts = false;  // those that come are counted, and nothing else
  std::function<void()> on_settle = [] {};
};

class MemoryCursor final : public Cursor {  // sees later changes too, which the workloads do not notice
 public:
  explicit MemoryCursor(MemoryStore& store) : store_(store), at_(store.data.end()) {}
  void Seek(std::string_view key) override {
    Move([&] { ++store_.seeks, at_ = store_.data.lower_bound(key); });
  }
  void SeekToFirst() override {
    Move([&] { ++store_.seeks_to_end, at_ = store_.data.begin(); });
  }
  void SeekToLast() override {
    Move(
        [&] { ++store_.seeks_to_end, at_ = store_.data.empty() ? store_.data.end() : std::prev(store_.data.end()); });
  }
  void Next() override {
    Move([&] { ++store_.nexts, ++at_; });
  }
  void Prev() override {
    Move([&] { ++store_.prevs, at_ = at_ == store_.data.begin() ? store_.data.end() : std::prev(at_); });
  }
  bool valid() const override { return valid_; }
  std::pair<std::string_view, std::string_view> Entry() const override { return {key_, value_}; }

 private:
  template <typename Step>
  void Move(Step step) {
    const std::lock_guard lock(store_.mutex);
    step();
    valid_ = at_ != store_.data.end();
    if (!valid_) return;
    key_ = at_->first;
    value_ = at_->second;
    store_.spoil(NumberOf(key_), &value_);
  }
  MemoryStore& store_;
  std::map<std::string, std::string, std::less<>>::iterator at_;
  bool valid_ = false;
  std::string key_, value_;
};

class MemoryEngine final : public Engine {
 public:
  MemoryEngine(MemoryStore& store, const EngineConfig& config) : store_(store) {
    const std::lock_guard lock(store_.mutex);
    store_.config = config;
    ++store_.opens;
  }
  void Put(std::string_view key, std::string_view value) override {
    const std::lock_guard lock(store_.mutex);
    ++store_.puts;
    store_.put_order.push_back(NumberOf(key));
    store_.value_sizes.push_back(value.size());
    if (store_.loses_puts) return;
    store_.data.insert_or_assign(std::string(key), std::string(value));
  }
  void Delete(std::string_view key) override {
    const std::lock_guard lock(store_.mutex);
    ++store_.deletes;
    store_.data.erase(std::string(key));
  }
  bool Get(std::string_view key, std::string* value) override {
    const std::lock_guard lock(store_.mutex);
    ++store_.gets;
    return Find(key, value);
  }
  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    const std::lock_guard lock(store_.mutex);
    ++store_.multigets;
    store_.multiget_keys += keys.size();
    for (size_t i = 0; i < keys.size(); ++i) found[i] = Find(keys[i], &values[i]);
  }
  std::unique_ptr<Cursor> NewCursor() override {
    const std::lock_guard lock(store_.mutex);
    ++store_.cursors;
    return std::make_unique<MemoryCursor>(store_);
  }
  void Settle() override {
    ++store_.settles;
    store_.on_settle();
  }
  std::string Describe() const override { return "a map"; }

 private:
  bool Find(std::string_view key, std::string* value) {
    ++store_.got[NumberOf(key)];
    const auto at = store_.data.find(key);
    if (at == store_.data.end()) return false;
    *value = at->second;
    store_.spoil(NumberOf(key), value);
    return true;
  }
  MemoryStore& store_;
};

inline OpenEngine OpenIn(MemoryStore& store) {
  return [&store](const EngineConfig& config) { return std::make_unique<MemoryEngine>(store, config); };
}

}  // namespace tarn::bench
