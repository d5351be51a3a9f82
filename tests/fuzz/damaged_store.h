// A small store with a known history, and damage to its files that the input chooses. For the targets that look at
// whole stores.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tarn/settings.h"
#include "tests/fuzz/target.h"
#include "tests/support/mem_backend.h"

namespace tarn::fuzz {

using Content = std::map<std::string, std::string>;
using State = std::array<Content, 2>;  // of the families "default" and "two"

inline constexpr int kStoreKeys = 40;  // StoreKey(0) .. ; the families hold no others
inline constexpr const char* kStoreSnapshot = "then";
std::string StoreKey(int i);
Settings StoreSettings();

// The store's files at two moments and what it then held. Flushes made tables; behind them the log holds batches.
struct MadeStore {
  std::shared_ptr<test::MemBackend> closed, killed;
  std::vector<State> states;  // [n]: with the first n of the batches that are only in the log
  Content at_snapshot;        // of the default family
  std::string store_id;
};
const MadeStore& TheStore();  // made by the first call

// The files of one run.
struct DamagedStore {
  std::shared_ptr<test::MemBackend> backend;
  bool any = false;                                    // a file changed:
  bool manifest = false, tables = false, log = false;  // of these
  bool killed = false;                                 // the store was not closed
  bool resealed = false;  // the damage has right checksums, so the bytes may say anything

  // States that reads may show, by index: those before the last only if the end of the log may be gone unseen. A log
  // that was closed is vouched for by the manifest.
  size_t first_state() const { return log && killed ? 0 : TheStore().states.size() - 1; }
};
DamagedStore Damage(Input* in);

}  // namespace tarn::fuzz
