// Compression: round trips, what is stored raw, and bytes that claim the impossible.
#include "format/compress.h"

#include <gtest/gtest.h>

#include <random>

#include "base/coding.h"

namespace tarn {
namespace {

constexpr Compression kBoth[] = {Compression::kLz4, Compression::kZstd};

std::string Noise(size_t size) {
  std::mt19937 rng(42);
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(rng());
  return noise;
}
std::string Text(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += "entry " + std::to_string(i * 7919) + " of the block; ";
  text.resize(size);
  return text;
}

void ExpectRoundTrip(Compression method, const std::string& payload, Compression stored_as) {
  BlockCompressor compressor(method);
  std::string out = "before";
  EXPECT_EQ(compressor.Append(payload, &out), stored_as);
  ASSERT_EQ(out.substr(0, 6), "before");
  const std::string_view stored = std::string_view(out).substr(6);
  const auto block = DecompressBlock(static_cast<uint8_t>(stored_as), stored);
  ASSERT_TRUE(block.ok()) << block.status().ToString();
  EXPECT_TRUE(block.value()->bytes() == payload);
  if (stored_as != Compression::kNone) {
    EXPECT_LE(stored.size(), payload.size() - payload.size() / 8);
  }
}

TEST(Compress, RoundTrip) {
  for (const Compression method : kBoth) {
    for (const size_t size : {200, 4096, 100000}) ExpectRoundTrip(method, Text(size), method);
    ExpectRoundTrip(method, std::string(64 << 20, '\0'), method);  // the ratio bound must not refuse the best case
    ExpectRoundTrip(method, std::string(64, 'a'), method);
  }
  ExpectRoundTrip(Compression::kNone, Text(4096), Compression::kNone);
}

TEST(Compress, WhatDoesNotShrinkIsStoredRaw) {
  for (const Compression method : kBoth) {
    for (const size_t size : {0, 1, 4, 5, 8, 100, 4096, 100000}) {
      ExpectRoundTrip(method, Noise(size), Compression::kNone);
    }
    // A tenth of it compresses: less than the eighth that pays for unpacking.
    ExpectRoundTrip(method, Noise(9000) + std::string(1000, 'a'), Compression::kNone);
    ExpectRoundTrip(method, Noise(6000) + std::string(4000, 'a'), method);
  }
}

TEST(Compress, OneCompressorServesManyBlocks) {
  for (const Compression method : kBoth) {
    BlockCompressor compressor(method);
    for (const size_t size : {4096, 300, 9000}) {
      std::string out;
      const Compression as = compressor.Append(Text(size), &out);
      const auto block = DecompressBlock(static_cast<uint8_t>(as), out);
      ASSERT_TRUE(block.ok());
      EXPECT_EQ(block.value()->bytes(), Text(size));
    }
  }
}

TEST(Compress, ImpossibleClaimsAreRefusedBeforeMemoryIsTaken) {
  for (const Compression method : kBoth) {
    for (const uint32_t claim : {0xffffffffu, kMaxBlockBytes, kMaxBlockBytes + 1, 100u << 20}) {
      std::string stored;
      PutFixed32(&stored, claim);
      stored += std::string(20, '\0');
      const auto block = DecompressBlock(static_cast<uint8_t>(method), stored);
      ASSERT_FALSE(block.ok());
      EXPECT_EQ(block.status().code(), Code::kCorruption);
      EXPECT_NE(block.status().message().find("claims"), std::string_view::npos);
    }
  }
}

TEST(Compress, DamageIsCorruptionOrOtherBytesOfTheSameSize) {
  for (const Compression method : kBoth) {
    BlockCompressor compressor(method);
    std::string good;
    ASSERT_EQ(compressor.Append(Text(600), &good), method);
    for (size_t i = 0; i < good.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
        const auto block = DecompressBlock(static_cast<uint8_t>(method), bad);
        if (block.ok()) {
          EXPECT_EQ(block.value()->bytes().size(), 600u);
        } else {
          EXPECT_EQ(block.status().code(), Code::kCorruption);
        }
      }
      EXPECT_FALSE(DecompressBlock(static_cast<uint8_t>(method), good.substr(0, i)).ok());
    }
  }
}

TEST(Compress, UnknownMethodIsCorruption) {
  for (const int method : {3, 4, 255}) {
    const auto block = DecompressBlock(static_cast<uint8_t>(method), "some bytes");
    ASSERT_FALSE(block.ok());
    EXPECT_EQ(block.status().code(), Code::kCorruption);
  }
}

}  // namespace
}  // namespace tarn
