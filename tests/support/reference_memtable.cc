#include "tests/support/reference_memtable.h"

#include <map>
#include <mutex>
#include <string>

namespace tarn::test {
namespace {

struct Before {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return CompareInternalKeys(a, b) < 0; }
};
// Entries are never removed or changed, so views of them and iterators stay good without the lock.
using Entries = std::map<std::string, std::string, Before>;

class ReferenceCursor final : public Cursor {
 public:
  ReferenceCursor(const Entries& entries, std::mutex& mutex) : entries_(entries), mutex_(mutex) {}

  void SeekToFirst() override {
    std::lock_guard lock(mutex_);
    Set(entries_.begin());
  }
  void SeekToLast() override {
    std::lock_guard lock(mutex_);
    Set(entries_.empty() ? entries_.end() : std::prev(entries_.end()));
  }
  void Seek(std::string_view target) override {
    std::lock_guard lock(mutex_);
    Set(entries_.lower_bound(target));
  }
  void Next() override {
    std::lock_guard lock(mutex_);
    Set(std::next(at_));
  }
  void Prev() override {
    std::lock_guard lock(mutex_);
    Set(at_ == entries_.begin() ? entries_.end() : std::prev(at_));
  }

 private:
  void Set(Entries::const_iterator at) {
    at_ = at;
    if (at == entries_.end()) {
      SetEnd();
    } else {
      SetEntry(at->first, at->second);
    }
  }

  const Entries& entries_;
  std::mutex& mutex_;
  Entries::const_iterator at_;
};

class ReferenceMemtable final : public Memtable {
 public:
  void Add(std::string_view key, Sequence sequence, Kind kind, std::string_view value) override {
    std::lock_guard lock(mutex_);
    const auto [at, added] = entries_.emplace(MakeInternalKey(key, sequence, kind), value);
    if (added) bytes_ += sizeof(*at) + at->first.capacity() + at->second.capacity();
  }

  Found Get(std::string_view key, Sequence snapshot) const override {
    std::lock_guard lock(mutex_);
    const auto at = entries_.lower_bound(SeekKey(key, snapshot));
    if (at == entries_.end() || UserKeyOf(at->first) != key) return {};
    return {true, KindOf(at->first), SequenceOf(at->first), at->second};
  }

  std::unique_ptr<Cursor> NewCursor() const override { return std::make_unique<ReferenceCursor>(entries_, mutex_); }
  size_t memory_bytes() const override {
    std::lock_guard lock(mutex_);
    return sizeof(*this) + bytes_;
  }

 private:
  mutable std::mutex mutex_;  // guards what follows
  Entries entries_;
  size_t bytes_ = 0;
};

class ReferenceStrategy final : public MemtableStrategy {
 public:
  std::string_view name() const override { return "reference"; }
  std::unique_ptr<Memtable> Create() const override { return std::make_unique<ReferenceMemtable>(); }
};

}  // namespace

std::shared_ptr<MemtableStrategy> NewReferenceMemtable() { return std::make_shared<ReferenceStrategy>(); }

}  // namespace tarn::test
