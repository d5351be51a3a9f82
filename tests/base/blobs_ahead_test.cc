// Blobs read ahead: what is in flight, in which order, and what happens when something of it fails.
#include "base/blobs_ahead.h"

#include <gtest/gtest.h>

#include "tests/support/fault_backend.h"
#include "tests/support/mem_backend.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

std::shared_ptr<MemBackend> Bucket(int blobs, LatencyClass latency = LatencyClass::kNetwork) {
  auto bucket = std::make_shared<MemBackend>(MemOptions{.append = false, .locks = false, .latency = latency});
  for (int i = 0; i < blobs; ++i) {
    EXPECT_TRUE(bucket->PutIfAbsent("b/" + std::to_string(i), "blob " + std::to_string(i)).ok());
  }
  return bucket;
}

std::vector<std::string> Row(int blobs) {
  std::vector<std::string> names;
  for (int i = 0; i < blobs; ++i) names.push_back("b/" + std::to_string(i));
  return names;
}

Result<std::string> ReadAll(BlobsAhead& blobs, const std::string& name) {
  TARN_ASSIGN(const auto blob, blobs.Open(name));
  std::string bytes(blob->size(), '?');
  TARN_TRY(blob->Read(0, bytes));
  return bytes;
}

TEST(BlobsAhead, AWindowOfThemIsInFlight) {
  constexpr int kBlobs = 100;
  TraceBackend traced(Bucket(kBlobs), {.sizes = false});
  {
    BlobsAhead blobs(traced, Row(kBlobs));
    EXPECT_TRUE(traced.TakeLines().empty()) << "before the first is asked for";
    for (int i = 0; i < kBlobs; ++i) {
      const auto bytes = ReadAll(blobs, "b/" + std::to_string(i));
      ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
      EXPECT_EQ(*bytes, "blob " + std::to_string(i));
    }
  }
  EXPECT_EQ(traced.max_reads_in_flight(), 32u);
  size_t submitted = 0;
  for (const std::string& line : traced.TakeLines()) {
    submitted += line.starts_with("submit") ? 1 : 0;
    EXPECT_FALSE(line.starts_with("read")) << "each was there already";
  }
  EXPECT_EQ(submitted, static_cast<size_t>(kBlobs)) << "and each was asked for once";
}

TEST(BlobsAhead, NearbyNothingIsReadAhead) {
  TraceBackend traced(Bucket(2, LatencyClass::kDisk));
  BlobsAhead blobs(traced, Row(2));
  ASSERT_TRUE(ReadAll(blobs, "b/0").ok());
  EXPECT_EQ(traced.TakeLines(), (std::vector<std::string>{"open b/0", "read b/0 0 6"}));
}

TEST(BlobsAhead, SkipsWhatIsNotAskedForAndFindsWhatIsNotInTheRow) {
  const auto bucket = Bucket(40);
  ASSERT_TRUE(bucket->PutIfAbsent("other", "another").ok());
  BlobsAhead blobs(*bucket, Row(40));
  EXPECT_EQ(*ReadAll(blobs, "b/7"), "blob 7");
  EXPECT_EQ(*ReadAll(blobs, "other"), "another");
  EXPECT_EQ(*ReadAll(blobs, "b/3"), "blob 3") << "given up, and read again";
  EXPECT_EQ(*ReadAll(blobs, "b/39"), "blob 39");
  EXPECT_EQ(ReadAll(blobs, "missing").status().code(), Code::kNotFound);
}

TEST(BlobsAhead, ASecondReadAsksTheBackend) {
  const auto bucket = Bucket(3);
  BlobsAhead blobs(*bucket, Row(3));
  const auto blob = blobs.Open("b/0");
  ASSERT_TRUE(blob.ok());
  std::string bytes(6, '?');
  ASSERT_TRUE((*blob)->Read(0, bytes).ok());
  EXPECT_EQ(bytes, "blob 0");
  ASSERT_TRUE(bucket->Corrupt("b/0", "mended").ok());
  ASSERT_TRUE((*blob)->Read(0, bytes).ok());
  EXPECT_EQ(bytes, "mended");
  EXPECT_EQ((*blob)->Read(3, bytes).code(), Code::kCorruption) << "past the end";
}

// Each call in turn fails once. What was ahead is tried again; only what is asked for is told.
TEST(BlobsAhead, WhatFailsAheadIsTriedAgain) {
  constexpr int kBlobs = 5;
  FaultBackend faulty(Bucket(kBlobs));
  uint64_t calls = 1;
  for (uint64_t at = 1; at <= calls; ++at) {
    faulty.Arm({.at_call = at, .error = Status::Unavailable("injected")});
    BlobsAhead blobs(faulty, Row(kBlobs));
    for (int i = 0; i < kBlobs; ++i) {
      const auto bytes = ReadAll(blobs, "b/" + std::to_string(i));
      ASSERT_TRUE(bytes.ok()) << "call " << at << ": " << bytes.status().ToString();
      EXPECT_EQ(*bytes, "blob " + std::to_string(i));
    }
    calls = faulty.calls();
    EXPECT_EQ(faulty.fired(), at <= calls ? 1u : 0u);
  }
  EXPECT_GE(calls, 3u * kBlobs);
}

}  // namespace
}  // namespace tarn::test
