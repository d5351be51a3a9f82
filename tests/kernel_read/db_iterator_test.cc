// The user-level walk against a model that computes, from all versions and all range tombstones, what a snapshot
// shows, by brute force. Keys are few and short, with the bytes 0x00 and 0xff, so that bounds, prefixes and
// fragments touch each other; some keys have many versions, so that both ways to pass them (steps, seeks) run.
#include "kernel/db_iterator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/dead_rows.h"

namespace tarn::kernel {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;  // internal key, value; in order

// A cursor over a vector that counts its moves and can fail at one of them.
class VectorCursor final : public Cursor {
 public:
  VectorCursor(const Entries* entries, uint64_t* moves, uint64_t fail_at = UINT64_MAX)
      : entries_(entries), moves_(moves), fail_at_(fail_at) {}
  void SeekToFirst() override { Show(0); }
  void SeekToLast() override { Show(static_cast<ptrdiff_t>(entries_->size()) - 1); }
  void Seek(std::string_view target) override {
    const auto at = std::partition_point(entries_->begin(), entries_->end(), [&](const auto& entry) {
      return CompareInternalKeys(entry.first, target) < 0;
    });
    Show(at - entries_->begin());
  }
  void Next() override {
    ASSERT_TRUE(valid());
    Show(at_ + 1);
  }
  void Prev() override {
    ASSERT_TRUE(valid());
    Show(at_ - 1);
  }

 private:
  void Show(ptrdiff_t at) {
    if (++*moves_ > fail_at_) return SetError(Status::Io("injected"));
    at_ = at;
    if (at < 0 || at >= static_cast<ptrdiff_t>(entries_->size())) return SetEnd();
    // Copied, so that a view that is kept over a move shows up under the address sanitizer and in the model.
    key_ = (*entries_)[static_cast<size_t>(at)].first;
    value_ = (*entries_)[static_cast<size_t>(at)].second;
    SetEntry(key_, value_);
  }

  const Entries* entries_;
  uint64_t* moves_;
  const uint64_t fail_at_;
  ptrdiff_t at_ = 0;
  std::string key_, value_;
};

struct History {
  Entries entries;
  std::vector<std::vector<RangeTombstone>> tombstones;  // as the sets of several tables
  std::vector<RangeTombstones> sets;
  Sequence last = 0;

  void Seal() {
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return CompareInternalKeys(a.first, b.first) < 0; });
    for (const auto& list : tombstones) sets.emplace_back(list);
  }
  std::vector<const RangeTombstones*> SetPointers() const {
    std::vector<const RangeTombstones*> pointers;
    for (const RangeTombstones& set : sets) pointers.push_back(&set);
    return pointers;
  }
  bool Hidden(std::string_view key, Sequence sequence, Sequence snapshot) const {
    for (const auto& list : tombstones) {
      for (const RangeTombstone& t : list) {
        if (t.sequence <= snapshot && t.sequence > sequence && t.begin <= key && key < t.end) return true;
      }
    }
    return false;
  }
  // What a snapshot shows within the bounds.
  std::map<std::string, std::string> Visible(Sequence snapshot, const std::string& lower, const std::string& upper,
                                             const std::string& prefix) const {
    std::map<std::string, std::string> shown;
    std::optional<std::string> decided;
    for (const auto& [internal, value] : entries) {
      const std::string key(UserKeyOf(internal));
      if (SequenceOf(internal) > snapshot || decided == key) continue;
      decided = key;
      const bool inside = key >= lower && (upper.empty() || key < upper) && key.starts_with(prefix);
      const bool put = KindOf(internal) == Kind::kPut;
      if (inside && put && !Hidden(key, SequenceOf(internal), snapshot)) shown[key] = value;
    }
    return shown;
  }
};

std::string RandomKey(std::mt19937_64& random, size_t shortest = 1) {
  static constexpr char kAlphabet[] = {'\x00', 'a', 'b', '\xff'};
  std::string key;
  for (size_t n = shortest + random() % 3; n > 0; --n) key.push_back(kAlphabet[random() % 4]);
  return key;
}

