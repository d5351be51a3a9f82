// The store that the matrix damages, and the questions it is asked.
//
// It is small and has all kinds of bytes: two families; a run in a deep level and runs in level 0; tables without
// compression, with LZ4 and with Zstd; deletions, range tombstones, a named snapshot that sees other values; a full
// manifest record and deltas; two log segments, the first sealed. What it holds is known from a plain map beside it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/corruption/judge.h"
#include "tests/kernel/sim_store.h"

namespace tarn::test {

// The rows of each family.
using Rows = std::map<std::string, std::map<std::string, std::string>>;

// How the last writer left the store.
enum class Left : uint8_t { kClosed, kKilled };

struct SoundStore {
  Image image;
  Rows snapshot;                     // what the named snapshot sees
  std::vector<Rows> moments;         // after each commit of the last log segment; the first is before them
  uint64_t durable_moments = 0;      // so many of these commits the manifest knows to be durable
  bool newest_only_vouches = false;  // the newest manifest record changed nothing: Close published it
};
// Another seed makes another store id.
SoundStore BuildStore(Left left, uint64_t seed = 1);

// About 8 MiB: many blocks, index partitions and tables.
SoundStore BuildBigStore();

class StoreSubject final : public Subject {
 public:
  explicit StoreSubject(const SoundStore& sound);
  Status Read(std::shared_ptr<Backend> disk, Answers* answers) override;
  Status Rewrite(std::shared_ptr<Backend> disk, Answers* before, Answers* after) override;
  // By the plain maps alone.
  std::vector<Answers> Truths() const;

 private:
  void Ask(DB& db, Answers* answers) const;
  void AskFamily(DB& db, const std::string& name, const Snapshot* snapshot, Answers* answers) const;
  Answers Truth(const Rows& now) const;

  const SoundStore& sound_;
  std::map<std::string, std::vector<std::string>> keys_;  // to get one by one: those there, and others
};

}  // namespace tarn::test
