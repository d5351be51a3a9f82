// One contract for every engine that was compiled in: what bench/engine.h promises of an open store.
#include <algorithm>
#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "bench/engines/engine_test.h"

namespace tarn::bench {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(All, EngineTest, testing::ValuesIn(Names()), [](const auto& test) { return test.param; });

TEST(EngineKinds, TarnIsFirstAndEachHasItsOwnNameAndAVersion) {
  ASSERT_FALSE(EngineKinds().empty());
  EXPECT_EQ(EngineKinds().front().name, "tarn");
  std::set<std::string> names;
  for (const EngineKind& kind : EngineKinds()) {
    EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    EXPECT_THAT(kind.version, testing::MatchesRegex("[0-9]+[.][0-9.]+")) << kind.name;
  }
}

TEST_P(EngineTest, PutGetOverwriteDelete) {
  Open();
  EXPECT_EQ(Get("a"), "(none)");
  engine_->Put("a", "1");
  engine_->Put("b", "2");
  EXPECT_EQ(Get("a"), "1");
  engine_->Put("a", "longer than before");
  EXPECT_EQ(Get("a"), "longer than before");
  EXPECT_EQ(Get("b"), "2");
  engine_->Delete("a");
  EXPECT_EQ(Get("a"), "(none)");
  engine_->Delete("a");
  engine_->Delete("never there");
  EXPECT_EQ(Get("b"), "2");
  engine_->Put("a", "again");
  engine_->Settle();
  EXPECT_EQ(Get("a"), "again");
  EXPECT_EQ(Get("aa"), "(none)");
}

TEST_P(EngineTest, MultiGetAnswersInTheOrderAsked) {
  Open();
  PutEven(100);
  engine_->Settle();
  engine_->Put(KeyOf(4), "newer");
  engine_->Delete(KeyOf(6));
  const std::vector<std::string> asked = {KeyOf(198), KeyOf(3), KeyOf(4), KeyOf(6), KeyOf(0), KeyOf(4), KeyOf(500)};
  const std::vector<std::string_view> keys(asked.begin(), asked.end());
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> values(keys.size(), "left over");
    std::array<bool, 7> found{};
    engine_->MultiGet(keys, values, found);
    EXPECT_THAT(found, ElementsAre(true, false, true, false, true, true, false));
    EXPECT_EQ(values[0], ValueOf(198));
    EXPECT_EQ(values[2], "newer");
    EXPECT_EQ(values[4], ValueOf(0));
    EXPECT_EQ(values[5], "newer");
  }
  engine_->MultiGet({}, {}, {});
  // More than any engine takes at a time by itself.
  std::vector<std::string> many;
  for (int i = 0; i < 200; ++i) many.push_back(KeyOf(i));
  const std::vector<std::string_view> many_keys(many.begin(), many.end());
  std::vector<std::string> values(200);
  std::array<bool, 200> found{};
  engine_->MultiGet(many_keys, values, found);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(found[static_cast<size_t>(i)], i % 2 == 0 && i != 6) << i;
}

TEST_P(EngineTest, SmallAndLargeKeysAndValues) {
  Open();
  const std::string long_key(500, 'k'), large = ValueOf(1, 0, 1 << 20);
  const std::string zeros("\0\xff\0", 3);
  engine_->Put("k", "");
  engine_->Put(long_key, large);
  engine_->Put(long_key.substr(1), "short");
  engine_->Put(zeros, zeros);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Get("k"), "");
    EXPECT_EQ(Get(long_key), large);
    EXPECT_EQ(Get(long_key.substr(1)), "short");
    EXPECT_EQ(Get(zeros), zeros);
    const std::unique_ptr<Cursor> cursor = engine_->NewCursor();
    cursor->Seek(long_key);
    ASSERT_TRUE(cursor->valid());
    EXPECT_EQ(cursor->Entry().first, long_key);
    EXPECT_EQ(cursor->Entry().second, large);
    if (round == 0) engine_->Settle();
  }
  Open();
  EXPECT_EQ(Get("k"), "");
  EXPECT_EQ(Get(long_key), large);
}

