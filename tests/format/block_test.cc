// Blocks: every move of a cursor against a sorted map, the bytes themselves, and hostile bytes.
#include "format/block.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/coding.h"
#include "tests/format/table_support.h"

namespace tarn::test {
namespace {

std::string Encode(const Entries& entries, int interval) {
  BlockBuilder builder(interval);
  for (const auto& [key, value] : entries) builder.Add(key, value);
  return std::string(builder.Finish());
}
Entries RandomEntries(uint32_t seed, int count) {
  std::mt19937 rng(seed);
  Entries entries;
  for (int i = 0; i < count; ++i) {
    std::string key = "k" + std::to_string(rng() % (count / 2 + 1));
    if (rng() % 8 == 0) key += std::string(rng() % 400, 'x');  // lengths beyond one varint byte
    Put(&entries, key, 1 + rng() % 9, std::string(rng() % 200, static_cast<char>('a' + rng() % 26)));
  }
  return entries;
}

// Compares where the cursor and the map stand.
void ExpectAt(const BlockCursor& cursor, const Entries& entries, Entries::const_iterator it) {
  ASSERT_TRUE(cursor.status().ok()) << cursor.status().ToString();
  ASSERT_EQ(cursor.valid(), it != entries.end());
  if (!cursor.valid()) return;
  EXPECT_EQ(cursor.key(), it->first);
  EXPECT_EQ(cursor.value(), it->second);
}

TEST(Block, EveryMoveAgreesWithASortedMap) {
  for (const int interval : {1, 2, 3, 16}) {
    const Entries entries = RandomEntries(static_cast<uint32_t>(interval), 300);
    BlockCursor cursor;
    cursor.Reset(Block::Copy(Encode(entries, interval)));
    std::mt19937 rng(7);
    auto it = entries.end();
    for (int step = 0; step < 20000; ++step) {
      const uint32_t move = it == entries.end() ? rng() % 3 : rng() % 12;
      if (move == 0) {
        cursor.SeekToFirst();
        it = entries.begin();
      } else if (move == 1) {
        cursor.SeekToLast();
        it = std::prev(entries.end());
      } else if (move == 2) {
        const std::string target = MakeInternalKey("k" + std::to_string(rng() % 170), rng() % 11, Kind::kPut);
        cursor.Seek(target);
        it = entries.lower_bound(target);
      } else if (move < 8) {
        cursor.Next();
        ++it;
      } else {
        cursor.Prev();
        it = it == entries.begin() ? entries.end() : std::prev(it);
      }
      ExpectAt(cursor, entries, it);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Block, SeekFindsEachKeyAndItsNeighbours) {
  const Entries entries = RandomEntries(3, 200);
  for (const int interval : {1, 16}) {
    BlockCursor cursor;
    cursor.Reset(Block::Copy(Encode(entries, interval)));
    for (auto it = entries.begin(); it != entries.end(); ++it) {
      cursor.Seek(it->first);
      ExpectAt(cursor, entries, it);
      const std::string newer = MakeInternalKey(UserKeyOf(it->first), kMaxSequence, kSeekKind);
      cursor.Seek(newer);
      ExpectAt(cursor, entries, entries.lower_bound(newer));
    }
    cursor.Seek(MakeInternalKey("zzz", 1, Kind::kPut));
    EXPECT_FALSE(cursor.valid());
    EXPECT_TRUE(cursor.status().ok());
  }
}

// Keys that begin with other keys and go on with what their trailers may hold: where a prefix ends inside a
// trailer, a seek that goes by lengths alone must notice.
TEST(Block, SeekAmongKeysThatLookLikeTrailers) {
  std::mt19937 rng(11);
  const auto any_key = [&rng] {
    constexpr char kBytes[] = {0, 1, 'a', '\xff'};
    std::string key(rng() % 4, '\0');
    for (char& byte : key) byte = kBytes[rng() % 4];
    if (rng() % 4 == 0) key += std::string(rng() % 9, '\1');
    return key;
  };
  for (int round = 0; round < 300; ++round) {
    Entries entries;
    for (int i = 0; i < 40; ++i) Put(&entries, any_key(), 1 + rng() % 300, "v");
    BlockCursor cursor;
    cursor.Reset(Block::Copy(Encode(entries, round % 3 == 0 ? 4 : 64)));
    for (int i = 0; i < 60; ++i) {
      const std::string target = MakeInternalKey(any_key(), rng() % 301, Kind::kPut);
      cursor.Seek(target);
      ExpectAt(cursor, entries, entries.lower_bound(target));
      if (HasFailure()) return;
    }
  }
}

TEST(Block, BytesAreThoseOfTheDocument) {
  BlockBuilder builder(2);
  builder.Add(MakeInternalKey("aa", 1, Kind::kPut), "x");
  builder.Add(MakeInternalKey("ab", 2, Kind::kDelete), "");
  builder.Add(MakeInternalKey("b", 3, Kind::kPut), "yz");
  std::string expected;
  expected += std::string("\x00\x0a\x01", 3) + "aa" + std::string("\x01\x01\0\0\0\0\0\0", 8) + "x";
  expected += std::string("\x01\x09\x00", 3) + "b" + std::string("\x00\x02\0\0\0\0\0\0", 8);
  expected += std::string("\x00\x09\x02", 3) + "b" + std::string("\x01\x03\0\0\0\0\0\0", 8) + "yz";
  PutFixed32(&expected, 0);
  PutFixed32(&expected, 26);
  PutFixed32(&expected, 2);
  EXPECT_EQ(builder.size_estimate(), expected.size());
  EXPECT_EQ(builder.Finish(), expected);
}

TEST(Block, BuilderIsReusable) {
  BlockBuilder builder(16);
  builder.Add(MakeInternalKey("z", 1, Kind::kPut), std::string(3 << 20, 'v'));
  builder.Finish();
  builder.Reset();
  EXPECT_TRUE(builder.empty());
  builder.Add(MakeInternalKey("a", 1, Kind::kPut), "1");
  Entries entries;
  Put(&entries, "a", 1, "1");
  EXPECT_EQ(builder.Finish(), Encode(entries, 16));
}

TEST(Block, LongKeysAndValues) {
  Entries entries;
  Put(&entries, std::string(64 << 10, 'k'), 2, std::string(1 << 20, 'v'));
  Put(&entries, std::string(64 << 10, 'k') + "1", 1, "");
  Put(&entries, "", 5, "the empty key");
  BlockCursor cursor;
  cursor.Reset(Block::Copy(Encode(entries, 16)));
  cursor.SeekToFirst();
  for (auto it = entries.begin(); it != entries.end(); ++it, cursor.Next()) ExpectAt(cursor, entries, it);
  EXPECT_FALSE(cursor.valid());
}

// Every move on bytes that may be anything. True when some move reported Corruption.
bool SurvivesAndComplains(BlockRef block) {
  bool complained = false;
  const auto note = [&complained](const BlockCursor& cursor) {
    if (cursor.status().ok()) return;
    EXPECT_EQ(cursor.status().code(), Code::kCorruption);
    EXPECT_FALSE(cursor.valid());
    complained = true;
  };
  const size_t limit = block->bytes().size() + 1;  // an entry takes 3 bytes at least, so a walk must end
  BlockCursor cursor;
  size_t steps = 0;
  cursor.Reset(block);
  for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) EXPECT_LE(++steps, limit);
  note(cursor);
  cursor.Reset(block);
  steps = 0;
  for (cursor.SeekToLast(); cursor.valid(); cursor.Prev()) EXPECT_LE(++steps, limit);
  note(cursor);
  for (const char* target : {"", "k1", "k3", "zzz"}) {
    cursor.Reset(block);
    cursor.Seek(MakeInternalKey(target, 5, Kind::kPut));
    if (cursor.valid()) cursor.Prev();
    note(cursor);
    cursor.Seek(MakeInternalKey(target, 5, Kind::kPut));  // an error stays until Reset
    EXPECT_FALSE(cursor.valid() && !cursor.status().ok());
  }
  return complained;
}

TEST(Block, HostileBytesNeverLeaveTheBlock) {
  const std::string good = Encode(RandomEntries(11, 40), 4);
  size_t complaints = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char value : {static_cast<char>(good[i] ^ 0x80), static_cast<char>(good[i] ^ 1), '\xff', '\0'}) {
      std::string bad = good;
      bad[i] = value;
      complaints += SurvivesAndComplains(Block::Copy(bad)) ? 1 : 0;
    }
  }
  EXPECT_GT(complaints, 100u);
  for (size_t size = 0; size < good.size(); ++size) SurvivesAndComplains(Block::Copy(good.substr(0, size)));
  std::mt19937 rng(5);
  for (int round = 0; round < 3000; ++round) {
    std::string noise(rng() % 80, '\0');
    for (char& c : noise) c = static_cast<char>(rng() % 4 == 0 ? rng() : rng() % 12);
    if (noise.size() >= 4) {  // a plausible restart count reaches deeper
      const uint32_t count = rng() % 5;
      std::memcpy(noise.data() + noise.size() - 4, &count, 4);
    }
    SurvivesAndComplains(Block::Copy(noise));
  }
}

TEST(Block, EachKindOfDamageIsCorruption) {
  const std::string trailer(8, '\1');
  const auto with_tail = [](std::string entries, std::vector<uint32_t> restarts) {
    for (const uint32_t restart : restarts) PutFixed32(&entries, restart);
    PutFixed32(&entries, static_cast<uint32_t>(restarts.size()));
    return entries;
  };
  const std::string entry = std::string("\x00\x09\x00", 3) + "a" + trailer;
  const std::string sharing = std::string("\x7f\x09\x00", 3) + "a" + trailer;
  const std::string short_key = std::string("\x00\x01\x00", 3) + "a" + trailer;
  const std::string long_value = std::string("\x00\x09\x05", 3) + "a" + trailer;
  std::string huge_count = entry;
  PutFixed32(&huge_count, 0xffffffff);
  for (const std::string& bytes : {std::string(), std::string("abc"), with_tail("", {}), with_tail(entry, {}),
                                   with_tail("", {0}), with_tail(entry, {1000}), with_tail(sharing, {0}),
                                   with_tail(short_key, {0}), with_tail(long_value, {0}), huge_count}) {
    EXPECT_TRUE(SurvivesAndComplains(Block::Copy(bytes))) << testing::PrintToString(bytes);
  }
  EXPECT_FALSE(SurvivesAndComplains(Block::Copy(with_tail(entry, {0}))));
}

TEST(Block, CursorWithoutABlockIsOnNothing) {
  BlockCursor cursor;
  cursor.SeekToFirst();
  EXPECT_FALSE(cursor.valid());
  EXPECT_TRUE(cursor.status().ok());
  Entries entries;
  Put(&entries, "a", 1, "1");
  const BlockRef block = Block::Copy(Encode(entries, 1));
  cursor.Reset(block);
  cursor.SeekToFirst();
  EXPECT_TRUE(cursor.valid());
  cursor.Reset(nullptr);
  cursor.Seek(MakeInternalKey("a", 1, Kind::kPut));
  EXPECT_FALSE(cursor.valid());
  EXPECT_TRUE(cursor.status().ok());
}

}  // namespace
}  // namespace tarn::test
