// DropRules: each rule by example, then random histories of one key range against the definition of what a
// snapshot sees, and the bound on tombstones that the policy relies on.

#include "compaction/drop_rules.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace tarn {
namespace {

struct Version {
  Sequence sequence;
  Kind kind;
  friend bool operator==(const Version&, const Version&) = default;
};
using Versions = std::vector<Version>;  // of one key, newest first
using Tombstones = std::vector<RangeTombstone>;

constexpr Kind P = Kind::kPut, D = Kind::kDelete;

// Plays the caller: what is written for one key.
Versions Survivors(DropRules& rules, const std::string& key, const Versions& versions) {
  Versions written;
  std::optional<Version> held;
  rules.StartKey(key);
  for (const Version& version : versions) {
    switch (rules.Judge(version.sequence, version.kind)) {
      case DropRules::Verdict::kDrop: continue;
      case DropRules::Verdict::kHold: held = version; continue;
      case DropRules::Verdict::kKeepWithHeld: written.push_back(held.value()); break;
      case DropRules::Verdict::kKeep: break;
    }
    held.reset();
    written.push_back(version);
  }
  return written;
}

Versions Survivors(std::vector<Sequence> retained, Tombstones tombstones, bool bottom, const Versions& versions) {
  DropRules rules(std::move(retained), std::move(tombstones), bottom);
  return Survivors(rules, "k", versions);
}

TEST(DropRules, WithoutSnapshotsOnlyTheNewestVersionStays) {
  EXPECT_EQ(Survivors({}, {}, false, {{9, P}, {7, D}, {3, P}}), Versions({{9, P}}));
  EXPECT_EQ(Survivors({}, {}, true, {{9, P}, {7, D}, {3, P}}), Versions({{9, P}}));
}

TEST(DropRules, EachSnapshotKeepsItsVersion) {
  EXPECT_EQ(Survivors({7, 3, 3}, {}, false, {{9, P}, {8, P}, {7, P}, {6, P}, {3, P}, {2, P}}),
            Versions({{9, P}, {7, P}, {3, P}}));
  EXPECT_EQ(Survivors({5}, {}, false, {{9, P}}), Versions({{9, P}}));  // sees nothing, keeps nothing
}

TEST(DropRules, DeletesStayAboveTheBottom) {
  EXPECT_EQ(Survivors({}, {}, false, {{9, D}, {3, P}}), Versions({{9, D}}));
  EXPECT_EQ(Survivors({5}, {}, false, {{9, D}, {3, D}}), Versions({{9, D}, {3, D}}));
}

TEST(DropRules, ADeleteAtTheBottomStaysOnlyBeforeAPut) {
  EXPECT_EQ(Survivors({}, {}, true, {{9, D}, {3, P}}), Versions());
  EXPECT_EQ(Survivors({5}, {}, true, {{9, D}, {3, P}}), Versions({{9, D}, {3, P}}));
  EXPECT_EQ(Survivors({5}, {}, true, {{9, D}}), Versions());
  EXPECT_EQ(Survivors({2, 5}, {}, true, {{9, D}, {4, D}, {1, P}}), Versions({{4, D}, {1, P}}));
  EXPECT_EQ(Survivors({2, 5, 7}, {}, true, {{9, P}, {6, D}, {4, D}, {1, D}}), Versions({{9, P}}));
}

TEST(DropRules, ARangeTombstoneHidesWhatIsOlderInItsStripe) {
  const Tombstones at6 = {{"a", "z", 6}};
  EXPECT_EQ(Survivors({}, at6, false, {{5, P}}), Versions());
  EXPECT_EQ(Survivors({}, at6, false, {{5, D}}), Versions());
  EXPECT_EQ(Survivors({}, at6, false, {{7, P}, {5, P}}), Versions({{7, P}}));
  EXPECT_EQ(Survivors({5}, at6, false, {{5, P}, {4, P}}), Versions({{5, P}}));     // the snapshot sees it
  EXPECT_EQ(Survivors({6}, at6, false, {{5, P}}), Versions());                     // the snapshot sees it deleted
  EXPECT_EQ(Survivors({}, {{"a", "k", 6}}, false, {{5, P}}), Versions({{5, P}}));  // "k" is not inside
}

TEST(DropRules, ARangeTombstoneDoesNotHideWhatIsNewer) {
  EXPECT_EQ(Survivors({}, {{"a", "z", 6}}, false, {{7, P}}), Versions({{7, P}}));
  EXPECT_EQ(Survivors({}, {{"a", "z", 6}}, true, {{7, P}}), Versions({{7, P}}));
}

std::vector<Sequence> SequencesOf(const Tombstones& tombstones) {
  std::vector<Sequence> sequences;
  for (const RangeTombstone& t : tombstones) sequences.push_back(t.sequence);
  return sequences;
}

TEST(DropRules, OneRangeTombstoneAStripeStaysAboveTheBottom) {
  DropRules rules({5}, {{"a", "z", 9}, {"a", "z", 7}, {"a", "z", 4}, {"a", "z", 2}}, false);
  EXPECT_EQ(SequencesOf(rules.TakeTombstones("", "")), std::vector<Sequence>({9, 4}));
}

TEST(DropRules, RangeTombstonesAtTheBottomStayOnlyOverPuts) {
  DropRules rules({5}, {{"a", "m", 9}, {"m", "z", 8}, {"a", "z", 4}}, true);
  EXPECT_EQ(Survivors(rules, "b", {{3, P}}), Versions());  // hidden for everyone
  EXPECT_EQ(Survivors(rules, "n", {{5, P}}), Versions({{5, P}}));
  const Tombstones pieces = rules.TakeTombstones("c", "p");
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].begin, "m");
  EXPECT_EQ(pieces[0].end, "p");
  EXPECT_EQ(pieces[0].sequence, 8u);
  EXPECT_EQ(Survivors(rules, "q", {{9, P}}), Versions({{9, P}}));
  EXPECT_TRUE(rules.TakeTombstones("p", "").empty());  // the next output holds no put that it hides
}