History RandomHistory(std::mt19937_64& random) {
  History history;
  history.tombstones.resize(random() % 4);
  const uint64_t changes = 1 + random() % 300;
  const std::string favourite = RandomKey(random);  // gets many versions
  for (uint64_t i = 0; i < changes; ++i) {
    const Sequence sequence = ++history.last;
    const uint64_t dice = random() % 100;
    if (dice < 6 && !history.tombstones.empty()) {
      std::string begin = RandomKey(random, 0), end = RandomKey(random);
      if (begin > end) std::swap(begin, end);
      history.tombstones[random() % history.tombstones.size()].push_back({begin, end, sequence});
    } else {
      const std::string key = dice < 20 ? favourite : RandomKey(random);
      const Kind kind = random() % 4 == 0 ? Kind::kDelete : Kind::kPut;
      history.entries.emplace_back(MakeInternalKey(key, sequence, kind),
                                   kind == Kind::kPut ? "v" + std::to_string(sequence) : "");
    }
  }
  history.Seal();
  return history;
}

struct Walk {
  const std::map<std::string, std::string>& model;
  std::map<std::string, std::string>::const_iterator at;  // model.end(): on nothing
  void Back() { at = at == model.begin() ? model.end() : std::prev(at); }
  void BackFrom(std::map<std::string, std::string>::const_iterator after) {
    at = after == model.begin() ? model.end() : std::prev(after);
  }
};

// One random move of both. Seeks may also go to the shown key itself, as users do.
void Move(std::mt19937_64& random, Iterator& iterator, Walk& walk) {
  const uint64_t dice = random() % 20;
  const std::string target = walk.at != walk.model.end() && random() % 4 == 0 ? walk.at->first : RandomKey(random, 0);
  const bool own = walk.at != walk.model.end() && target == walk.at->first;
  if (walk.at != walk.model.end() && dice < 7) {
    iterator.Next();
    ++walk.at;
  } else if (walk.at != walk.model.end() && dice < 14) {
    iterator.Prev();
    walk.Back();
  } else if (dice < 15) {
    iterator.SeekToFirst();
    walk.at = walk.model.begin();
  } else if (dice < 16) {
    iterator.SeekToLast();
    walk.BackFrom(walk.model.end());
  } else if (dice < 18) {
    iterator.Seek(own ? iterator.key() : std::string_view(target));
    walk.at = walk.model.lower_bound(target);
  } else {
    iterator.SeekForPrev(own ? iterator.key() : std::string_view(target));
    walk.BackFrom(walk.model.upper_bound(target));
  }
}

// The writer of a history that is there already, in commits of up to three changes.
class Commits {
 public:
  Commits(const History& history, DeadRanges* ranges) : last_(history.last), ranges_(ranges) {
    for (const auto& [internal, value] : history.entries) {
      if (KindOf(internal) == Kind::kPut) puts_[SequenceOf(internal)] = UserKeyOf(internal);
    }
  }
  Sequence visible() const { return visible_; }
  // Announces a commit, tells of one of its puts, or shows it.
  void Step(std::mt19937_64& random) {
    if (announced_ == visible_) {
      announced_ = std::min<Sequence>(last_, visible_ + 1 + random() % 3);
      tell_ = ranges_->Announce(announced_);
      told_ = visible_;
    } else if (told_ < announced_) {
      const auto put = puts_.find(++told_);
      if (tell_ && put != puts_.end()) ranges_->Forget(0, put->second);
    } else {
      visible_ = announced_;
    }
  }

 private:
  const Sequence last_;
  DeadRanges* const ranges_;
  std::map<Sequence, std::string> puts_;
  Sequence announced_ = 0, told_ = 0, visible_ = 0;
  bool tell_ = false;
};

class IteratorModel : public testing::TestWithParam<uint64_t> {};

