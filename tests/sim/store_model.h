// StoreModel: what a store should contain at every moment, cheap enough to keep all moments. The oracle of
// store_world.
//
// A commit is a number; a state is the number of the last commit in it. Each row keeps its versions by commit, so
// that a snapshot, or a state that a crash may fall back to, costs nothing. Keys are drawn once (KeySpace) and are
// numbers from then on. Values are named by a tag and a size, and their bytes are made from these when needed.
//
// Commits are in one of three places:
//   1 .. floor      survive every crash (floor() for a power cut, for a kill, whichever is asked)
//   .. visible()    what reads see now
//   visible() + 1   at most one whose call failed: its outcome is unknown until the store is reopened (doubtful())
//
// Families and named snapshots are steps of the manifest: durable when acknowledged, ahead of rows that a crash may
// still take back. A step whose call failed is kept in doubt the same way.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/sdk/internal_key.h"
#include "tarn/sdk/wal.h"
#include "tarn/write_batch.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

using Commit = uint64_t;
using KeyId = uint32_t;

// The keys of one world, sorted; a key's number is its rank.
class KeySpace {
 public:
  enum class Shape { kTiny, kNumbered, kMixed };
  KeySpace(Shape shape, uint64_t seed);

  KeyId size() const { return static_cast<KeyId>(keys_.size()); }
  const std::string& operator[](KeyId id) const { return keys_[id]; }
  KeyId LowerBound(std::string_view key) const;  // first key that is not less; size() when there is none

 private:
  std::vector<std::string> keys_;
};

struct ValueTag {
  uint64_t tag = 0;
  uint32_t size = 0;
  friend bool operator==(const ValueTag&, const ValueTag&) = default;
};
// Bytes of the value: the tag, then either a repeated pattern or noise, as the tag says.
void MakeValue(ValueTag value, std::string* out);
bool IsValue(ValueTag value, std::string_view bytes);

class StoreModel {
 public:
  struct Change {
    Kind kind = Kind::kPut;
    uint32_t family = 0;  // index into families()
    KeyId key = 0;
    KeyId end = 0;  // of a range
    ValueTag value;
  };
  struct Version {
    Commit commit;
    ValueTag value;
    bool present;
  };
  struct Family {
    std::string name;
    ColumnFamily handle;  // as of the current open
    std::vector<std::vector<Version>> rows;
    std::vector<Commit> touched;  // the last commit that named the key, also if it changed nothing
    bool live = true;             // false: dropped
  };
  // A step of the manifest whose outcome is unknown.
  struct Doubt {
    enum class What { kCreateFamily, kDropFamily, kMakeSnapshot, kDropSnapshot } what;
    std::string name;
    Commit at = 0;  // of a snapshot
  };

  explicit StoreModel(const KeySpace& keys);

  // The value that `at` sees; null when the key is absent.
  const ValueTag* Get(uint32_t family, KeyId key, Commit at) const;
  // The first present key >= `from` and < `to`, or the last one before `from` and >= `to`; keys().size() if none.
  KeyId NextPresent(uint32_t family, KeyId from, KeyId to, Commit at) const;
  KeyId PrevPresent(uint32_t family, KeyId from, KeyId to, Commit at) const;
  Commit Touched(uint32_t family, KeyId key) const { return families_[family].touched[key]; }

  // A write that was acknowledged, or one whose call failed.
  void Apply(const std::vector<Change>& changes, Durability durability);
  void ApplyInDoubt(const std::vector<Change>& changes);
  // Everything that is visible survives this from now on.
  void Survives(Durability durability);
  // Tables hold everything visible: no state before it can come back, whatever happens to the log.
  void Flushed();

  Commit visible() const { return visible_; }
  Commit newest() const { return newest_; }  // visible(), or the commit in doubt
  Commit base() const { return base_; }
  Commit floor(bool power) const { return power ? power_floor_ : kill_floor_; }

  // What a store was found to hold: for each live family a sorted list of (key, value tag) is compared by whoever
  // reads it; here are the keys whose value differs between the newest state and `at`, newest commit first.
  struct Touch {
    Commit commit;
    uint32_t family;
    KeyId key;
  };
  const std::vector<Touch>& touches() const { return touches_; }
  // The store was reopened and holds exactly the state `at`: forget the rest.
  void Settle(Commit at);

  const std::vector<Family>& families() const { return families_; }
  Family& family(uint32_t index) { return families_[index]; }
  const std::vector<uint32_t>& live() const { return live_; }  // indices of families that exist
  // An index of a live family; families().size() if none has the name.
  uint32_t FindFamily(std::string_view name) const;
  void CreateFamily(std::string name, ColumnFamily handle);
  void DropFamily(uint32_t index);

  std::map<std::string, Commit>& named() { return named_; }
  std::vector<Doubt>& doubts() { return doubts_; }
  // Commits that snapshots in memory may still ask for; they are kept. Named ones are known.
  void Hold(Commit commit) { held_.push_back(commit); }
  void Unhold(Commit commit);

 private:
  void Record(const std::vector<Change>& changes, Commit commit);
  void Put(uint32_t family, KeyId key, Version version);
  void Prune(std::vector<Version>& versions);
  void Undo(Commit above);

  const KeySpace& keys_;
  std::vector<Family> families_;
  std::vector<uint32_t> live_;
  std::map<std::string, Commit> named_;
  std::vector<Doubt> doubts_;
  std::vector<Commit> held_;
  std::vector<Touch> touches_;  // of commits above base_, in order
  Commit base_ = 0, power_floor_ = 0, kill_floor_ = 0, visible_ = 0, newest_ = 0;
  Commit next_ = 1;  // numbers are not used again
};

}  // namespace tarn::test