TEST(DropRules, ADeleteBehindARangeTombstoneIsNotNeededToo) {
  DropRules rules({2, 4}, {{"a", "z", 3}}, true);
  EXPECT_EQ(Survivors(rules, "k", {{6, D}, {1, P}}), Versions({{1, P}}));
  EXPECT_EQ(SequencesOf(rules.TakeTombstones("", "")), std::vector<Sequence>({3}));
}

TEST(DropRules, ARangeTombstoneAboveADeleteIsNotNeededToo) {
  DropRules rules({1, 3, 5}, {{"a", "z", 7}}, true);
  const Versions all = {{5, D}, {3, P}, {1, P}};
  EXPECT_EQ(Survivors(rules, "k", all), all);
  EXPECT_TRUE(rules.TakeTombstones("", "").empty());
}

// What a reader at `snapshot` finds for a key: the sequence of the put it sees, or 0.
Sequence Seen(const Versions& versions, const Tombstones& tombstones, const std::string& key, Sequence snapshot) {
  const Sequence cover = RangeTombstones(tombstones).NewestCover(key, snapshot);
  for (const Version& version : versions) {
    if (version.sequence > snapshot) continue;
    return version.kind == P && version.sequence > cover ? version.sequence : 0;
  }
  return 0;
}

struct History {
  std::map<std::string, Versions> keys;
  Tombstones tombstones;
  std::vector<Sequence> retained;
};

// Sequences 2 .. 25, each used once over all keys; 1 is left for what lies below.
History RandomHistory(std::mt19937_64& random) {
  History h;
  for (Sequence sequence = 25; sequence >= 2; --sequence) {
    const std::string key(1, static_cast<char>('a' + random() % 5));
    const uint64_t dice = random() % 10;
    if (dice < 2) {
      h.tombstones.push_back({key, std::string(1, static_cast<char>('a' + random() % 7)), sequence});
    } else if (dice < 9) {
      h.keys[key].push_back({sequence, dice < 6 ? P : D});
    }
    if (random() % 5 == 0) h.retained.push_back(sequence);
  }
  return h;
}

size_t CountTombstones(const std::map<std::string, Versions>& keys, const Tombstones& tombstones) {
  size_t count = tombstones.size();
  for (const auto& [key, versions] : keys) {
    for (const Version& version : versions) count += version.kind == D ? 1 : 0;
  }
  return count;
}

TEST(DropRules, NobodySeesADifference) {
  std::mt19937_64 random(4711);
  uint64_t dropped = 0, kept_tombstones = 0;
  for (int round = 0; round < 8000; ++round) {
    const History h = RandomHistory(random);
    const bool bottom = random() % 2 == 0;
    const std::string cut = random() % 2 == 0 ? "" : std::string(1, static_cast<char>('b' + random() % 4));
    DropRules rules(h.retained, h.tombstones, bottom);
    std::map<std::string, Versions> after;
    Tombstones after_tombstones;
    bool before_cut = !cut.empty();
    const auto end_output = [&](const std::string& begin, const std::string& end) {
      for (auto& t : rules.TakeTombstones(begin, end)) {
        ASSERT_GE(t.begin, begin);
        ASSERT_TRUE(end.empty() || t.end <= end);
        after_tombstones.push_back(std::move(t));
      }
    };
    for (const auto& [key, versions] : h.keys) {
      if (before_cut && key >= cut) {
        end_output("", cut);
        before_cut = false;
      }
      after[key] = Survivors(rules, key, versions);
      dropped += versions.size() - after[key].size();
    }
    if (before_cut) end_output("", cut);
    end_output(cut, "");
    kept_tombstones += after_tombstones.size();

    std::vector<Sequence> readers = h.retained;
    readers.push_back(30);
    for (char c = 'a'; c < 'h'; ++c) {
      const std::string key(1, c);
      Versions before_versions = h.keys.contains(key) ? h.keys.at(key) : Versions();
      Versions after_versions = after.contains(key) ? after.at(key) : Versions();
      for (int below = 0; below < (bottom ? 1 : 2); ++below) {
        if (below == 1) {  // something older in a deeper level stays hidden
          before_versions.push_back({1, P});
          after_versions.push_back({1, P});
        }
        for (Sequence reader : readers) {
          ASSERT_EQ(Seen(after_versions, after_tombstones, key, reader),
                    Seen(before_versions, h.tombstones, key, reader))
              << "round " << round << " key " << key << " reader " << reader << " below " << below;
        }
      }
    }
    if (!bottom) continue;
    size_t puts = 0;
    for (const auto& [key, versions] : after) puts += versions.size();
    const size_t tombstones = CountTombstones(after, after_tombstones);
    puts -= tombstones - after_tombstones.size();
    ASSERT_LE(tombstones, puts) << "round " << round;
  }
  EXPECT_GT(dropped, 10000u);
  EXPECT_GT(kept_tombstones, 1000u);
}

}  // namespace
}  // namespace tarn
