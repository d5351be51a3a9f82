// The merge against one sorted list of everything: the same moves on both must show the same entries.

#include "format/merging_cursor.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tarn/sdk/internal_key.h"

namespace tarn {
namespace {

using Entry = std::pair<std::string, std::string>;
constexpr size_t kNever = SIZE_MAX / 2;  // no position: stepping back from 0 gives SIZE_MAX

bool EntryLess(const Entry& a, const Entry& b) { return CompareInternalKeys(a.first, b.first) < 0; }

// Sorted entries; breaks when it would show entry `fail_at`. Keys are kept in a buffer that every move
// overwrites, as a block cursor's are.
class ListCursor final : public Cursor {
 public:
  explicit ListCursor(std::vector<Entry> entries, size_t fail_at = kNever)
      : entries_(std::move(entries)), fail_at_(fail_at) {}
  void SeekToFirst() override { Show(0); }
  void SeekToLast() override { Show(entries_.size() - 1); }
  void Seek(std::string_view target) override {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), Entry(target, ""), EntryLess);
    Show(static_cast<size_t>(at - entries_.begin()));
  }
  void Next() override { Show(at_ + 1); }
  void Prev() override { Show(at_ - 1); }

 private:
  void Show(size_t at) {
    at_ = at;
    buffer_.assign(buffer_.size(), '#');
    if (at == fail_at_) {
      SetError(Status::Io("table/7: read failed; check the device"));
    } else if (at >= entries_.size()) {
      SetEnd();
    } else {
      buffer_ = entries_[at].first;
      SetEntry(buffer_, entries_[at].second);
    }
  }
  std::vector<Entry> entries_;
  std::string buffer_;
  size_t fail_at_, at_ = 0;
};

std::unique_ptr<Cursor> List(std::vector<Entry> entries, size_t fail_at = kNever) {
  std::sort(entries.begin(), entries.end(), EntryLess);
  return std::make_unique<ListCursor>(std::move(entries), fail_at);
}

template <typename... Inputs>
std::unique_ptr<Cursor> Merge(Inputs... inputs) {
  std::vector<std::unique_ptr<Cursor>> list;
  (list.push_back(std::move(inputs)), ...);
  return NewMergingCursor(std::move(list));
}

Entry Put(const std::string& key, Sequence sequence) {
  return {MakeInternalKey(key, sequence, Kind::kPut), key + "@" + std::to_string(sequence)};
}

TEST(MergingCursor, NothingMergedIsNothing) {
  auto merge = NewMergingCursor({});
  merge->SeekToFirst();
  EXPECT_FALSE(merge->valid());
  merge->SeekToLast();
  EXPECT_FALSE(merge->valid());
  merge->Seek(SeekKey("a", 1));
  EXPECT_FALSE(merge->valid());
  EXPECT_TRUE(merge->status().ok());
}

TEST(MergingCursor, OneInputIsHandedBack) {
  auto input = List({Put("a", 1)});
  Cursor* const raw = input.get();
  EXPECT_EQ(Merge(std::move(input)).get(), raw);
}

TEST(MergingCursor, NewestVersionOfAKeyComesFirst) {
  auto merge = Merge(List({Put("k", 3), Put("m", 1)}), List({Put("k", 9)}), List({Put("k", 5)}));
  std::vector<std::string> shown;
  for (merge->SeekToFirst(); merge->valid(); merge->Next()) shown.emplace_back(merge->value());
  EXPECT_EQ(shown, std::vector<std::string>({"k@9", "k@5", "k@3", "m@1"}));
}

TEST(MergingCursor, AnErrorOfAnyInputEndsTheMerge) {
  auto merge = Merge(List({Put("a", 1), Put("c", 1), Put("e", 1)}), List({Put("b", 1), Put("d", 1)}, 1));
  merge->SeekToFirst();
  ASSERT_TRUE(merge->valid());
  merge->Next();
  ASSERT_TRUE(merge->valid());
  EXPECT_EQ(merge->value(), "b@1");
  merge->Next();  // the second input fails to say what follows b
  EXPECT_FALSE(merge->valid());
  EXPECT_EQ(merge->status().code(), Code::kIo);
  merge->SeekToFirst();  // an error is final
  EXPECT_FALSE(merge->valid());
  EXPECT_EQ(merge->status().code(), Code::kIo);
}

