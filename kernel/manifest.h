// Manifest: loads the state of a store and publishes each next step. Format: docs/formats/manifest.md.
//
// The one commit rule: a step is real when its record is created by put-if-absent under the next number. A
// writer that finds the number taken has been fenced by a higher epoch (or has met itself, when an answer was
// lost), and learns which by reading the record that is there.
//
// Invariants
//   1. state() is the sum of records base..number, all of them durable.
//   2. A record's blobs were durable before the record was put.
//   3. Records below the previous full one are deleted, oldest last needed, only after a newer full one is durable.
//   4. A number that was deleted is free again. Where no lock keeps earlier writers on all machines away, a record is
//      real only if no larger number is there once it was put: the newest is never deleted.
//   5. After a publish whose outcome is unknown every later publish fails: only a reopen can tell.
//
// Threads: one at a time (the kernel holds its manifest lock).
#pragma once

#include <string>
#include <vector>

#include "base/blobs_ahead.h"
#include "kernel/manifest_state.h"
#include "tarn/sdk/backend.h"

namespace tarn::kernel {

class Manifest {
 public:
  explicit Manifest(Backend& backend) : backend_(backend) {}

  // Reads the newest state. NotFound when no store is here. Tables or log segments without a manifest are
  // Corruption: it was lost, and whoever took the place for empty would delete them.
  Status Load();
  // For a reader that follows: applies the records behind state(), whoever wrote them. One list when there are none.
  Status LoadNewer();
  Result<bool> HasNewer();
  // Takes over what another object loaded. For reading only: nothing may be published afterwards.
  void Show(ManifestState state) { state_ = std::move(state); }
  // Publishes record 1 of a new store with the default family. Busy when someone else did.
  Status Create(const std::string& store_id, const std::string& writer);
  // Completes `delta` (number, base, epoch, writer, store id), publishes it and applies it. Scalar fields of
  // `delta` must be the values after the step; start from NextStep().
  Status Publish(ManifestRecord delta);
  // An empty delta on top of state().
  ManifestRecord NextStep() const { return state_.last(); }
  // From the next Publish on, records carry this epoch and writer.
  void TakeOver(uint64_t epoch, std::string writer) {
    epoch_ = epoch;
    writer_ = std::move(writer);
  }

  // Whether nothing keeps writers on other machines away: a lock beside the store does not.
  bool OthersMayPublish() const;
  const ManifestState& state() const { return state_; }
  // Not OK after a publish whose outcome is in doubt (invariant 5). Other failed publishes changed nothing.
  const Status& broken() const { return broken_; }

 private:
  Result<std::vector<uint64_t>> ListRecords(uint64_t after);
  Status LoadUpTo(uint64_t newest);
  Status WhyNone();
  Result<ManifestRecord> ReadRecord(uint64_t number, BlobsAhead* blobs = nullptr);
  Status Put(const ManifestRecord& record);
  Status CheckNewest(uint64_t number);
  Status Lost(uint64_t number, const ManifestRecord& there);
  void DeleteBelow(uint64_t number);

  Backend& backend_;
  ManifestState state_;
  uint64_t epoch_ = 0;
  std::string writer_;
  Status broken_;  // invariant 5
  uint64_t previous_base_ = 0;
  std::vector<uint64_t> records_;  // the numbers of those that may still exist, in order
};

}  // namespace tarn::kernel