TEST_P(IteratorModel, AgreesWithBruteForce) {
  for (uint64_t seed = GetParam(); seed < GetParam() + 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const History history = RandomHistory(random);
    for (int view = 0; view < 8; ++view) {
      IteratorSpec spec;
      uint64_t moves = 0;
      spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves);
      spec.tombstones = history.SetPointers();
      spec.snapshot = view % 2 == 0 ? history.last : random() % (history.last + 1);
      if (random() % 2) spec.lower_bound = RandomKey(random);
      if (random() % 2) spec.upper_bound = RandomKey(random);
      if (random() % 3 == 0) spec.prefix = RandomKey(random);
      const auto model = history.Visible(spec.snapshot, spec.lower_bound, spec.upper_bound, spec.prefix);
      Iterator iterator(std::make_unique<Iterator::Impl>(std::move(spec)));
      EXPECT_FALSE(iterator.valid());
      Walk walk{model, model.end()};
      for (int step = 0; step < 120; ++step) {
        Move(random, iterator, walk);
        ASSERT_TRUE(iterator.status().ok());
        ASSERT_EQ(iterator.valid(), walk.at != model.end()) << "view " << view << " step " << step;
        if (!iterator.valid()) continue;
        ASSERT_EQ(iterator.key(), walk.at->first) << "view " << view << " step " << step;
        ASSERT_EQ(iterator.value(), walk.at->second) << "view " << view << " step " << step;
      }
    }
  }
}
// The same while a writer makes the history, step by step, and all iterators share what they know of dead keys: the
// writer announces a commit, takes its puts out of what is remembered, and shows it; between any two of these steps
// iterators of several ages are made and moved.
TEST_P(IteratorModel, AgreesWhileDeadRangesComeAndGo) {
  uint64_t used = 0, passed = 0;
  for (uint64_t seed = GetParam(); seed < GetParam() + 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const History history = RandomHistory(random);
    const test::LeastDeadRow least(static_cast<uint32_t>(1 + random() % 3));
    Statistics stats;
    DeadRanges ranges(stats);
    Commits commits(history, &ranges);
    struct Open {
      const std::map<std::string, std::string> model;
      Iterator iterator;
      Walk walk{model, model.end()};
    };
    std::vector<std::unique_ptr<Open>> open;
    uint64_t moves = 0;
    for (int step = 0; step < 1500; ++step) {
      const uint64_t dice = random() % 16;
      if (dice < 4) {
        commits.Step(random);
      } else if (dice < 6 || open.empty()) {
        if (open.size() == 4) open.erase(open.begin() + static_cast<ptrdiff_t>(random() % 4));
        IteratorSpec spec;
        spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves);
        spec.tombstones = history.SetPointers();
        spec.snapshot = random() % 4 == 0 ? random() % (commits.visible() + 1) : commits.visible();
        if (random() % 4 == 0) spec.lower_bound = RandomKey(random);
        if (random() % 4 == 0) spec.upper_bound = RandomKey(random);
        if (random() % 6 == 0) spec.prefix = RandomKey(random);
        spec.dead_ranges = &ranges;
        auto model = history.Visible(spec.snapshot, spec.lower_bound, spec.upper_bound, spec.prefix);
        open.emplace_back(new Open{std::move(model), Iterator(std::make_unique<Iterator::Impl>(std::move(spec)))});
      } else {
        Open& one = *open[random() % open.size()];
        Move(random, one.iterator, one.walk);
        ASSERT_TRUE(one.iterator.status().ok());
        ASSERT_EQ(one.iterator.valid(), one.walk.at != one.model.end()) << "step " << step;
        if (!one.iterator.valid()) continue;
        ASSERT_EQ(one.iterator.key(), one.walk.at->first) << "step " << step;
        ASSERT_EQ(one.iterator.value(), one.walk.at->second) << "step " << step;
      }
    }
    used += stats.Get(Counter::kDeadRangesUsed);
    passed += stats.Get(Counter::kDeadKeys);
  }
  EXPECT_GT(used, 1000u);
  EXPECT_GT(passed, used);
}
INSTANTIATE_TEST_SUITE_P(Seeds, IteratorModel, testing::Values(1, 1001, 2001, 3001, 4001));

