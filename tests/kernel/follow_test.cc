// Followers: stores that were opened read-only and catch up with a live writer. The writer makes one numbered state
// after the other; whatever it does between any two calls of a follower, the follower shows one of these states,
// whole, not older than what was durable when it began to catch up, and never an older one than before.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <optional>
#include <random>
#include <thread>

#include "tests/kernel/sim_store.h"
#include "tests/support/fault_backend.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kSlots = 20;

// One process at a backend that several share. With `far`, as on S3: a blob that another process deleted cannot be
// read any more, also where it is open.
class Process final : public WrappingBackend {
 public:
  Process(std::shared_ptr<MemBackend> shared, bool far) : WrappingBackend(shared), shared_(shared) {
    info_ = shared->info();
    if (far) info_.latency = LatencyClass::kNetwork;
  }
  const BackendInfo& info() const override { return info_; }

  std::function<void()> between;  // runs before each call; not while it runs
  std::vector<std::pair<Op, std::string>> calls;

 protected:
  Status Around(const Call& call, const Effect& effect) override {
    calls.emplace_back(call.op, call.name);
    if (between && !inside_) {
      inside_ = true;
      between();
      inside_ = false;
    }
    if (call.op == Op::kRead && info_.latency == LatencyClass::kNetwork && !shared_->Contents(call.name).ok()) {
      return Status::NotFound(std::string(call.name) + " was deleted while it was open");
    }
    return effect();
  }

 private:
  const std::shared_ptr<MemBackend> shared_;
  BackendInfo info_;
  bool inside_ = false;
};

// State k: "n" is k, and slot j holds the largest i <= k that leaves j.
class Author {
 public:
  explicit Author(DB* db) : db_(db) {}
  void Take(DB* db) { db_ = db; }

  Status Put(Durability durability) {
    const std::string number = std::to_string(made_ + 1);
    WriteBatch batch;
    batch.Put("n", number);
    batch.Put(NumberedKey((made_ + 1) % kSlots), number + std::string(1500, '.'));
    TARN_TRY(db_->Write(batch, durability));
    ++made_;
    if (durability == Durability::kPower) durable_ = made_;
    return {};
  }
  void Act(std::mt19937_64& chance) {
    const uint64_t what = chance() % 100;
    if (what < 60) {
      ASSERT_TRUE(Put(what < 30 ? Durability::kPower : Durability::kNone).ok());
    } else if (what < 75) {
      ASSERT_TRUE(db_->SyncWal().ok());
      durable_ = made_;
    } else if (what < 90) {
      ASSERT_TRUE(db_->Flush().ok());
      durable_ = made_;
    } else if (what < 96) {
      ASSERT_TRUE(db_->Compact().ok());
      durable_ = made_;
    } else {
      ASSERT_TRUE(db_->CreateFamily("f" + std::to_string(++families_)).ok());
    }
  }
  // Puts other tables in the place of all that there are.
  void Rewrite() {
    ASSERT_TRUE(Put(Durability::kPower).ok());
    ASSERT_TRUE(db_->Flush().ok());
    ASSERT_TRUE(db_->Compact().ok());
  }
  uint64_t made() const { return made_; }
  uint64_t durable() const { return durable_; }

 private:
  DB* db_;
  uint64_t made_ = 0, durable_ = 0, families_ = 0;
};

// Which state it is; fails the test when it is none.
uint64_t StateOf(DB& db, const Snapshot* snapshot = nullptr) {
  ReadOptions options;
  options.snapshot = snapshot;
  std::string value;
  const Status got = db.Get("n", &value, options);
  if (got.code() == Code::kNotFound) return 0;
  EXPECT_TRUE(got.ok()) << got.ToString();
  const uint64_t state = std::strtoull(value.c_str(), nullptr, 10);
  for (uint64_t slot = 0; slot < kSlots; ++slot) {
    const uint64_t newest = state < slot ? 0 : state - (state - slot) % kSlots;
    const Status found = db.Get(NumberedKey(slot), &value, options);
    if (newest == 0) {
      EXPECT_EQ(found.code(), Code::kNotFound) << "state " << state << " slot " << slot << found.ToString();
    } else {
      EXPECT_TRUE(found.ok()) << "state " << state << " slot " << slot << ": " << found.ToString();
      EXPECT_EQ(value, std::to_string(newest) + std::string(1500, '.')) << "state " << state;
    }
  }
  return state;
}