TEST(MergingCursor, AnErrorWhileSeekingShowsNothing) {
  auto merge = Merge(List({Put("a", 1)}), List({Put("b", 1)}, 0));
  merge->Seek(SeekKey("a", kMaxSequence));
  EXPECT_FALSE(merge->valid());
  EXPECT_EQ(merge->status().code(), Code::kIo);
}

TEST(MergingCursor, AnErrorWhileTurningShowsNothing) {
  // The second input stands on c. Turning back from b places it before b, on its broken entry a.
  auto merge = Merge(List({Put("b", 1), Put("d", 1)}), List({Put("a", 1), Put("c", 1)}, 0));
  merge->Seek(SeekKey("b", kMaxSequence));
  ASSERT_TRUE(merge->valid());
  EXPECT_EQ(merge->value(), "b@1");
  merge->Prev();
  EXPECT_FALSE(merge->valid());
  EXPECT_EQ(merge->status().code(), Code::kIo);
}

TEST(MergingCursor, AKeyWithoutTrailerIsCorruption) {
  auto merge = Merge(List({Put("a", 1)}), std::make_unique<ListCursor>(std::vector<Entry>{{"short", ""}}));
  merge->SeekToFirst();
  EXPECT_FALSE(merge->valid());
  EXPECT_EQ(merge->status().code(), Code::kCorruption);
}

// Walks the merge and the sorted list side by side by random moves of all kinds.
void WalkBothWays(std::mt19937_64& random, Cursor& merge, const std::vector<Entry>& all, int keys) {
  const size_t none = all.size();
  size_t at = none;
  for (int move = 0; move < 200; ++move) {
    const uint64_t dice = random() % 20;
    if (at == none || dice < 3) {
      if (dice == 0) {
        merge.SeekToFirst();
        at = 0;
      } else if (dice == 1) {
        merge.SeekToLast();
        at = all.empty() ? none : all.size() - 1;
      } else {
        const std::string target = SeekKey(std::to_string(random() % keys), random() % 6);
        merge.Seek(target);
        const auto found = std::lower_bound(all.begin(), all.end(), Entry(target, ""), EntryLess);
        at = static_cast<size_t>(found - all.begin());
      }
    } else if (dice < 12) {
      merge.Next();
      ++at;
    } else {
      merge.Prev();
      at = at == 0 ? none : at - 1;
    }
    ASSERT_EQ(merge.valid(), at < all.size());
    ASSERT_TRUE(merge.status().ok());
    if (at >= all.size()) continue;
    ASSERT_EQ(merge.key(), all[at].first);
    ASSERT_EQ(merge.value(), all[at].second);
  }
}

TEST(MergingCursor, RandomMovesAgreeWithASortedList) {
  std::mt19937_64 random(99);
  for (int round = 0; round < 400; ++round) {
    const size_t ways = 2 + random() % 19;
    const int keys = 1 + static_cast<int>(random() % 40);
    std::vector<std::vector<Entry>> parts(ways);
    std::vector<Entry> all;
    for (int key = 0; key < keys; ++key) {
      for (Sequence sequence = 1; sequence <= 5; ++sequence) {
        if (random() % 3 == 0) continue;
        all.push_back(Put(std::to_string(key), sequence));
        parts[random() % ways].push_back(all.back());
      }
    }
    std::sort(all.begin(), all.end(), EntryLess);
    std::vector<std::unique_ptr<Cursor>> inputs;
    for (auto& part : parts) inputs.push_back(List(std::move(part)));
    auto merge = NewMergingCursor(std::move(inputs));
    WalkBothWays(random, *merge, all, keys);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace tarn
