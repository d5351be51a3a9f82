// What every memtable must do: the contract of tarn/sdk/memtable.h as tests. For authors of memtables.
//
// Include it in one file of a GoogleTest program and instantiate it with the strategy:
//
//   INSTANTIATE_TEST_SUITE_P(Mine, MemtableContract, testing::Values(MemtableContractParam{"mine", MakeStrategy}));
//
// Run it under ThreadSanitizer too: half of the contract is about threads.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tarn/sdk/memtable.h"

namespace tarn::contract {

struct MemtableContractParam {
  std::string name;  // for reports
  std::function<std::shared_ptr<MemtableStrategy>()> strategy;
};
inline void PrintTo(const MemtableContractParam& param, std::ostream* out) { *out << param.name; }

class MemtableContract : public testing::TestWithParam<MemtableContractParam> {
 protected:
  // Internal keys in their order, with their values: what a memtable must look like.
  struct Before {
    bool operator()(const std::string& a, const std::string& b) const { return CompareInternalKeys(a, b) < 0; }
  };
  using Model = std::map<std::string, std::string, Before>;

  void SetUp() override {
    strategy_ = GetParam().strategy();
    table_ = strategy_->Create();
  }
  void Add(std::string_view key, Sequence sequence, Kind kind, std::string_view value) {
    table_->Add(key, sequence, kind, value);
    model_.emplace(MakeInternalKey(key, sequence, kind), value);
  }
  void ExpectFound(std::string_view key, Sequence snapshot, Kind kind, Sequence sequence, std::string_view value) {
    const Memtable::Found found = table_->Get(key, snapshot);
    ASSERT_TRUE(found.present) << key << " at " << snapshot;
    EXPECT_EQ(found.kind, kind);
    EXPECT_EQ(found.sequence, sequence);
    EXPECT_EQ(found.value, value);
  }
  // The cursor stands on `expected`, or on nothing if that is the end of the model.
  void ExpectAt(const Cursor& cursor, Model::const_iterator expected) const {
    ASSERT_TRUE(cursor.status().ok()) << cursor.status().ToString();
    ASSERT_EQ(cursor.valid(), expected != model_.end());
    if (expected == model_.end()) return;
    ASSERT_EQ(cursor.key(), expected->first);
    ASSERT_EQ(cursor.value(), expected->second);
  }
  void ExpectModel() const {
    const auto cursor = table_->NewCursor();
    auto it = model_.begin();
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next(), ++it) {
      ASSERT_NO_FATAL_FAILURE(ExpectAt(*cursor, it));
    }
    EXPECT_EQ(it, model_.end());
    auto back = model_.rbegin();
    for (cursor->SeekToLast(); cursor->valid(); cursor->Prev(), ++back) {
      ASSERT_NE(back, model_.rend());
      ASSERT_EQ(cursor->key(), back->first);
      ASSERT_EQ(cursor->value(), back->second);
    }
    EXPECT_EQ(back, model_.rend());
  }

