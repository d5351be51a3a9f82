// What a store in a bucket costs in requests, on a server in memory that notes each: an idle hour, a cold point read,
// an opening by the number of tables, manifest records and log objects. docs/s3.md has these numbers.
#include <algorithm>
#include <map>

#include "kernel/constants.h"
#include "tarn/db.h"
#include "tests/s3/mem_store.h"

namespace tarn::test {
namespace {

constexpr uint64_t kHour = 3600ull * 1'000'000'000;

// Tables stay as they were flushed.
class NoCompaction final : public CompactionPolicy {
 public:
  std::string_view name() const override { return "none"; }
  std::optional<CompactionPlan> Choose(const LevelsView&) const override { return std::nullopt; }
  uint64_t Debt(const LevelsView&) const override { return 0; }
};

// Requests by method; LIST apart from GET.
using Bill = std::map<std::string, size_t>;
Bill BillOf(const std::vector<std::string>& log) {
  Bill bill;
  for (const std::string& line : log) {
    ++bill[line.find("list-type=2") != std::string::npos ? "LIST" : line.substr(0, line.find(' '))];
  }
  return bill;
}
size_t Sum(const Bill& bill) {
  size_t sum = 0;
  for (const auto& [method, n] : bill) sum += n;
  return sum;
}
std::string Show(const Bill& bill) {
  std::string text;
  for (const auto& [method, n] : bill) text += " " + std::to_string(n) + " " + method;
  return text.empty() ? " nothing" : text;
}

std::string KeyOf(uint64_t n) { return "key" + std::to_string(100'000'000 + n); }

class S3CostTest : public testing::Test {
 protected:
  // As a process that has just started.
  std::unique_ptr<DB> Open(bool read_only = false) {
    world_.options.read_only = read_only;
    scheduler_ = std::make_shared<SimScheduler>(1);
    Components parts;
    parts.backend = *world_.Open();
    parts.clock = world_.clock;
    parts.entropy = world_.entropy;
    parts.scheduler = scheduler_;
    parts.compaction = std::make_shared<NoCompaction>();
    Settings settings;
    settings.memory_bytes = 256 << 20;
    settings.memtable_bytes = 128 << 20;
    settings.table_bytes = 64 << 10;
    settings.compression = settings.last_level_compression = Compression::kNone;
    settings.read_only = read_only;
    auto db = DB::Open(settings, std::move(parts));
    EXPECT_TRUE(db.ok()) << db.status().ToString();
    return db.ok() ? std::move(*db) : nullptr;
  }
  // `tables` of 64 KiB, by one flush.
  void Load(DB& db, uint64_t tables) {
    const std::string value(4000, 'v');
    for (uint64_t n = 0; n < tables * 15; ++n) {
      ASSERT_TRUE(db.Put(KeyOf(++keys_), value, Durability::kNone).ok());
    }
    ASSERT_TRUE(db.Flush().ok());
  }
  Bill Take() { return BillOf(world_.server->TakeLog()); }
  // All that is asked from the beginning of an opening to its end.
  Bill Opening(bool read_only = false) {
    Take();
    const auto db = Open(read_only);
    return Take();
  }
  size_t Tables() const {
    const std::vector<std::string> keys = world_.server->Keys();
    return std::count_if(keys.begin(), keys.end(), [](const auto& key) { return key.starts_with("p/table/"); });
  }