TEST_P(EngineTest, CursorGoesBothWaysAndFindsTheNextKey) {
  Open();
  {
    const std::unique_ptr<Cursor> cursor = engine_->NewCursor();
    EXPECT_FALSE(cursor->valid());
    for (const auto move : {&Cursor::SeekToFirst, &Cursor::SeekToLast}) {
      (*cursor.*move)();
      EXPECT_FALSE(cursor->valid());
    }
    cursor->Seek("x");
    EXPECT_FALSE(cursor->valid());
  }
  PutEven(300);
  engine_->Settle();
  for (int n = 100; n < 200; n += 2) engine_->Put(KeyOf(n), ValueOf(n, 1));
  engine_->Delete(KeyOf(250));
  std::vector<int> expected;
  for (int n = 0; n < 600; n += 2) {
    if (n != 250) expected.push_back(n);
  }
  const auto value_of = [](int n) { return ValueOf(n, n >= 100 && n < 200 ? 1 : 0); };

  const std::unique_ptr<Cursor> cursor = engine_->NewCursor();
  cursor->SeekToFirst();
  for (const int n : expected) {
    ASSERT_TRUE(cursor->valid());
    ASSERT_EQ(cursor->Entry().first, KeyOf(n));
    ASSERT_EQ(cursor->Entry().second, value_of(n));
    cursor->Next();
  }
  EXPECT_FALSE(cursor->valid());
  cursor->SeekToLast();
  for (auto n = expected.rbegin(); n != expected.rend(); ++n) {
    ASSERT_TRUE(cursor->valid());
    ASSERT_EQ(cursor->Entry().first, KeyOf(*n));
    ASSERT_EQ(cursor->Entry().second, value_of(*n));
    cursor->Prev();
  }
  EXPECT_FALSE(cursor->valid());

  const std::pair<std::string, int> seeks[] = {{KeyOf(300), 300}, {KeyOf(301), 302}, {KeyOf(250), 252}, {KeyOf(0), 0},
                                               {"", 0},           {"/", 0},          {KeyOf(597), 598}};
  for (const auto& [from, to] : seeks) {
    cursor->Seek(from);
    ASSERT_TRUE(cursor->valid()) << from;
    EXPECT_EQ(cursor->Entry().first, KeyOf(to));
  }
  cursor->Seek(KeyOf(599));
  EXPECT_FALSE(cursor->valid());
  cursor->Seek(KeyOf(301));
  cursor->Prev();
  EXPECT_EQ(cursor->Entry().first, KeyOf(300));
  cursor->Next();
  cursor->Next();
  EXPECT_EQ(cursor->Entry().first, KeyOf(304));
}

TEST_P(EngineTest, CursorSeesTheStoreAsItWas) {
  Open();
  PutEven(10);
  std::unique_ptr<Cursor> cursor = engine_->NewCursor();
  engine_->Put(KeyOf(3), "new");
  engine_->Put(KeyOf(4), "changed");
  engine_->Delete(KeyOf(6));
  engine_->Settle();
  const std::unique_ptr<Cursor> later = engine_->NewCursor();
  cursor->SeekToFirst();
  for (int n = 0; n < 20; n += 2, cursor->Next()) {
    ASSERT_TRUE(cursor->valid()) << n;
    EXPECT_EQ(cursor->Entry().first, KeyOf(n));
    EXPECT_EQ(cursor->Entry().second, ValueOf(n));
  }
  EXPECT_FALSE(cursor->valid());
  later->Seek(KeyOf(3));
  EXPECT_EQ(later->Entry().second, "new");
  later->Next();
  EXPECT_EQ(later->Entry().second, "changed");
  later->Next();
  EXPECT_EQ(later->Entry().first, KeyOf(8));
  // What a cursor gives back, the next one uses; it must not see the past of that one.
  for (int i = 0; i < 20; ++i) {
    cursor.reset();
    engine_->Put(KeyOf(0), std::to_string(i));
    cursor = engine_->NewCursor();
    cursor->SeekToFirst();
    EXPECT_EQ(cursor->Entry().second, std::to_string(i));
  }
}

TEST_P(EngineTest, ReopenKeepsEverythingAtEachDurability) {
  for (const Durability durability : {Durability::kNone, Durability::kProcess, Durability::kPower}) {
    config_.durability = durability;
    Open();
    const int generation = static_cast<int>(durability);
    for (int n = 0; n < 50; ++n) engine_->Put(KeyOf(n), ValueOf(n, generation));
    engine_->Delete(KeyOf(7));
    Open();
    for (int n = 0; n < 50; ++n) EXPECT_EQ(Get(KeyOf(n)), n == 7 ? "(none)" : ValueOf(n, generation)) << n;
  }
}

