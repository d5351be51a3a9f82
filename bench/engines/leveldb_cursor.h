// The cursor over an iterator with LevelDB's interface, which RocksDB kept. For the two adapters.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "bench/engine.h"

namespace tarn::bench {

// `must` ends the process when the iterator has an error.
template <class DbIterator, class Slice, class Must>
class LeveldbCursor final : public Cursor {
 public:
  LeveldbCursor(DbIterator* it, Must must) : it_(it), must_(must) {}
  void Seek(std::string_view key) override { it_->Seek(Slice(key.data(), key.size())), Check(); }
  void SeekToFirst() override { it_->SeekToFirst(), Check(); }
  void SeekToLast() override { it_->SeekToLast(), Check(); }
  void Next() override { it_->Next(), Check(); }
  void Prev() override { it_->Prev(), Check(); }
  bool valid() const override { return it_->Valid(); }
  std::pair<std::string_view, std::string_view> Entry() const override {
    return {View(it_->key()), View(it_->value())};
  }

 private:
  static std::string_view View(const Slice& slice) { return {slice.data(), slice.size()}; }
  void Check() const {
    if (!it_->Valid()) must_(it_->status());
  }
  const std::unique_ptr<DbIterator> it_;
  const Must must_;
};

}  // namespace tarn::bench
