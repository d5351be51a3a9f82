// Transaction::Impl: optimistic concurrency. Reads remember their keys; commit, alone at the head of the write
// queue, looks each key that was read or written up again, and refuses if one holds another version than in the
// transaction's snapshot. Nothing is locked in between.
//
// Source: Kung, Robinson, "On Optimistic Methods for Concurrency Control" (1981), with backward validation.
// Serializable for point operations; ranges are not tracked, so phantoms are possible.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "kernel/engine.h"
#include "tarn/db.h"

namespace tarn {

class Transaction::Impl {
 public:
  explicit Impl(kernel::Engine& engine) : engine_(engine), snapshot_(engine.GetSnapshot()) {}

  Status Get(ColumnFamily family, std::string_view key, std::string* value);
  void Put(ColumnFamily family, std::string_view key, std::string_view value);
  void Delete(ColumnFamily family, std::string_view key);
  Status Commit(const WriteOptions& options);
  void Rollback() { snapshot_.reset(); }

 private:
  using Key = std::pair<uint32_t, std::string>;
  Status Validate();

  kernel::Engine& engine_;
  std::unique_ptr<Snapshot> snapshot_;             // null: the transaction is over
  std::set<Key> tracked_;                          // read or written
  std::map<Key, std::optional<std::string>> own_;  // nullopt: deleted
  WriteBatch batch_;
};

}  // namespace tarn