  std::shared_ptr<MemtableStrategy> strategy_;
  std::unique_ptr<Memtable> table_;
  Model model_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(MemtableContract);

TEST_P(MemtableContract, StrategyHasAName) { EXPECT_FALSE(strategy_->name().empty()); }

TEST_P(MemtableContract, AnEmptyTableKnowsNothing) {
  EXPECT_FALSE(table_->Get("", kMaxSequence).present);
  EXPECT_FALSE(table_->Get("a", kMaxSequence).present);
  const auto cursor = table_->NewCursor();
  EXPECT_FALSE(cursor->valid());
  cursor->SeekToFirst();
  EXPECT_FALSE(cursor->valid());
  cursor->SeekToLast();
  EXPECT_FALSE(cursor->valid());
  cursor->Seek(SeekKey("a", kMaxSequence));
  EXPECT_FALSE(cursor->valid());
  EXPECT_TRUE(cursor->status().ok());
}

TEST_P(MemtableContract, GetAnswersFoundDeletedOrNotHere) {
  Add("b", 5, Kind::kPut, "five");
  Add("b", 9, Kind::kDelete, "");
  Add("b", 12, Kind::kPut, "");
  EXPECT_FALSE(table_->Get("b", 4).present);
  ExpectFound("b", 5, Kind::kPut, 5, "five");
  ExpectFound("b", 8, Kind::kPut, 5, "five");
  ExpectFound("b", 9, Kind::kDelete, 9, "");
  ExpectFound("b", 11, Kind::kDelete, 9, "");
  ExpectFound("b", 12, Kind::kPut, 12, "");
  ExpectFound("b", kMaxSequence, Kind::kPut, 12, "");
  EXPECT_FALSE(table_->Get("a", kMaxSequence).present);
  EXPECT_FALSE(table_->Get("bb", kMaxSequence).present);
  EXPECT_FALSE(table_->Get("", kMaxSequence).present);
}

TEST_P(MemtableContract, KeyAndValueAreCopiedAndFoundValuesStay) {
  std::string key = "a key longer than any small buffer", value(100, 'v');
  table_->Add(key, 1, Kind::kPut, value);
  const Memtable::Found found = table_->Get(key, kMaxSequence);
  const auto cursor = table_->NewCursor();
  cursor->SeekToFirst();
  ASSERT_TRUE(cursor->valid());
  const std::string_view seen_key = cursor->key();
  std::fill(value.begin(), value.end(), 'x');
  for (Sequence i = 2; i < 5000; ++i) table_->Add(std::to_string(i), i, Kind::kPut, value);
  EXPECT_EQ(found.value, std::string(100, 'v'));
  EXPECT_EQ(UserKeyOf(seen_key), key);
  EXPECT_EQ(cursor->value(), std::string(100, 'v'));
}

TEST_P(MemtableContract, KeysAreOrderedAsUnsignedBytes) {
  // Every string of up to three of these bytes, bare and behind a prefix that ends within the first eight bytes.
  const std::string bytes("\x00\x01\x7f\x80\xff", 5);
  std::vector<std::string> keys{""};
  for (size_t begin = 0, length = 0; length < 3; ++length) {
    const size_t end = keys.size();
    for (size_t i = begin; i < end; ++i) {
      for (const char c : bytes) keys.push_back(keys[i] + c);
    }
    begin = end;
  }
  std::mt19937_64 random(1);
  Sequence sequence = 0;
  for (const std::string& prefix : {std::string(), std::string("seven77"), std::string(6, '\0')}) {
    std::shuffle(keys.begin(), keys.end(), random);
    for (const std::string& key : keys) {
      ++sequence;
      if (table_->Get(prefix + key, kMaxSequence).present) continue;
      Add(prefix + key, sequence, Kind::kPut, prefix + key);
    }
  }
  ExpectModel();
  for (const auto& [key, value] : model_) {
    ExpectFound(UserKeyOf(key), kMaxSequence, Kind::kPut, SequenceOf(key), value);
  }
}

TEST_P(MemtableContract, LargeKeysAndValues) {
  const std::string key(64 << 10, 'k'), longer = key + 'k';
  const std::string value(3 << 20, 'v');
  Add(longer, 1, Kind::kPut, "small");
  Add(key, 2, Kind::kPut, value);
  Add(key, 3, Kind::kDelete, "");
  Add("", 4, Kind::kPut, value);
  ExpectFound(key, 2, Kind::kPut, 2, value);
  ExpectFound(longer, kMaxSequence, Kind::kPut, 1, "small");
  ExpectModel();
}

TEST_P(MemtableContract, RandomOperationsMatchAnOrderedMap) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    model_.clear();
    table_ = strategy_->Create();
    std::mt19937_64 random(seed);
    auto some_key = [&] { return std::string(random() % 4, 'p') + std::to_string(random() % 300); };
    for (Sequence sequence = 1; sequence <= 2000; ++sequence) {
      const bool put = random() % 4 != 0;
      Add(some_key(), sequence, put ? Kind::kPut : Kind::kDelete, put ? std::to_string(random()) : "");
    }
    ASSERT_NO_FATAL_FAILURE(ExpectModel());
    const auto cursor = table_->NewCursor();
    for (int i = 0; i < 2000; ++i) {
      const std::string target = SeekKey(some_key(), random() % 2100);
      auto it = model_.lower_bound(target);
      cursor->Seek(target);
      ASSERT_NO_FATAL_FAILURE(ExpectAt(*cursor, it));
      for (int step = 0; step < 4 && it != model_.end(); ++step) {
        if (random() % 2 == 0) {
          cursor->Next();
          ++it;
        } else {
          cursor->Prev();
          it = it == model_.begin() ? model_.end() : std::prev(it);
        }
        ASSERT_NO_FATAL_FAILURE(ExpectAt(*cursor, it));
      }
      const Memtable::Found found = table_->Get(UserKeyOf(target), SequenceOf(target));
      it = model_.lower_bound(target);
      const bool present = it != model_.end() && UserKeyOf(it->first) == UserKeyOf(target);
      ASSERT_EQ(found.present, present);
      if (present) {
        ASSERT_EQ(found.sequence, SequenceOf(it->first));
        ASSERT_EQ(found.kind, KindOf(it->first));
        ASSERT_EQ(found.value, it->second);
      }
    }
  }
}

