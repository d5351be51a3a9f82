// What every write-ahead log must do: the contract of tarn/sdk/wal.h as tests. For authors of WAL strategies.
//
// Include it in one file of a GoogleTest program and instantiate it with the strategy and a world to run it in:
// a backend which can tell what a killed process and a power cut leave behind.
//
//   INSTANTIATE_TEST_SUITE_P(Mine, WalContract, testing::Values(WalContractParam{"mine", MakeStrategy, MakeWorld}));
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tarn/sdk/wal.h"

namespace tarn::contract {

class WalWorld {
 public:
  virtual ~WalWorld() = default;
  virtual Backend& backend() = 0;
  // What a new process finds after this one was killed, or the power failed, at this moment. The power cut keeps
  // what was durable and, as `seed` decides, any part of the rest. This world is not changed.
  virtual std::unique_ptr<WalWorld> AfterKill() const = 0;
  virtual std::unique_ptr<WalWorld> AfterPowerCut(uint64_t seed) const = 0;
};

struct WalContractParam {
  std::string name;  // for reports
  std::function<std::shared_ptr<WalStrategy>()> strategy;
  std::function<std::unique_ptr<WalWorld>()> world;
};
inline void PrintTo(const WalContractParam& param, std::ostream* out) { *out << param.name; }

class WalContract : public testing::TestWithParam<WalContractParam> {
 protected:
  static constexpr std::string_view kStore = "contract-store-1";
  struct Replayed {
    Status status;
    WalReplayEnd end;
    std::vector<std::string> payloads;
    std::vector<uint64_t> segments;
  };

  void SetUp() override {
    strategy_ = GetParam().strategy();
    world_ = GetParam().world();
  }
  std::unique_ptr<WalWriter> OpenAt(uint64_t segment) { return OpenIn(*world_, segment); }
  std::unique_ptr<WalWriter> OpenIn(WalWorld& world, uint64_t segment) {
    Result<std::unique_ptr<WalWriter>> writer = strategy_->Open(world.backend(), kStore, segment);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    return writer.ok() ? std::move(writer).value() : nullptr;
  }
  Replayed ReplayIn(WalWorld& world, uint64_t first_segment = 1) {
    Replayed result;
    Result<WalReplayEnd> end =
        strategy_->Replay(world.backend(), kStore, first_segment, [&](uint64_t segment, std::string_view payload) {
          result.payloads.emplace_back(payload);
          result.segments.push_back(segment);
          return Status::Ok();
        });
    result.status = end.status();
    if (end.ok()) result.end = end.value();
    return result;
  }
  static std::string Payload(uint64_t n, size_t bytes) {
    std::string payload = std::to_string(n) + ":";
    payload.resize(bytes, static_cast<char>('a' + n % 26));
    return payload;
  }
  // The first payloads of `expected`, at least `least` of them.
  static void ExpectPrefix(const Replayed& replayed, const std::vector<std::string>& expected, size_t least) {
    ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
    ASSERT_GE(replayed.payloads.size(), least);
    ASSERT_LE(replayed.payloads.size(), expected.size());
    uint64_t bytes = 0;
    for (size_t i = 0; i < replayed.payloads.size(); ++i) {
      ASSERT_TRUE(replayed.payloads[i] == expected[i]) << "payload " << i;
      bytes += expected[i].size();
    }
    EXPECT_EQ(replayed.end.records, replayed.payloads.size());
    EXPECT_EQ(replayed.end.bytes, bytes);
  }

