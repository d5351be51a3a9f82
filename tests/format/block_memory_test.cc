// Pieces of all sizes, taken and given back in any order and by many threads: nobody's bytes are touched by another.
#include "format/block_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

namespace tarn::test {
namespace {

struct Piece {
  char* at = nullptr;
  size_t bytes = 0;
  char mark = 0;

  static Piece Make(size_t bytes, char mark) {
    Piece piece{static_cast<char*>(AllocateBlock(bytes)), bytes, mark};
    EXPECT_NE(piece.at, nullptr);
    std::memset(piece.at, mark, bytes);
    return piece;
  }
  bool Whole() const {
    for (size_t i = 0; i < bytes; ++i) {
      if (at[i] != mark) return false;
    }
    return true;
  }
};

size_t AnySize(std::mt19937_64& random) {
  const size_t scale = size_t{1} << random() % 20;  // up to 512 KiB, small and large ones as often
  return 1 + random() % scale;
}

TEST(BlockMemory, RoundsUpByAnEighthAtMost) {
  for (size_t bytes = 1; bytes < (600 << 10); bytes += 1 + bytes / 50) {
    EXPECT_GE(BlockFootprint(bytes), bytes);
    if (bytes >= 128) {
      EXPECT_LE(BlockFootprint(bytes), bytes + bytes / 8) << bytes;
    }
  }
}

TEST(BlockMemory, PiecesAreAligned) {
  for (const size_t bytes : {1, 100, 4096, 5000, 100'000, 1 << 20}) {
    Piece piece = Piece::Make(bytes, 'a');
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece.at) % 16, 0u) << bytes;
    FreeBlock(piece.at, bytes);
  }
}

TEST(BlockMemory, FreedPiecesAreUsedAgain) {
  std::vector<Piece> pieces;
  for (int round = 0; round < 20; ++round) {  // 20 x 16 MiB would be felt otherwise
    for (int i = 0; i < 4000; ++i) pieces.push_back(Piece::Make(4200, static_cast<char>(i)));
    for (const Piece& piece : pieces) {
      ASSERT_TRUE(piece.Whole());
      FreeBlock(piece.at, piece.bytes);
    }
    pieces.clear();
  }
}

// Half of the pieces of many slabs are freed, here and there. Moving the others slab by slab gives the memory back.
TEST(BlockMemory, SlabsAreThinnedOut) {
  constexpr size_t kBytes = 4000;
  std::vector<Piece> pieces;
  const size_t before = IdleBlockBytes();
  for (int i = 0; i < 20'000; ++i) pieces.push_back(Piece::Make(kBytes, static_cast<char>(i)));
  std::unordered_map<const void*, Piece> kept;
  for (size_t i = 0; i < pieces.size(); ++i) {
    i % 4 == 0 ? static_cast<void>(kept.emplace(pieces[i].at, pieces[i])) : FreeBlock(pieces[i].at, kBytes);
  }
  if (BlockFootprint(1) == 1) GTEST_SKIP() << "no slabs under sanitizers";
  EXPECT_GT(IdleBlockBytes(), before + 50'000'000);
  std::vector<const void*> places;
  while (ThinBlocks([&](const void* place) { places.push_back(place); })) {
    for (const void* place : places) {
      const auto found = kept.find(place);
      if (found == kept.end()) continue;
      const Piece old = found->second;
      kept.erase(found);
      const Piece moved = Piece::Make(kBytes, old.mark);
      ASSERT_TRUE(old.Whole());
      FreeBlock(old.at, kBytes);
      kept.emplace(moved.at, moved);
    }
    places.clear();
  }
  EXPECT_LT(IdleBlockBytes(), before + 8'000'000);
  for (const auto& [at, piece] : kept) {
    ASSERT_TRUE(piece.Whole());
    FreeBlock(piece.at, kBytes);
  }
}

// A slab that cannot be emptied, because nobody moves its pieces, is used again.
TEST(BlockMemory, WhatIsNotMovedStays) {
  constexpr size_t kBytes = 9000;
  std::vector<Piece> pieces;
  for (int i = 0; i < 4000; ++i) pieces.push_back(Piece::Make(kBytes, static_cast<char>(i)));
  for (size_t i = 0; i < pieces.size(); i += 2) FreeBlock(pieces[i].at, kBytes);
  for (int i = 0; i < 10; ++i) (void)ThinBlocks([](const void*) {});
  for (size_t i = 0; i < pieces.size(); i += 2) pieces[i] = Piece::Make(kBytes, 'x');
  for (const Piece& piece : pieces) {
    ASSERT_TRUE(piece.Whole());
    FreeBlock(piece.at, kBytes);
  }
}

void Churn(uint64_t seed, int steps) {
  std::mt19937_64 random(seed);
  std::vector<Piece> pieces;
  for (int i = 0; i < steps; ++i) {
    if (pieces.size() < 50 || random() % 2 == 0) {
      pieces.push_back(Piece::Make(AnySize(random), static_cast<char>(random())));
    } else {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      ASSERT_TRUE(pieces.back().Whole()) << "seed " << seed << ", step " << i;
      FreeBlock(pieces.back().at, pieces.back().bytes);
      pieces.pop_back();
    }
  }
  for (const Piece& piece : pieces) {
    ASSERT_TRUE(piece.Whole()) << "seed " << seed;
    FreeBlock(piece.at, piece.bytes);
  }
}

TEST(BlockMemory, AnyOrder) { Churn(1, 20'000); }

TEST(BlockMemory, ManyThreads) {
  std::vector<std::thread> threads;
  for (uint64_t seed = 2; seed < 6; ++seed) threads.emplace_back([seed] { Churn(seed, 5'000); });
  for (std::thread& thread : threads) thread.join();
}

// What one thread took, another gives back.
TEST(BlockMemory, CrossesThreads) {
  std::vector<Piece> pieces;
  for (int i = 0; i < 2000; ++i) pieces.push_back(Piece::Make(1 + static_cast<size_t>(i) * 7, static_cast<char>(i)));
  std::thread([&] {
    for (const Piece& piece : pieces) {
      EXPECT_TRUE(piece.Whole());
      FreeBlock(piece.at, piece.bytes);
    }
  }).join();
  Churn(7, 2000);
}

}  // namespace
}  // namespace tarn::test
