#include "kernel/run_cursor.h"

#include <algorithm>

namespace tarn::kernel {
namespace {

class RunCursor final : public Cursor {
 public:
  RunCursor(RunRef run, ReadEngine& engine, bool fill_cache) : run_(std::move(run)), source_(engine, fill_cache) {}

  void SeekToFirst() override {
    if (!OpenTable(0)) return;
    inner_->SeekToFirst();
    SettleForward();
  }
  void SeekToLast() override {
    if (!OpenTable(run_->tables.size() - 1)) return;
    inner_->SeekToLast();
    SettleBackward();
  }
  void Seek(std::string_view target) override {
    // Not a table that ends just before the key: all its versions are in the next one, and the target may be old.
    if (!OpenTable(run_->FirstNotBefore(UserKeyOf(target)))) return;
    inner_->Seek(target);
    SettleForward();
  }
  void Next() override {
    inner_->Next();
    SettleForward();
  }
  void Prev() override {
    inner_->Prev();
    SettleBackward();
  }
  std::string_view stored() const override { return inner_->stored(); }

 private:
  // Makes inner_ a cursor of table `index`. False, with this cursor on no entry, past the ends or on an error.
  bool OpenTable(size_t index) {
    if (index >= run_->tables.size()) {
      SetEnd();
      return false;
    }
    if (inner_ == nullptr || index != index_) {
      Result<const Table*> table = run_->tables[index]->Get();
      if (!table.ok()) {
        SetError(table.status());
        return false;
      }
      inner_ = (*table)->NewCursor(source_);
      index_ = index;
    }
    return true;
  }
  // Shows the entry of inner_, going on to the next table while it has none.
  void SettleForward() {
    while (!inner_->valid()) {
      if (!inner_->status().ok()) return SetError(inner_->status());
      if (!OpenTable(index_ + 1)) return;
      inner_->SeekToFirst();
    }
    SetEntry(inner_->key(), inner_->value());
  }
  void SettleBackward() {
    while (!inner_->valid()) {
      if (!inner_->status().ok()) return SetError(inner_->status());
      if (index_ == 0) return SetEnd();
      if (!OpenTable(index_ - 1)) return;
      inner_->SeekToLast();
    }
    SetEntry(inner_->key(), inner_->value());
  }

  const RunRef run_;
  ScanSource source_;
  std::unique_ptr<Cursor> inner_;
  size_t index_ = 0;
};

}  // namespace

std::unique_ptr<Cursor> NewRunCursor(RunRef run, ReadEngine& engine, bool fill_cache) {
  return std::make_unique<RunCursor>(std::move(run), engine, fill_cache);
}

}  // namespace tarn::kernel
