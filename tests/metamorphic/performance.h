// Performance: one list of operations, played on a store made by one recipe. What comes out are the answers.
//
// The list is a function of a seed alone: an operation is a kind and a number from which all of its details are
// drawn. Details may depend on what earlier operations left (which snapshots are held, which families exist), but
// only on what a user of the API can know. So two recipes that answer alike are asked alike, and the first answer
// that differs is the fault.
//
// An answer is one line of text: the operation, its details, and everything that came back: codes of statuses (their
// messages may name tables), keys, sequences, lengths and hashes of values. Snapshots, iterators and transactions are
// held over many operations: an iterator's moves are operations of their own, between writes, flushes and merges.
//
// Threads: one; the store below has its own where the recipe says so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tarn/db.h"
#include "tests/metamorphic/axes.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

class Performance {
 public:
  Performance(const Recipe& recipe, uint64_t seed);
  ~Performance();

  // The answers to the first `count` operations of the seed's list. The last one is the whole content of the store.
  std::vector<std::string> Play(uint64_t count);

 private:
  struct Held {
    std::unique_ptr<Snapshot> snapshot;
    std::string name;  // for people
  };
  struct Walk {
    std::unique_ptr<Iterator> it;
    std::string name;
  };

  std::string Step();
  std::string Write();
  std::string GetSome();
  std::string Scan();
  std::string Snapshots();
  std::string NamedSnapshots();
  std::string Walks();
  std::string Transactions();
  std::string Families();
  std::string Maintain();
  std::string Checkpoint();
  std::string OpenBeside();
  std::string Reopen();

  void Open();
  void LetGo();
  Components Parts(std::shared_ptr<Backend> backend);
  std::string Describe(Iterator& it);
  std::string Contents(DB& db);
  std::string RandomKey();
  std::string RandomValue();
  Durability RandomDurability();
  ColumnFamily RandomFamily(std::string* name);
  const Snapshot* RandomSnapshot(std::string* name);
  ReadOptions RandomBounds(std::string* lower, std::string* upper, std::string* prefix, std::string* text);

  const Recipe recipe_;
  const uint64_t seed_;
  const std::unique_ptr<Home> home_;
  SeededRandom random_;                      // of the operation that is played
  std::shared_ptr<SimScheduler> scheduler_;  // null: real threads
  std::unique_ptr<DB> db_;
  std::vector<Held> held_;
  std::vector<Walk> walks_;
  std::unique_ptr<Transaction> transaction_;
  uint64_t step_ = 0;
};

}  // namespace tarn::test