TEST_P(EngineTest, EightThreadsAtOnce) {
  Open();
  constexpr int kThreads = 8, kEach = 300;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::string value;
      for (int i = 0; i < kEach; ++i) {
        const int n = i * kThreads + t;
        engine_->Put(KeyOf(n), ValueOf(n));
        engine_->Put("shared", ValueOf(n));  // all change the same key
        if (!engine_->Get(KeyOf(n), &value) || value != ValueOf(n)) ++wrong;
        if (i % 50 != 0) continue;
        const std::unique_ptr<Cursor> cursor = engine_->NewCursor();
        cursor->Seek(KeyOf(n));
        if (!cursor->valid() || cursor->Entry().first != KeyOf(n)) ++wrong;
        std::array<bool, 2> found{};
        std::array<std::string, 2> values;
        const std::string key = KeyOf(n);
        engine_->MultiGet(std::array<std::string_view, 2>{key, "missing"}, values, found);
        if (!found[0] || found[1] || values[0] != ValueOf(n)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  engine_->Settle();
  for (int n = 0; n < kThreads * kEach; ++n) ASSERT_EQ(Get(KeyOf(n)), ValueOf(n));
}

// The files of tables; not the logs, which a Settle may touch.
std::set<std::string> Tables(const std::string& dir) {
  std::set<std::string> tables;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    const fs::path path = entry.path();
    if (path.extension() == ".sst" || path.extension() == ".ldb" || path.parent_path().filename() == "table") {
      tables.insert(path);
    }
  }
  return tables;
}

// 6 MiB and their overwrites with memtables of 1 MiB: several flushes, and compactions that run or are due.
TEST_P(EngineTest, SettleLeavesNothingToDo) {
  Open();
  for (int n = 0; n < 12000; ++n) engine_->Put(KeyOf(n * 7919 % 6000), ValueOf(n * 7919 % 6000, 0, 1000));
  engine_->Settle();
  const std::set<std::string> settled = Tables(config_.dir);
  EXPECT_EQ(!settled.empty(), IsLsm());
  engine_->Settle();
  EXPECT_EQ(Tables(config_.dir), settled);
  for (int n = 0; n < 6000; n += 100) EXPECT_EQ(Get(KeyOf(n)), ValueOf(n, 0, 1000));
}

TEST_P(EngineTest, DescribeFollowsTheConfig) {
  const auto describe = [&] {
    engine_.reset();
    fs::remove_all(config_.dir);  // WiredTiger keeps the compression of a file that is there
    return Open().Describe();
  };
  config_.memory_budget = 64 << 20;
  const std::string base = describe();
  EXPECT_THAT(base, HasSubstr("process"));
  EXPECT_EQ(std::count(base.begin(), base.end(), '\n'), 0);
  config_.durability = Durability::kPower;
  EXPECT_NE(describe(), base);
  if (GetParam() == "lmdb") {
    EXPECT_THAT(base, HasSubstr("no memory budget"));
    EXPECT_THAT(base, HasSubstr("no compression, filters or background threads"));
    return;
  }
  config_.durability = Durability::kProcess;
  config_.memory_budget = 32 << 20;
  EXPECT_NE(describe(), base);
  config_.memory_budget = 64 << 20;
  config_.compression = false;
  EXPECT_NE(describe(), base);
  config_.compression = true;
  config_.background_threads = 3;
  EXPECT_TRUE(describe() != base || GetParam() == "leveldb");
  config_.background_threads = 2;
  config_.filter_bits_per_key = 0;
  EXPECT_TRUE(describe() != base || GetParam() == "wiredtiger");
}

TEST_P(EngineTest, CompressionOffStoresBytesAsTheyAre) {
  if (GetParam() == "lmdb") GTEST_SKIP() << "it has none";
  std::array<uint64_t, 2> size{};
  for (const bool on : {false, true}) {
    config_.compression = on;
    Open();
    for (int n = 0; n < 3000; ++n) engine_->Put(KeyOf(n), std::string(1000, static_cast<char>('a' + n % 26)));
    engine_->Settle();
    engine_.reset();
    for (const auto& entry : fs::recursive_directory_iterator(config_.dir)) {
      const std::string name = entry.path().filename();
      if (!name.ends_with(".wt") && !Tables(config_.dir).contains(entry.path())) continue;
      size[on] += entry.file_size();
    }
    fs::remove_all(config_.dir);
  }
  EXPECT_GT(size[0], 3'000'000);
  EXPECT_LT(size[1], 2'000'000);
}

}  // namespace
}  // namespace tarn::bench