  std::shared_ptr<WalStrategy> strategy_;
  std::unique_ptr<WalWorld> world_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(WalContract);

TEST_P(WalContract, AnEmptyStoreHasAnEmptyLog) {
  EXPECT_FALSE(strategy_->name().empty());
  const Replayed replayed = ReplayIn(*world_);
  ExpectPrefix(replayed, {}, 0);
  EXPECT_EQ(replayed.end.next_segment, 1u);
  EXPECT_FALSE(replayed.end.torn_tail);
  EXPECT_EQ(ReplayIn(*world_, 7).end.next_segment, 7u);
}

TEST_P(WalContract, PayloadsOfAnySizeComeBackInOrderAfterClose) {
  std::vector<std::string> expected;
  const auto writer = OpenAt(1);
  constexpr size_t kKiB = 1024, kMiB = 1024 * kKiB;
  for (const size_t bytes : std::vector<size_t>{0, 1, 29, 4 * kKiB, 256 * kKiB - 1, 256 * kKiB, kMiB + 7, 5 * kMiB}) {
    for (const Durability level : {Durability::kNone, Durability::kProcess, Durability::kPower}) {
      expected.push_back(Payload(expected.size(), bytes));
      ASSERT_TRUE(writer->Append(expected.back(), level).ok());
    }
  }
  ASSERT_TRUE(writer->Close().ok());
  for (const auto& world : {world_->AfterKill(), world_->AfterPowerCut(1)}) {
    const Replayed replayed = ReplayIn(*world);
    ExpectPrefix(replayed, expected, expected.size());
    EXPECT_FALSE(replayed.end.torn_tail);
    EXPECT_GT(replayed.end.next_segment, writer->segment());
  }
}

TEST_P(WalContract, PayloadsAreOpaqueBytes) {
  std::string every_byte, zeros(1000, '\0');
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  const auto writer = OpenAt(1);
  for (const std::string& payload : {every_byte, zeros, every_byte}) {
    ASSERT_TRUE(writer->Append(payload, Durability::kProcess).ok());
  }
  ExpectPrefix(ReplayIn(*world_), {every_byte, zeros, every_byte}, 3);
}

TEST_P(WalContract, EachLevelSurvivesItsCrash) {
  const auto writer = OpenAt(1);
  const std::vector<std::string> expected{"power", "process", "none"};
  ASSERT_TRUE(writer->Append("power", Durability::kPower).ok());
  ASSERT_TRUE(writer->Append("process", Durability::kProcess).ok());
  ASSERT_TRUE(writer->Append("none", Durability::kNone).ok());
  ExpectPrefix(ReplayIn(*world_->AfterKill()), expected, 2);
  for (uint64_t seed = 0; seed < 50; ++seed) ExpectPrefix(ReplayIn(*world_->AfterPowerCut(seed)), expected, 1);
}

TEST_P(WalContract, AStrongerAppendStrengthensAllBeforeIt) {
  for (const Durability level : {Durability::kProcess, Durability::kPower}) {
    world_ = GetParam().world();
    const auto writer = OpenAt(1);
    std::vector<std::string> expected;
    for (uint64_t i = 0; i < 50; ++i) {
      expected.push_back(Payload(i, 1000));
      ASSERT_TRUE(writer->Append(expected.back(), i == 49 ? level : Durability::kNone).ok());
    }
    const auto after = level == Durability::kPower ? world_->AfterPowerCut(3) : world_->AfterKill();
    ExpectPrefix(ReplayIn(*after), expected, 50);
  }
}

TEST_P(WalContract, SyncIsPowerForAllAppended) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append("none", Durability::kNone).ok());
  ASSERT_TRUE(writer->Append("process", Durability::kProcess).ok());
  ASSERT_TRUE(writer->Sync().ok());
  ASSERT_TRUE(writer->Sync().ok());
  for (uint64_t seed = 0; seed < 10; ++seed) {
    ExpectPrefix(ReplayIn(*world_->AfterPowerCut(seed)), {"none", "process"}, 2);
  }
}

