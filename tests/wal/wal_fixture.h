// What the tests of the segmented log share: a log in memory whose bytes can be looked at and damaged.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/mem_backend.h"
#include "wal/builtin.h"
#include "wal/record.h"

namespace tarn::wal {

class WalFixture : public testing::Test {
 protected:
  static constexpr std::string_view kStore = "example-store-01";
  struct Replayed {
    Status status;
    WalReplayEnd end;
    std::vector<std::string> payloads;
  };

  std::unique_ptr<WalWriter> OpenAt(uint64_t segment) { return strategy_->Open(*disk_, kStore, segment).value(); }
  Replayed Replay(uint64_t first_segment = 1) { return ReplayOf(*disk_, first_segment); }
  Replayed ReplayOf(Backend& backend, uint64_t first_segment = 1) {
    Replayed result;
    Result<WalReplayEnd> end =
        strategy_->Replay(backend, kStore, first_segment, [&](uint64_t, std::string_view payload) {
          result.payloads.emplace_back(payload);
          return Status::Ok();
        });
    result.status = end.status();
    if (end.ok()) result.end = end.value();
    return result;
  }
  std::string BytesOf(uint64_t segment) { return disk_->Contents(SegmentName(segment)).value(); }
  void SetBytes(uint64_t segment, std::string bytes) {
    ASSERT_TRUE(disk_->Corrupt(SegmentName(segment), std::move(bytes)).ok());
  }
  // Corruption that names the segment, the offset and a next step.
  static void ExpectCorruption(const Status& status, uint64_t segment, uint64_t offset) {
    ASSERT_EQ(status.code(), Code::kCorruption) << status.ToString();
    const std::string place = SegmentName(segment) + ", offset " + std::to_string(offset) + ":";
    EXPECT_NE(status.message().find(place), std::string_view::npos) << status.ToString() << " lacks " << place;
    EXPECT_NE(status.message().find("; "), std::string_view::npos) << "no next step: " << status.ToString();
    EXPECT_EQ(status.message().find('\n'), std::string_view::npos);
  }

  std::shared_ptr<test::MemBackend> disk_ = std::make_shared<test::MemBackend>();
  std::shared_ptr<WalStrategy> strategy_ = NewSegmentedWal();
};

}  // namespace tarn::wal
