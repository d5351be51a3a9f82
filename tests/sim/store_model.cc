#include "tests/sim/store_model.h"

#include <cstring>
#include <set>

namespace tarn::test {
namespace {

// Versions of one row beyond which those that nobody can ask for are dropped.
constexpr size_t kVersionsBeforePruning = 12;

uint64_t Noise(uint64_t tag, uint64_t word) { return (tag ^ (word * 0x9e3779b97f4a7c15ull)) * 0xbf58476d1ce4e5b9ull; }

void FillValue(ValueTag value, char* out) {
  const bool noise = value.tag % 3 == 0;
  for (uint32_t at = 0; at < value.size; at += 8) {
    const uint64_t word = at == 0 ? value.tag : Noise(value.tag, noise ? at : at % 32);
    std::memcpy(out + at, &word, std::min<uint32_t>(8, value.size - at));
  }
}

}  // namespace

KeySpace::KeySpace(Shape shape, uint64_t seed) {
  SeededRandom random(seed);
  std::set<std::string> keys;
  if (shape != Shape::kNumbered) {
    // Few letters and lengths, so that keys share prefixes and touch at their ends.
    constexpr std::string_view kAlphabet("ab\x00\xff", 4);
    const uint64_t count = 20 + random.Below(200);
    for (uint64_t i = 0; i < count; ++i) {
      std::string key;
      for (uint64_t n = random.Below(6); n > 0; --n) key += kAlphabet[random.Below(kAlphabet.size())];
      keys.insert(std::move(key));
    }
  }
  if (shape != Shape::kTiny) {
    const uint64_t count = 100 + random.Below(shape == Shape::kNumbered ? 1500 : 300);
    const std::string prefix(random.Below(30), 'k');
    for (uint64_t i = 0; i < count; ++i) {
      const std::string digits = std::to_string(100000 + i * (1 + i % 3));
      keys.insert(prefix + digits);
    }
  }
  if (shape == Shape::kMixed) {
    for (int i = 0; i < 5; ++i) keys.insert(std::string(random.Below(4000), static_cast<char>('a' + i)));
    keys.insert(std::string(65536, 'z'));  // the longest key there may be
  }
  keys_.assign(keys.begin(), keys.end());
}

KeyId KeySpace::LowerBound(std::string_view key) const {
  return static_cast<KeyId>(std::lower_bound(keys_.begin(), keys_.end(), key) - keys_.begin());
}

void MakeValue(ValueTag value, std::string* out) {
  out->resize(value.size);
  FillValue(value, out->data());
}

bool IsValue(ValueTag value, std::string_view bytes) {
  if (bytes.size() != value.size) return false;
  if (bytes.size() >= 8 && std::memcmp(bytes.data(), &value.tag, 8) != 0) return false;
  thread_local std::string expected;
  MakeValue(value, &expected);
  return bytes == expected;
}

StoreModel::StoreModel(const KeySpace& keys) : keys_(keys) { CreateFamily("default", {}); }

const ValueTag* StoreModel::Get(uint32_t family, KeyId key, Commit at) const {
  const std::vector<Version>& versions = families_[family].rows[key];
  for (size_t i = versions.size(); i-- > 0;) {
    if (versions[i].commit <= at) return versions[i].present ? &versions[i].value : nullptr;
  }
  return nullptr;
}

KeyId StoreModel::NextPresent(uint32_t family, KeyId from, KeyId to, Commit at) const {
  for (KeyId key = from; key < to; ++key) {
    if (Get(family, key, at) != nullptr) return key;
  }
  return keys_.size();
}

KeyId StoreModel::PrevPresent(uint32_t family, KeyId from, KeyId to, Commit at) const {
  for (KeyId key = from; key > to; --key) {
    if (Get(family, key - 1, at) != nullptr) return key - 1;
  }
  return keys_.size();
}

void StoreModel::Apply(const std::vector<Change>& changes, Durability durability) {
  // A store that takes a write knows what became of the one before.
  Undo(visible_);
  visible_ = newest_ = next_++;
  Record(changes, visible_);
  Survives(durability);
}

void StoreModel::ApplyInDoubt(const std::vector<Change>& changes) {
  Undo(visible_);
  newest_ = next_++;
  Record(changes, newest_);
}

void StoreModel::Survives(Durability durability) {
  if (durability >= Durability::kProcess) kill_floor_ = visible_;
  if (durability == Durability::kPower) power_floor_ = visible_;
}

void StoreModel::Flushed() {
  Survives(Durability::kPower);
  base_ = visible_;
  std::erase_if(touches_, [&](const Touch& touch) { return touch.commit <= base_; });
}

void StoreModel::Settle(Commit at) {
  Undo(at);
  visible_ = newest_ = at;
  Flushed();
  doubts_.clear();
}

void StoreModel::Record(const std::vector<Change>& changes, Commit commit) {
  for (const Change& change : changes) {
    Family& family = families_[change.family];
    if (change.kind != Kind::kRangeDelete) {
      Put(change.family, change.key, {commit, change.value, change.kind == Kind::kPut});
      family.touched[change.key] = commit;
      continue;
    }
    for (KeyId key = change.key; key < change.end; ++key) {
      family.touched[key] = commit;
      if (Get(change.family, key, commit) != nullptr) Put(change.family, key, {commit, {}, false});
    }
  }
}

void StoreModel::Put(uint32_t family, KeyId key, Version version) {
  std::vector<Version>& versions = families_[family].rows[key];
  if (!versions.empty() && versions.back().commit == version.commit) {
    versions.back() = version;
    return;
  }
  if (versions.size() >= kVersionsBeforePruning) Prune(versions);
  versions.push_back(version);
  touches_.push_back({version.commit, family, key});
}

// Drops versions that no snapshot and no state from base_ on can see.
void StoreModel::Prune(std::vector<Version>& versions) {
  std::vector<Commit> wanted(held_);
  for (const auto& [name, at] : named_) wanted.push_back(at);
  for (const Doubt& doubt : doubts_) wanted.push_back(doubt.at);
  std::sort(wanted.begin(), wanted.end());
  const auto is_wanted = [&](const Version& version, Commit next) {
    if (next > base_) return true;
    const auto first = std::lower_bound(wanted.begin(), wanted.end(), version.commit);
    return first != wanted.end() && *first < next;
  };
  size_t kept = 0;
  for (size_t i = 0; i < versions.size(); ++i) {
    const bool keep = i + 1 == versions.size() || is_wanted(versions[i], versions[i + 1].commit);
    if (keep) versions[kept++] = versions[i];
  }
  versions.resize(kept);
}

void StoreModel::Undo(Commit above) {
  while (!touches_.empty() && touches_.back().commit > above) {
    const Touch touch = touches_.back();
    touches_.pop_back();
    families_[touch.family].rows[touch.key].pop_back();
  }
  newest_ = std::min(newest_, above);
}

uint32_t StoreModel::FindFamily(std::string_view name) const {
  for (uint32_t i : live_) {
    if (families_[i].name == name) return i;
  }
  return static_cast<uint32_t>(families_.size());
}

void StoreModel::CreateFamily(std::string name, ColumnFamily handle) {
  Family family{std::move(name), handle, {}, {}, true};
  family.rows.resize(keys_.size());
  family.touched.resize(keys_.size());
  live_.push_back(static_cast<uint32_t>(families_.size()));
  families_.push_back(std::move(family));
}

void StoreModel::DropFamily(uint32_t index) {
  Family& family = families_[index];
  family.live = false;
  std::erase(live_, index);
  family.rows.clear();
  family.rows.shrink_to_fit();
  family.touched.clear();
  std::erase_if(touches_, [&](const Touch& touch) { return touch.family == index; });
}

void StoreModel::Unhold(Commit commit) {
  const auto it = std::find(held_.begin(), held_.end(), commit);
  if (it != held_.end()) held_.erase(it);
}

}  // namespace tarn::test