  MemWorld world_;
  std::shared_ptr<SimScheduler> scheduler_;
  uint64_t keys_ = 0;
};

TEST_F(S3CostTest, AnIdleHourCostsNothing) {
  const auto db = Open();
  Load(*db, 10);
  ASSERT_TRUE(db->Put("a", "b", Durability::kPower).ok());
  scheduler_->RunAll();
  Take();
  for (int minute = 0; minute < 60; ++minute) {
    world_.clock->Advance(kHour / 60);
    scheduler_->RunAll();
  }
  EXPECT_EQ(Sum(Take()), 0u);
  ASSERT_TRUE(db->Put("a", "c", Durability::kPower).ok());  // and it is alive
  EXPECT_EQ(Show(Take()), " 1 PUT");
}

// Cold: index and filter of the table are in memory, the block with the key is not.
TEST_F(S3CostTest, AColdPointReadIsOneRangedGet) {
  Load(*Open(), 40);
  const auto db = Open();
  Take();
  std::string value;
  ASSERT_TRUE(db->Get(KeyOf(1), &value).ok());
  const Bill first = Take();
  std::printf("the first read of a table:%s\n", Show(first).c_str());
  EXPECT_LE(Sum(first), 5u);
  for (const uint64_t n : {3, 5, 9, 12}) {
    ASSERT_TRUE(db->Get(KeyOf(n), &value).ok());
    EXPECT_EQ(Show(Take()), " 1 GET") << n;
    ASSERT_TRUE(db->Get(KeyOf(n), &value).ok());
    EXPECT_EQ(Sum(Take()), 0u) << "it is in memory now";
  }
}

// The opening for writing asks a page of names for each 1,000 tables, and nothing else for each. (GETs are of
// manifest records, three more in each round here.) One for reading only pins each table.
TEST_F(S3CostTest, OpeningByTables) {
  std::map<size_t, Bill> bills;
  for (const uint64_t wanted : {10, 100, 1000, 2500}) {
    auto db = Open();
    Load(*db, wanted - Tables());
    ASSERT_TRUE(db->Close().ok());
    db.reset();
    const size_t tables = Tables();
    bills[tables] = Opening();
    std::printf("%5zu tables: for writing%s;", tables, Show(bills[tables]).c_str());
    std::printf(" for reading%s\n", Show(Opening(true)).c_str());
  }
  const Bill small = bills.begin()->second;
  size_t rounds = 0;
  for (auto& [tables, bill] : bills) {
    const size_t pages = (tables - 1) / 1000;
    EXPECT_LE(Sum(bill), Sum(small) + pages + 3 * rounds++) << tables << " tables";
    EXPECT_LE(bill["LIST"], small.at("LIST") + pages) << tables << " tables";
  }
  EXPECT_GE(bills.rbegin()->first, 2001u);
}

// Each record since the last full one is read, and there are never more than kManifestDeltas.
TEST_F(S3CostTest, OpeningByManifestRecords) {
  size_t most = 0;
  for (uint64_t records = 1; records < 3 * kernel::kManifestDeltas; records += 7) {
    auto db = Open();
    for (int n = 0; n < 7; ++n) Load(*db, 1);
    ASSERT_TRUE(db->Close().ok());
    db.reset();
    most = std::max(most, Sum(Opening()));
  }
  std::printf("the dearest opening of a store whose manifest has up to %d deltas: %zu requests\n",
              static_cast<int>(kernel::kManifestDeltas), most);
  EXPECT_LE(most, kernel::kManifestDeltas + 30);
}

// Each object of the log since the last flush is read and deleted, and there are never more than kCommitsPerSegment
// for each of the two memtable sets that these settings allow.
TEST_F(S3CostTest, OpeningByCommits) {
  for (const uint64_t commits : {10, 100, 1000, 3000}) {
    {
      auto db = Open();
      ASSERT_TRUE(db->Flush().ok());
      for (uint64_t n = 0; n < commits; ++n) ASSERT_TRUE(db->Put(KeyOf(n), "v", Durability::kPower).ok());
      world_.server->SetPlan([](const s3::HttpRequest&, uint64_t) {  // the process dies: it does not get to close
        Plan plan;
        plan.what = Plan::What::kRefuse;
        plan.answer = ErrorAnswer(403, "AccessDenied");
        return plan;
      });
    }
    world_.server->SetPlan(nullptr);
    const Bill bill = Opening();
    std::printf("%5d commits since the last flush:%s\n", static_cast<int>(commits), Show(bill).c_str());
    EXPECT_LE(Sum(bill), 3 * std::min<uint64_t>(commits, 2 * kernel::kCommitsPerSegment) + 60);
  }
}

}  // namespace
}  // namespace tarn::test