// Wherever the cursor fails, what was shown until then is right, and the end is an error, not an end.
TEST(DbIterator, AnErrorIsNeverTheEnd) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const History history = RandomHistory(random);
    const auto model = history.Visible(history.last, "", "", "");
    const test::LeastDeadRow least(1);
    Statistics stats;
    DeadRanges ranges(stats);  // what one walk learns, the next one uses
    for (uint64_t fail_at = 0; fail_at < 60; ++fail_at) {
      for (const bool forward : {true, false}) {
        uint64_t moves = 0;
        IteratorSpec spec;
        spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves, fail_at);
        spec.tombstones = history.SetPointers();
        spec.snapshot = history.last;
        spec.dead_ranges = &ranges;
        Iterator::Impl walk(std::move(spec));
        std::vector<std::pair<std::string, std::string>> seen;
        for (forward ? walk.SeekToFirst() : walk.SeekToLast(); walk.valid(); forward ? walk.Next() : walk.Prev()) {
          seen.emplace_back(walk.key(), walk.value());
        }
        std::vector<std::pair<std::string, std::string>> truth(model.begin(), model.end());
        if (!forward) std::reverse(truth.begin(), truth.end());
        ASSERT_LE(seen.size(), truth.size());
        ASSERT_TRUE(std::equal(seen.begin(), seen.end(), truth.begin()));
        ASSERT_EQ(walk.status().ok(), moves <= fail_at);
        if (walk.status().ok()) {
          ASSERT_EQ(seen.size(), truth.size());
        }
      }
    }
  }
}

std::string Number(int i) {
  std::string digits = std::to_string(i);
  return std::string(6 - digits.size(), '0') + digits;
}

TEST(DbIterator, JumpsOverADeletedRange) {
  History history;
  for (int i = 0; i < 10000; ++i) {
    history.entries.emplace_back(MakeInternalKey(Number(i), ++history.last, Kind::kPut), "v");
  }
  history.tombstones.push_back({{Number(1), Number(9999), ++history.last}});
  history.Seal();
  for (const bool forward : {true, false}) {
    uint64_t moves = 0;
    IteratorSpec spec;
    spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves);
    spec.tombstones = history.SetPointers();
    spec.snapshot = history.last;
    Iterator::Impl walk(std::move(spec));
    std::vector<std::string> seen;
    for (forward ? walk.SeekToFirst() : walk.SeekToLast(); walk.valid(); forward ? walk.Next() : walk.Prev()) {
      seen.emplace_back(walk.key());
    }
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen, (std::vector<std::string>{Number(0), Number(9999)}));
    EXPECT_LT(moves, 20u);
  }
}

// 10,000 keys of which only the first and the last are left: the first walk passes the others, later ones need a
// seek.
TEST(DbIterator, PassesARowOfDeadKeysOnce) {
  History history;
  for (int i = 0; i < 10000; ++i) {
    history.entries.emplace_back(MakeInternalKey(Number(i), ++history.last, Kind::kPut), "v");
    if (i == 0 || i == 9999) continue;
    history.entries.emplace_back(MakeInternalKey(Number(i), ++history.last, Kind::kDelete), "");
  }
  history.Seal();
  for (const bool first_forward : {true, false}) {
    Statistics stats;
    DeadRanges ranges(stats);
    for (const bool forward : {first_forward, true, false}) {
      uint64_t moves = 0;
      IteratorSpec spec;
      spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves);
      spec.snapshot = history.last;
      spec.dead_ranges = &ranges;
      Iterator::Impl walk(std::move(spec));
      const bool first = stats.Get(Counter::kDeadKeys) == 0;
      std::vector<std::string> seen;
      for (forward ? walk.SeekToFirst() : walk.SeekToLast(); walk.valid(); forward ? walk.Next() : walk.Prev()) {
        seen.emplace_back(walk.key());
      }
      std::sort(seen.begin(), seen.end());
      EXPECT_EQ(seen, (std::vector<std::string>{Number(0), Number(9999)}));
      EXPECT_EQ(moves < 40, !first) << moves;
      walk.Seek(Number(5000));
      EXPECT_EQ(walk.key(), Number(9999));
      walk.SeekForPrev(Number(5000));
      EXPECT_EQ(walk.key(), Number(0));
    }
    EXPECT_LT(stats.Get(Counter::kDeadKeys), 9998u + 64u);
  }
}