// The same through an iterator; nothing when the writer deleted what it needs.
std::optional<uint64_t> StateOf(Iterator& it) {
  std::map<std::string, std::string> rows;
  for (it.SeekToFirst(); it.valid(); it.Next()) rows[std::string(it.key())] = it.value();
  if (it.status().os_error() == ESTALE) return std::nullopt;
  EXPECT_TRUE(it.status().ok()) << it.status().ToString();
  const uint64_t state = rows.empty() ? 0 : std::strtoull(rows["n"].c_str(), nullptr, 10);
  EXPECT_EQ(rows.size(), state == 0 ? 0 : std::min(state, kSlots) + 1);
  for (const auto& [key, value] : rows) {
    if (key == "n") continue;
    const uint64_t number = std::strtoull(value.c_str(), nullptr, 10);
    EXPECT_EQ(key, NumberedKey(number % kSlots));
    EXPECT_TRUE(number <= state && number + kSlots > state) << number << " in state " << state;
  }
  return state;
}

Settings ReadOnly() {
  Settings settings = SmallSettings();
  settings.read_only = true;
  return settings;
}

std::shared_ptr<MemBackend> Place(bool bucket) {
  return std::make_shared<MemBackend>(MemOptions{.append = !bucket, .locks = !bucket, .queues = false});
}

struct Kind {
  bool bucket, far;
};
class Follow : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Places, Follow, testing::Values(Kind{false, false}, Kind{true, false}, Kind{true, true}),
                         [](const auto& kind) {
                           return std::string(kind.param.bucket ? "Bucket" : "Directory") +
                                  (kind.param.far ? "Far" : "");
                         });

TEST_P(Follow, EveryStateIsOneOfTheWriters) {
  uint64_t moved = 0, lost = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 chance(seed);
    const auto place = Place(GetParam().bucket);
    auto written = std::move(OpenSim(place, SmallSettings(), seed)).value();
    Author author(written.get());
    for (int i = 0; i < 5; ++i) author.Act(chance);
    const auto process = std::make_shared<Process>(place, GetParam().far);
    auto opened = OpenSim(process, ReadOnly(), seed + 100);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    DB& follower = **opened;
    uint64_t seen = StateOf(follower);
    process->between = [&] {
      if (chance() % 6 == 0) author.Act(chance);
    };
    for (int round = 0; round < 40; ++round) {
      const auto snapshot = follower.GetSnapshot();
      const auto iterator = follower.NewIterator();
      const uint64_t at_snapshot = seen, durable = author.durable();
      const Status caught_up = follower.CatchUp();
      ASSERT_TRUE(caught_up.ok()) << caught_up.ToString();
      const auto later = follower.NewIterator();
      if (round % 4 == 3) author.Rewrite();  // before a table that is new to the follower was read
      const std::optional<uint64_t> now = StateOf(*later);
      ASSERT_FALSE(HasFailure()) << "round " << round;
      if (now.has_value()) {
        EXPECT_GE(*now, seen);
        EXPECT_GE(*now, durable);
        EXPECT_LE(*now, author.made());
        moved += *now > seen ? 1 : 0;
        seen = *now;
      }
      // What was taken before stays, unless its tables went.
      std::string value;
      ReadOptions then;
      then.snapshot = snapshot.get();
      if (follower.Get("n", &value, then).os_error() != ESTALE && !GetParam().far) {
        EXPECT_EQ(StateOf(follower, snapshot.get()), at_snapshot);
      }
      const std::string keys[] = {NumberedKey(0), NumberedKey(kSlots / 2), NumberedKey(kSlots - 1)};
      std::vector<std::string> values;
      for (const Status& got : follower.MultiGet({}, {"n", keys[0], keys[1], keys[2]}, &values, then)) {
        EXPECT_NE(got.code(), Code::kCorruption) << got.ToString();  // each key is told, not the first one only
      }
      const std::optional<uint64_t> before = StateOf(*iterator);
      lost += before.has_value() ? 0 : 1;
      EXPECT_EQ(before.value_or(at_snapshot), at_snapshot);
      if (!GetParam().far) {
        EXPECT_TRUE(before.has_value());
        EXPECT_EQ(StateOf(follower), seen);
      } else {
        // A read may move the view on, to find what the writer put in place of what it deleted.
        ASSERT_TRUE(follower.Get("n", &value).ok() || seen == 0);
        EXPECT_GE(std::strtoull(value.c_str(), nullptr, 10), seen);
        seen = std::strtoull(value.c_str(), nullptr, 10);
      }
      ASSERT_FALSE(HasFailure()) << "round " << round;
    }
    process->between = nullptr;
    ASSERT_TRUE(written->SyncWal().ok());
    ASSERT_TRUE(follower.CatchUp().ok());
    EXPECT_EQ(StateOf(follower), author.made());
  }
  EXPECT_GT(moved, 100u);
  EXPECT_EQ(lost > 0, GetParam().far) << "that happens far away, and only there";
}