TEST_P(WalContract, RotateStartsTheNextSegmentAndMakesTheLastDurable) {
  const auto writer = OpenAt(5);
  EXPECT_EQ(writer->segment(), 5u);
  ASSERT_TRUE(writer->Append("one", Durability::kNone).ok());
  const Result<uint64_t> second = writer->Rotate();
  ASSERT_TRUE(second.ok());
  EXPECT_GT(*second, 5u);
  EXPECT_EQ(writer->segment(), *second);
  for (uint64_t seed = 0; seed < 10; ++seed) ExpectPrefix(ReplayIn(*world_->AfterPowerCut(seed)), {"one"}, 1);
  ASSERT_TRUE(writer->Append("two", Durability::kProcess).ok());
  const Replayed all = ReplayIn(*world_, 5);
  ExpectPrefix(all, {"one", "two"}, 2);
  EXPECT_LT(all.segments[0], *second);
  EXPECT_GE(all.segments[1], *second);
  ExpectPrefix(ReplayIn(*world_, *second), {"two"}, 1);
  EXPECT_GT(all.end.next_segment, *second);
}

TEST_P(WalContract, ASegmentThatWasBegunIsFoundAfterAPowerCut) {
  EXPECT_EQ(ReplayIn(*world_).end.first_segment, 0u);
  const auto writer = OpenAt(5);
  for (uint64_t seed = 0; seed < 10; ++seed)
    EXPECT_EQ(ReplayIn(*world_->AfterPowerCut(seed), 5).end.first_segment, 5u);
  ASSERT_TRUE(writer->Append("x", Durability::kNone).ok());
  const uint64_t second = writer->Rotate().value();
  for (uint64_t seed = 0; seed < 10; ++seed) {
    EXPECT_EQ(ReplayIn(*world_->AfterPowerCut(seed), second).end.first_segment, second);
    EXPECT_EQ(ReplayIn(*world_->AfterPowerCut(seed), 2).end.first_segment, 5u);
  }
}

TEST_P(WalContract, ReleaseDeletesOnlySmallerSegmentsAndFreesTheirBytes) {
  const auto writer = OpenAt(1);
  const uint64_t empty = writer->live_bytes();
  ASSERT_TRUE(writer->Append(std::string(100000, 'a'), Durability::kPower).ok());
  const uint64_t second = writer->Rotate().value();
  ASSERT_TRUE(writer->Append(std::string(5000, 'b'), Durability::kPower).ok());
  const uint64_t third = writer->Rotate().value();
  ASSERT_TRUE(writer->Append("c", Durability::kPower).ok());
  EXPECT_GE(writer->live_bytes(), 105001u);
  ASSERT_TRUE(writer->Release(second).ok());
  EXPECT_LT(writer->live_bytes(), 100000u);
  EXPECT_GE(writer->live_bytes(), 5001u);
  ExpectPrefix(ReplayIn(*world_, second), {std::string(5000, 'b'), "c"}, 2);
  ASSERT_TRUE(writer->Release(third).ok());
  ASSERT_TRUE(writer->Release(third).ok());
  EXPECT_LT(writer->live_bytes(), empty + 1000);
  ExpectPrefix(ReplayIn(*world_, third), {"c"}, 1);
  // A released segment may come back after a power cut; it is not asked for again.
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto after = world_->AfterPowerCut(seed);
    const Replayed replayed = ReplayIn(*after, third);
    ExpectPrefix(replayed, {"c"}, 1);
    const auto next = OpenIn(*after, replayed.end.next_segment);
    ASSERT_NE(next, nullptr);
    ASSERT_TRUE(next->Release(next->segment()).ok());
    EXPECT_LT(next->live_bytes(), empty + 1000);
  }
}

TEST_P(WalContract, AWriterContinuesTheLogOfAnEarlierOne) {
  std::vector<std::string> expected;
  uint64_t next = 1;
  for (uint64_t generation = 0; generation < 5; ++generation) {
    const auto writer = OpenAt(next);
    expected.push_back(Payload(generation, 100));
    ASSERT_TRUE(writer->Append(expected.back(), Durability::kPower).ok());
    if (generation % 2 == 0) {
      ASSERT_TRUE(writer->Close().ok());
    }
    const Replayed replayed = ReplayIn(*world_);
    ExpectPrefix(replayed, expected, expected.size());
    EXPECT_GT(replayed.end.next_segment, writer->segment());
    next = replayed.end.next_segment;
  }
  EXPECT_GE(OpenAt(next)->live_bytes(), 500u);
}

