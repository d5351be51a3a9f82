#include "base/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tarn {
namespace {

TEST(ArenaTest, HoldsNothingUntilItIsUsed) {
  Arena arena;
  EXPECT_EQ(arena.memory_bytes(), 0u);
  arena.Allocate(1);
  EXPECT_EQ(arena.memory_bytes(), Arena::kFirstBlockBytes);
}

TEST(ArenaTest, PiecesAreAlignedAndDoNotOverlap) {
  Arena arena;
  std::mt19937_64 random(1);
  std::vector<std::pair<char*, size_t>> pieces;
  for (int i = 0; i < 20000; ++i) {
    const size_t bytes = 1 + random() % (i % 100 == 0 ? 100000 : 200);
    char* piece = arena.Allocate(bytes);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(piece) % Arena::kAlignment, 0u);
    std::memset(piece, i & 0xff, bytes);
    pieces.emplace_back(piece, bytes);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (size_t j = 0; j < pieces[i].second; ++j) {
      ASSERT_EQ(static_cast<unsigned char>(pieces[i].first[j]), i & 0xff) << "piece " << i << " byte " << j;
    }
  }
}

TEST(ArenaTest, BlocksDoubleUpToTheLargest) {
  Arena arena;
  size_t block = Arena::kFirstBlockBytes, held = 0;
  for (int blocks = 0; blocks < 8; ++blocks) {
    for (size_t used = 0; used < block; used += 1024) arena.Allocate(1024);
    held += block;
    ASSERT_EQ(arena.memory_bytes(), held);
    block = std::min(block * 2, Arena::kLargestBlockBytes);
  }
}

TEST(ArenaTest, LargePiecesDoNotLieBetweenSmallOnes) {
  Arena arena;
  arena.Allocate(8);
  arena.Allocate(Arena::kFirstBlockBytes / 4 + 8);
  EXPECT_EQ(arena.memory_bytes(), Arena::kFirstBlockBytes + Arena::kFirstBlockBytes / 4 + 8);
  arena.Allocate(10 << 20);
  EXPECT_EQ(arena.memory_bytes(), Arena::kFirstBlockBytes + Arena::kFirstBlockBytes / 4 + 8 + (10 << 20));
  // Of what large pieces are cut from, the huge pages they lie in count, whatever their sizes.
  for (const size_t other : {(1u << 20) + 64, 600u << 10, 7u << 20, 5u << 20}) {
    const size_t before = arena.memory_bytes();
    size_t cut = 0;
    for (int i = 0; i < 30; ++i) {
      const size_t bytes = i % 2 == 0 ? other : 700 << 10;
      std::memset(arena.Allocate(bytes), i, bytes);
      cut += bytes;
      ASSERT_GE(arena.memory_bytes() + Arena::kLargestBlockBytes, before + cut);
      ASSERT_LE(arena.memory_bytes(), before + cut * 5 / 4 + Arena::kLargestBlockBytes) << other;
    }
  }
  // The current block is still in use: the next small piece fits into it.
  const size_t held = arena.memory_bytes();
  arena.Allocate(8);
  EXPECT_EQ(arena.memory_bytes(), held);
}

TEST(ArenaTest, ThreadsGetPiecesOfTheirOwn) {
  Arena arena;
  constexpr int kThreads = 4, kPieces = 200000;
  std::vector<std::vector<char*>> pieces(kThreads);
  std::barrier together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      pieces[t].reserve(kPieces);
      together.arrive_and_wait();
      for (int i = 0; i < kPieces; ++i) {
        char* piece = arena.Allocate(40);
        std::memset(piece, t, 40);
        pieces[t].push_back(piece);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    const std::string expected(40, static_cast<char>(t));
    for (const char* piece : pieces[t]) ASSERT_EQ(std::memcmp(piece, expected.data(), 40), 0);
  }
}

// Who meets at the end of a block fetches one block, not one each: as much is held as one thread would hold.
TEST(ArenaTest, ThreadsThatMeetAtTheEndOfABlockFetchOneBlock) {
  constexpr int kThreads = 4, kRounds = 500, kPieces = 100;
  constexpr size_t kBytes = Arena::kFirstBlockBytes / 4;
  std::vector<Arena> arenas(kRounds);
  std::barrier together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (Arena& arena : arenas) {
        together.arrive_and_wait();
        for (int i = 0; i < kPieces; ++i) arena.Allocate(kBytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Arena alone;
  for (int i = 0; i < kThreads * kPieces; ++i) alone.Allocate(kBytes);
  for (const Arena& arena : arenas) EXPECT_EQ(arena.memory_bytes(), alone.memory_bytes());
}

}  // namespace
}  // namespace tarn