TEST_P(Follow, NothingNewCostsTwoLists) {
  const auto place = Place(GetParam().bucket);
  auto written = std::move(OpenSim(place)).value();
  Author author(written.get());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(author.Put(Durability::kPower).ok());
  ASSERT_TRUE(written->Flush().ok());
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(author.Put(Durability::kPower).ok());
  const auto process = std::make_shared<Process>(place, GetParam().far);
  auto follower = std::move(OpenSim(process, ReadOnly(), 2)).value();
  EXPECT_EQ(StateOf(*follower), 60u);
  process->calls.clear();
  ASSERT_TRUE(follower->CatchUp().ok());
  const auto of = [&](Op op) {
    return std::count_if(process->calls.begin(), process->calls.end(), [&](const auto& c) { return c.first == op; });
  };
  EXPECT_EQ(of(Op::kList), 2);
  EXPECT_LE(process->calls.size(), GetParam().bucket ? 2u : 5u);

  // And each new object of the log one read more.
  ASSERT_TRUE(author.Put(Durability::kPower).ok());
  process->calls.clear();
  ASSERT_TRUE(follower->CatchUp().ok());
  EXPECT_EQ(of(Op::kList), 2);
  EXPECT_LE(of(Op::kRead), GetParam().bucket ? 1 : 2);
  EXPECT_EQ(StateOf(*follower), 61u);
}

TEST_P(Follow, AnErrorLeavesTheViewAndTheNextCallGoesOn) {
  bool reached = true;
  for (uint64_t at = 1; reached; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    const auto place = Place(GetParam().bucket);
    auto written = std::move(OpenSim(place)).value();
    Author author(written.get());
    for (int i = 0; i < 7; ++i) ASSERT_TRUE(author.Put(Durability::kPower).ok());
    const auto process = std::make_shared<Process>(place, GetParam().far);
    const auto faults = std::make_shared<FaultBackend>(process);
    auto follower = std::move(OpenSim(faults, ReadOnly(), 2)).value();
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(author.Put(Durability::kPower).ok());
    ASSERT_TRUE(written->Flush().ok());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(author.Put(Durability::kPower).ok());
    faults->Arm({.at_call = at});
    const Status caught_up = follower->CatchUp();
    reached = faults->fired() > 0;
    faults->Disarm();
    const uint64_t now = caught_up.ok() ? 40 : 7;
    if (!GetParam().far) {
      EXPECT_EQ(StateOf(*follower), now);
    }
    ASSERT_TRUE(follower->CatchUp().ok());
    EXPECT_EQ(StateOf(*follower), 40u);
  }
}