TEST_P(WalContract, AWriterTakesNoSegmentThatExists) {
  ASSERT_TRUE(OpenAt(3)->Append("x", Durability::kPower).ok());
  for (const uint64_t segment : {1, 2, 3}) {
    const auto opened = strategy_->Open(world_->backend(), kStore, segment);
    EXPECT_TRUE(!opened.ok() || (*opened)->segment() > 3) << "where no lock keeps writers apart, behind them";
  }
  ExpectPrefix(ReplayIn(*world_), {"x"}, 1);
}

TEST_P(WalContract, AClosedLogRefusesEverything) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append("x", Durability::kNone).ok());
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_TRUE(writer->Close().ok());
  EXPECT_EQ(writer->Append("y", Durability::kPower).code(), Code::kInvalid);
  EXPECT_EQ(writer->Sync().code(), Code::kInvalid);
  EXPECT_EQ(writer->Rotate().status().code(), Code::kInvalid);
  ExpectPrefix(ReplayIn(*world_->AfterPowerCut(1)), {"x"}, 1);
}

TEST_P(WalContract, AForeignLogIsCorruption) {
  ASSERT_TRUE(OpenAt(1)->Append("x", Durability::kPower).ok());
  const Result<WalReplayEnd> end =
      strategy_->Replay(world_->backend(), "some-other-store", 1, [](uint64_t, std::string_view) {
        ADD_FAILURE() << "a foreign payload was handed out";
        return Status::Ok();
      });
  EXPECT_EQ(end.status().code(), Code::kCorruption);
}

TEST_P(WalContract, TheVisitorsErrorEndsReplay) {
  const auto writer = OpenAt(1);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer->Append("x", Durability::kProcess).ok());
  int visits = 0;
  const Result<WalReplayEnd> end = strategy_->Replay(world_->backend(), kStore, 1, [&](uint64_t, std::string_view) {
    return ++visits == 2 ? Status::NoSpace("full") : Status::Ok();
  });
  EXPECT_EQ(end.status().code(), Code::kNoSpace);
  EXPECT_EQ(visits, 2);
}

// Random histories over several lives. A life ends by close, kill or power cut at a random moment; what replay
// then returns must be a prefix that holds everything acknowledged at the level the crash respected.
TEST_P(WalContract, SalvageOfAWholeLogIsItsReplay) {
  const auto writer = OpenAt(1);
  std::vector<std::string> expected;
  for (uint64_t n = 1; n < 40; ++n) {
    expected.push_back(Payload(n, n * n * 10));
    ASSERT_TRUE(writer->Append(expected.back(), Durability::kProcess).ok());
    ASSERT_TRUE(n % 16 != 0 || writer->Rotate().ok());
  }
  ASSERT_TRUE(writer->Close().ok());
  const auto world = world_->AfterKill();
  for (const std::string_view store : {kStore, std::string_view()}) {
    for (const uint64_t first : {uint64_t{0}, uint64_t{1}}) {
      std::vector<std::string> payloads;
      const Status salvaged = strategy_->Salvage(
          world->backend(), store, first,
          [&](uint64_t, std::string_view payload) {
            payloads.emplace_back(payload);
            return Status::Ok();
          },
          [](const WalLoss& loss) { ADD_FAILURE() << loss.blob << ": " << loss.reason; });
      ASSERT_TRUE(salvaged.ok()) << salvaged.ToString();
      EXPECT_EQ(payloads, expected);
    }
  }
  size_t lost = 0;
  const Status foreign = strategy_->Salvage(
      world->backend(), "contract-store-2", 1, [](uint64_t, std::string_view) { return Status::Ok(); },
      [&](const WalLoss&) { ++lost; });
  EXPECT_TRUE(foreign.ok()) << foreign.ToString();
  EXPECT_GT(lost, 0u) << "another store's log was passed over in silence";
  const Status stopped = strategy_->Salvage(
      world->backend(), kStore, 1, [](uint64_t, std::string_view) { return Status::Busy("enough"); },
      [](const WalLoss&) {});
  EXPECT_EQ(stopped.code(), Code::kBusy);
}