TEST_P(MemtableContract, MemoryCountsAllThatIsHeld) {
  const size_t empty = table_->memory_bytes();
  const std::string value(1000, 'v');
  size_t last = empty;
  for (Sequence i = 1; i <= 2000; ++i) {
    table_->Add("key" + std::to_string(i), i, Kind::kPut, value);
    ASSERT_GE(table_->memory_bytes(), last);
    last = table_->memory_bytes();
    ASSERT_GE(last, i * value.size());
  }
  EXPECT_LE(last, 2 * 2000 * (value.size() + 100)) << "more than twice what was added";
  table_->Add("big", 3000, Kind::kPut, std::string(8 << 20, 'b'));
  EXPECT_GE(table_->memory_bytes(), last + (8 << 20));
}

TEST_P(MemtableContract, TablesOfOneStrategyAreIndependent) {
  const auto other = strategy_->Create();
  table_->Add("a", 1, Kind::kPut, "1");
  EXPECT_FALSE(other->Get("a", kMaxSequence).present);
  other->Add("a", 1, Kind::kPut, "2");
  ExpectFound("a", kMaxSequence, Kind::kPut, 1, "1");
}

// Each new version goes to the very front of the table, where all writers are: the place they fight for.
TEST_P(MemtableContract, WritersThatMeetAtOnePlaceLoseNothing) {
  constexpr Sequence kLast = 200000;
  constexpr int kWriters = 4;
  std::atomic<Sequence> next{1};
  std::barrier together(kWriters);
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&] {
      together.arrive_and_wait();
      for (Sequence mine; (mine = next.fetch_add(1)) <= kLast;) table_->Add("key", mine, Kind::kPut, "v");
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto cursor = table_->NewCursor();
  Sequence expected = kLast;
  for (cursor->SeekToFirst(); cursor->valid(); cursor->Next(), --expected) {
    ASSERT_EQ(SequenceOf(cursor->key()), expected);
  }
  EXPECT_EQ(expected, 0u);
  for (Sequence s = 1; s <= kLast; s += 97) ExpectFound("key", s, Kind::kPut, s, "v");
}

// Writers add disjoint versions, most of them to the same few keys so that they meet. Each publishes how far it
// is; readers check that what was published is there, and that what cursors show is in order, both ways.
TEST_P(MemtableContract, ConcurrentWritersAndReaders) {
  constexpr uint64_t kWriters = 4, kReaders = 2, kAdds = 4000;
  auto sequence_of = [](uint64_t writer, uint64_t n) { return n * kWriters + writer + 1; };
  auto key_of = [](uint64_t writer, uint64_t n) {
    return n % 2 == 0 ? "hot" + std::to_string(n % 16) : "cold" + std::to_string(n * 7919 % kAdds + writer * kAdds);
  };
  auto value_of = [](uint64_t writer, uint64_t n) { return std::to_string(writer) + "/" + std::to_string(n); };
  std::atomic<uint64_t> done[kWriters] = {};
  std::atomic<uint64_t> running{kWriters};
  std::vector<std::thread> threads;
  for (uint64_t w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (uint64_t n = 0; n < kAdds; ++n) {
        table_->Add(key_of(w, n), sequence_of(w, n), Kind::kPut, value_of(w, n));
        done[w].store(n + 1, std::memory_order_release);
      }
      running.fetch_sub(1);
    });
  }
  std::atomic<uint64_t> checks{0};
  for (uint64_t r = 0; r < kReaders; ++r) {
    threads.emplace_back([&, r] {
      std::mt19937_64 random(r);
      for (bool last_round = false; !last_round;) {
        last_round = running.load() == 0;
        const uint64_t w = random() % kWriters;
        const uint64_t published = done[w].load(std::memory_order_acquire);
        if (published == 0) continue;
        const uint64_t n = random() % 2 == 0 ? published - 1 : random() % published;
        const Memtable::Found found = table_->Get(key_of(w, n), sequence_of(w, n));
        ASSERT_TRUE(found.present);
        ASSERT_EQ(found.sequence, sequence_of(w, n));
        ASSERT_EQ(found.value, value_of(w, n));
        const auto cursor = table_->NewCursor();
        cursor->Seek(SeekKey(key_of(w, n), sequence_of(w, n)));
        ASSERT_TRUE(cursor->valid());
        const bool forward = random() % 2 == 0;
        std::string previous(cursor->key());
        for (int step = 0; step < 50; ++step) {
          forward ? cursor->Next() : cursor->Prev();
          if (!cursor->valid()) break;
          const int order = CompareInternalKeys(previous, cursor->key());
          ASSERT_TRUE(forward ? order < 0 : order > 0);
          previous = cursor->key();
        }
        checks.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(checks.load(), 0u);
  for (uint64_t w = 0; w < kWriters; ++w) {
    for (uint64_t n = 0; n < kAdds; ++n) {
      model_.emplace(MakeInternalKey(key_of(w, n), sequence_of(w, n), Kind::kPut), value_of(w, n));
    }
  }
  ASSERT_EQ(model_.size(), kWriters * kAdds);
  ExpectModel();
}

}  // namespace tarn::contract