TEST(FollowTakeover, TheStoreChangesHands) {
  const auto place = Place(true);
  auto first = std::move(OpenSim(place)).value();
  Author author(first.get());
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(author.Put(Durability::kPower).ok());
  const auto process = std::make_shared<Process>(place, true);
  auto follower = std::move(OpenSim(process, ReadOnly(), 9)).value();
  std::vector<std::unique_ptr<DB>> writers;
  uint64_t seen = 7;
  for (int round = 0; round < 10; ++round) {
    ASSERT_TRUE(author.Put(Durability::kPower).ok());
    int calls = 0;
    process->between = [&] {  // the next writer takes it while the follower looks
      if (++calls != round + 1) return;
      auto next = OpenSim(place, SmallSettings(), 20 + static_cast<uint64_t>(round));
      ASSERT_TRUE(next.ok()) << next.status().ToString();
      writers.push_back(std::move(*next));
      author.Take(writers.back().get());
      ASSERT_TRUE(author.Put(Durability::kPower).ok());
    };
    for (int i = 0; i < 3; ++i) {
      const uint64_t durable = author.durable();
      const Status caught_up = follower->CatchUp();
      ASSERT_TRUE(caught_up.ok()) << "round " << round << ": " << caught_up.ToString();
      const uint64_t now = StateOf(*follower);
      EXPECT_GE(now, std::max(seen, durable));
      seen = now;
    }
    process->between = nullptr;
  }
  ASSERT_TRUE(follower->CatchUp().ok());
  EXPECT_EQ(StateOf(*follower), author.made());
  EXPECT_GE(writers.size(), 5u);
}

TEST(FollowWriter, AStoreThatIsOpenForWritingHasNothingToCatchUpWith) {
  auto written = std::move(OpenSim(Place(true))).value();
  EXPECT_TRUE(written->CatchUp().ok());
  ASSERT_TRUE(written->Close().ok());
  EXPECT_EQ(written->CatchUp().code(), Code::kInvalid);
}

// With real threads, for the race detector.
TEST_P(Follow, ReadersWriterAndFollowerAtOnce) {
  const auto place = Place(GetParam().bucket);
  auto written = std::move(DB::Open(SmallSettings(), Components{.backend = place})).value();
  Author author(written.get());
  ASSERT_TRUE(author.Put(Durability::kPower).ok());
  auto follower = std::move(DB::Open(ReadOnly(), Components{.backend = place})).value();
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 600; ++i) {
      EXPECT_TRUE(author.Put(i % 3 == 0 ? Durability::kPower : Durability::kNone).ok());
      if (i % 50 != 49) continue;
      EXPECT_TRUE((i % 100 == 99 ? written->Compact() : written->Flush()).ok());
    }
    EXPECT_TRUE(written->SyncWal().ok());
    done.store(true);
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      uint64_t seen = 0;
      while (!done.load()) {
        const auto snapshot = follower->GetSnapshot();
        const uint64_t now = StateOf(*follower, snapshot.get());
        EXPECT_GE(now, seen);
        seen = now;
        EXPECT_TRUE(StateOf(*follower->NewIterator()).has_value());
      }
    });
  }
  while (!done.load()) {
    const Status caught_up = follower->CatchUp();
    EXPECT_TRUE(caught_up.ok() || caught_up.code() == Code::kUnavailable) << caught_up.ToString();
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  ASSERT_TRUE(follower->CatchUp().ok());
  EXPECT_EQ(StateOf(*follower), 601u);
}

}  // namespace
}  // namespace tarn::test