TEST(DbIterator, PassesManyVersionsBySeeks) {
  History history;
  for (const char* key : {"a", "b", "c"}) {
    for (int i = 0; i < 10000; ++i) {
      ++history.last;
      history.entries.emplace_back(MakeInternalKey(key, history.last, Kind::kPut), std::to_string(history.last));
    }
  }
  history.Seal();
  for (const Sequence snapshot : {history.last, Sequence{25000}}) {
    const auto model = history.Visible(snapshot, "", "", "");
    ASSERT_EQ(model.size(), 3u);
    uint64_t moves = 0;
    IteratorSpec spec;
    spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves);
    spec.snapshot = snapshot;
    Iterator::Impl walk(std::move(spec));
    std::map<std::string, std::string> seen, seen_backward;
    for (walk.SeekToFirst(); walk.valid(); walk.Next()) seen.emplace(walk.key(), walk.value());
    for (walk.SeekToLast(); walk.valid(); walk.Prev()) seen_backward.emplace(walk.key(), walk.value());
    EXPECT_EQ(seen, model);
    EXPECT_EQ(seen_backward, model);
    EXPECT_LT(moves, 250u);
  }
}

TEST(DbIterator, APrefixOfAllOnesHasNoUpperBound) {
  History history;
  for (const char* key : {"a", "\xff", "\xff\xff", "\xff\xff\xff"}) {
    history.entries.emplace_back(MakeInternalKey(key, ++history.last, Kind::kPut), "v");
  }
  history.Seal();
  uint64_t moves = 0;
  IteratorSpec spec;
  spec.merged = std::make_unique<VectorCursor>(&history.entries, &moves);
  spec.snapshot = history.last;
  spec.prefix = "\xff\xff";
  Iterator::Impl walk(std::move(spec));
  walk.SeekToLast();
  ASSERT_TRUE(walk.valid());
  EXPECT_EQ(walk.key(), "\xff\xff\xff");
  walk.Prev();
  ASSERT_TRUE(walk.valid());
  EXPECT_EQ(walk.key(), "\xff\xff");
  walk.Prev();
  EXPECT_FALSE(walk.valid());
  EXPECT_TRUE(walk.status().ok());
}

TEST(DbIterator, AnUnknownKindIsCorruption) {
  Entries entries = {{MakeInternalKey("a", 1, Kind::kPut), "v"},
                     {MakeInternalKey("b", 2, static_cast<Kind>(7)), "v"},
                     {MakeInternalKey("c", 3, Kind::kPut), "v"}};
  for (const bool forward : {true, false}) {
    uint64_t moves = 0;
    IteratorSpec spec;
    spec.merged = std::make_unique<VectorCursor>(&entries, &moves);
    spec.snapshot = 3;
    Iterator::Impl walk(std::move(spec));
    std::string seen;
    for (forward ? walk.SeekToFirst() : walk.SeekToLast(); walk.valid(); forward ? walk.Next() : walk.Prev()) {
      seen += walk.key();
    }
    EXPECT_TRUE(seen.empty() || seen == (forward ? "a" : "c")) << seen;
    EXPECT_EQ(walk.status().code(), Code::kCorruption);
  }
}

TEST(DbIterator, HoldsItsPinUntilTheCursorIsGone) {
  // Looks at what the pin keeps, when it is destroyed.
  class PinnedCursor final : public Cursor {
   public:
    PinnedCursor(std::weak_ptr<const void> pin, bool* alive_at_end) : pin_(std::move(pin)), alive_(alive_at_end) {}
    ~PinnedCursor() override { *alive_ = !pin_.expired(); }
    void SeekToFirst() override { SetEnd(); }
    void SeekToLast() override { SetEnd(); }
    void Seek(std::string_view) override { SetEnd(); }
    void Next() override {}
    void Prev() override {}

   private:
    std::weak_ptr<const void> pin_;
    bool* alive_;
  };
  bool alive_at_end = false;
  auto pin = std::make_shared<const int>(1);
  std::weak_ptr<const int> watch = pin;
  {
    IteratorSpec spec;
    spec.merged = std::make_unique<PinnedCursor>(watch, &alive_at_end);
    spec.pin = std::move(pin);
    Iterator iterator(std::make_unique<Iterator::Impl>(std::move(spec)));
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(alive_at_end);
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace tarn::kernel
