// What the simulator has found, as directed tests. The seeds that found it are in seeds.txt.
#include <gtest/gtest.h>

#include <deque>

#include "tests/kernel/sim_store.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

// A network between a store and its bucket, which may keep a manifest record for a while or deliver one twice.
class Network final : public WrappingBackend {
 public:
  explicit Network(std::shared_ptr<MemBackend> disk) : WrappingBackend(disk), disk_(std::move(disk)) {}

  bool keep_records = false;  // and say Unavailable
  bool deliver_twice = false;
  bool land_at_next_record = false;  // just before it

  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    if (!name.starts_with("manifest/")) return disk_->PutIfAbsent(name, bytes);
    if (land_at_next_record && !kept.empty()) {
      const auto landed = disk_->PutIfAbsent(kept.front().first, kept.front().second);
      EXPECT_TRUE(landed.ok());
      kept.pop_front();
    }
    if (keep_records) {
      kept.emplace_back(name, bytes);
      return Status::Unavailable("timeout");
    }
    Result<PutOutcome> outcome = disk_->PutIfAbsent(name, bytes);
    return deliver_twice ? disk_->PutIfAbsent(name, bytes) : outcome;
  }

  std::deque<std::pair<std::string, std::string>> kept;

 private:
  Status Around(const Call&, const Effect& effect) override { return effect(); }
  const std::shared_ptr<MemBackend> disk_;
};

// Recovery deleted what looked like an orphan while the record that names it was still under way: it landed after
// the deletion, and the store was lost.
TEST(Regression, ARecordThatLandsDuringRecoveryNamesTablesThatAreThere) {
  auto network = std::make_shared<Network>(std::make_shared<MemBackend>());
  auto db = OpenSim(network);
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE((*db)->Put("key", "value", Durability::kPower).ok());
  network->keep_records = true;
  EXPECT_EQ((*db)->Flush().code(), Code::kUnavailable);
  ASSERT_EQ(network->kept.size(), 1u);
  db->reset();  // dies
  network->keep_records = false;
  network->land_at_next_record = true;
  EXPECT_EQ(OpenSim(network).status().code(), Code::kFenced);
  db = OpenSim(network);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  std::string value;
  EXPECT_TRUE((*db)->Get("key", &value).ok());
  EXPECT_EQ(value, "value");
  EXPECT_TRUE((*db)->Verify().ok());
}

// A writer took its own record for another one's.
TEST(Regression, ARecordThatIsDeliveredTwiceFencesNobody) {
  auto network = std::make_shared<Network>(std::make_shared<MemBackend>());
  network->deliver_twice = true;
  auto db = OpenSim(network);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  EXPECT_TRUE((*db)->Put("key", "value").ok());
  EXPECT_TRUE((*db)->Flush().ok());
  EXPECT_TRUE((*db)->CreateFamily("f").ok());
  EXPECT_TRUE((*db)->Put("key", "other").ok());
}

// A table that ends with a range tombstone ends, exclusively, at the first key of the next one. A seek to an old
// version of that key went into the first of them, found nothing, and took the newest version from the other.
TEST(Regression, ASeekToAnOldVersionAtTheEdgeOfATable) {
  constexpr uint64_t kKeys = 400, kRounds = 12, kSeen = 10;
  Settings settings = SmallSettings();
  settings.memtable_bytes = 4 << 20;
  settings.compression = settings.last_level_compression = Compression::kNone;  // so that there are several tables
  auto db = OpenSim(std::make_shared<MemBackend>(), settings);
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE((*db)->Put(NumberedKey(0), "old").ok());
  std::vector<std::unique_ptr<Snapshot>> snapshots;  // keep the tombstone, and every version
  snapshots.push_back((*db)->GetSnapshot());
  ASSERT_TRUE((*db)->DeleteRange(NumberedKey(0), NumberedKey(kKeys)).ok());
  for (uint64_t round = 1; round <= kRounds; ++round) {
    for (uint64_t key = 0; key < kKeys; ++key) {
      ASSERT_TRUE((*db)->Put(NumberedKey(key), std::to_string(round) + std::string(60, 'x')).ok());
    }
    snapshots.push_back((*db)->GetSnapshot());
  }
  ASSERT_TRUE((*db)->Compact().ok());
  const auto it = (*db)->NewIterator({.snapshot = snapshots[kSeen].get()});
  uint64_t key = kKeys;
  for (it->SeekToLast(); it->valid(); it->Prev()) {
    --key;
    EXPECT_EQ(it->key(), NumberedKey(key));
    EXPECT_EQ(it->value().substr(0, 3), "10x") << it->key();
  }
  EXPECT_TRUE(it->status().ok());
  EXPECT_EQ(key, 0u);
}

}  // namespace
}  // namespace tarn::test
