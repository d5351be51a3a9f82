// The reference memtable: a SkipList in an Arena of its own, fitted to the contract of tarn/sdk/memtable.h.
// Everything about threads and order is said in memtable/skiplist.h; dropping the memtable frees whole blocks.
#include "base/arena.h"
#include "memtable/builtin.h"
#include "memtable/skiplist.h"

namespace tarn {
namespace {

class SkipListCursor final : public Cursor {
 public:
  explicit SkipListCursor(const SkipList& list) : list_(list) {}

  void SeekToFirst() override { Set(list_.First()); }
  void SeekToLast() override { Set(list_.Last()); }
  void Seek(std::string_view target) override { Set(list_.FirstAtOrAfter(SkipList::Position(target))); }
  void Next() override { Set(node_->Next(0)); }
  void Prev() override { Set(list_.LastBefore(SkipList::Position(node_->key()))); }

 private:
  void Set(const SkipList::Node* node) {
    node_ = node;
    if (node == nullptr) {
      SetEnd();
    } else {
      SetEntry(node->key(), node->value());
    }
  }

  const SkipList& list_;
  const SkipList::Node* node_ = nullptr;
};

class SkipListMemtable final : public Memtable {
 public:
  explicit SkipListMemtable(uint64_t seed) : list_(&arena_, seed) {}

  void Add(std::string_view key, Sequence sequence, Kind kind, std::string_view value) override {
    list_.Insert(key, sequence, kind, value);
  }

  Found Get(std::string_view key, Sequence snapshot) const override {
    const uint64_t trailer = snapshot << 8 | static_cast<uint8_t>(kSeekKind);
    const SkipList::Node* node = list_.FirstAtOrAfter(SkipList::Position(key, trailer));
    if (node == nullptr || UserKeyOf(node->key()) != key) return {};
    return {true, KindOf(node->key()), SequenceOf(node->key()), node->value()};
  }

  std::unique_ptr<Cursor> NewCursor() const override { return std::make_unique<SkipListCursor>(list_); }
  size_t memory_bytes() const override { return sizeof(*this) + arena_.memory_bytes(); }

 private:
  Arena arena_;
  SkipList list_;
};

class SkipListStrategy final : public MemtableStrategy {
 public:
  explicit SkipListStrategy(uint64_t seed) : seed_(seed) {}
  std::string_view name() const override { return "skiplist"; }
  std::unique_ptr<Memtable> Create() const override { return std::make_unique<SkipListMemtable>(seed_); }

 private:
  const uint64_t seed_;
};

}  // namespace

std::shared_ptr<MemtableStrategy> NewSkipListStrategy(uint64_t seed) {
  return std::make_shared<SkipListStrategy>(seed);
}

}  // namespace tarn