TEST_P(WalContract, RandomHistoriesReplayToAPrefixWithAllThatWasAcknowledged) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto world = GetParam().world();
    std::vector<std::string> log;  // what replay from first_needed may return
    std::vector<uint64_t> segments;
    uint64_t next = 1, first_needed = 1, made = 0;
    for (int life = 0; life < 4; ++life) {
      const auto writer = OpenIn(*world, next);
      ASSERT_NE(writer, nullptr);
      size_t survives_kill = log.size(), survives_power = log.size();
      bool closed = false;
      for (uint64_t steps = random() % 40; steps > 0 && !closed; --steps) {
        const uint64_t dice = random() % 20;
        if (dice < 15) {
          const Durability level = static_cast<Durability>(random() % 3);
          log.push_back(Payload(++made, random() % 30 == 0 ? 300000 : random() % 700));
          segments.push_back(writer->segment());
          ASSERT_TRUE(writer->Append(log.back(), level).ok());
          if (level != Durability::kNone) survives_kill = log.size();
          if (level == Durability::kPower) survives_power = log.size();
        } else if (dice < 17) {
          ASSERT_TRUE(writer->Sync().ok());
          survives_kill = survives_power = log.size();
        } else if (dice < 18) {
          ASSERT_TRUE(writer->Rotate().ok());
          survives_kill = survives_power = log.size();
        } else if (dice < 19) {
          first_needed = std::max(first_needed, writer->segment() - random() % 2);
          ASSERT_TRUE(writer->Release(first_needed).ok());
          size_t gone = 0;
          while (gone < log.size() && segments[gone] < first_needed) ++gone;
          log.erase(log.begin(), log.begin() + static_cast<ptrdiff_t>(gone));
          segments.erase(segments.begin(), segments.begin() + static_cast<ptrdiff_t>(gone));
          survives_kill -= std::min(survives_kill, gone);
          survives_power -= std::min(survives_power, gone);
        } else {
          ASSERT_TRUE(writer->Close().ok());
          closed = true;
          survives_kill = survives_power = log.size();
        }
      }
      const bool power = random() % 2 == 0;
      world = power ? world->AfterPowerCut(random()) : world->AfterKill();
      const Replayed replayed = ReplayIn(*world, first_needed);
      ASSERT_NO_FATAL_FAILURE(ExpectPrefix(replayed, log, power ? survives_power : survives_kill));
      log.resize(replayed.payloads.size());
      segments.resize(log.size());
      next = replayed.end.next_segment;
      if (!power) {  // as the contract asks of the kernel: publish what was recovered before going on
        first_needed = next;
        log.clear();
        segments.clear();
      }
    }
  }
}

TEST_P(WalContract, ReplayRunsBesideALiveWriter) {
  constexpr uint64_t kPayloads = 2000;
  const auto writer = OpenAt(1);
  std::vector<std::string> expected;
  for (uint64_t i = 0; i < kPayloads; ++i) expected.push_back(Payload(i, i % 300));
  std::atomic<uint64_t> acknowledged{0}, replays{0};
  std::thread appends([&] {
    for (uint64_t i = 0; i < kPayloads; ++i) {
      ASSERT_TRUE(writer->Append(expected[i], i % 50 == 0 ? Durability::kPower : Durability::kProcess).ok());
      acknowledged.store(i + 1, std::memory_order_release);
      if (i % 100 != 99) continue;
      ASSERT_TRUE(writer->Rotate().ok());
      while (replays.load() < i / 100) std::this_thread::yield();  // so that no replay misses the whole show
    }
  });
  for (uint64_t least = 0; least < kPayloads && !HasFailure();) {
    least = acknowledged.load(std::memory_order_acquire);
    ExpectPrefix(ReplayIn(*world_), expected, least);
    replays.fetch_add(1);
  }
  replays.store(kPayloads);  // after a failure nobody waits any more
  appends.join();
}

}  // namespace tarn::contract
