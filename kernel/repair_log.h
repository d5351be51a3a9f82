// What the log of a damaged store still holds, put into memtables, and which sequences are in no readable record.
//
// Sequences ascend without gaps over all records, so a gap says what is lost, wherever it went; and damage that
// leaves no gap (a header that could be made up for, a seal) has lost nothing and is not reported. Which keys the
// lost changes were for nobody knows: such a loss is over all keys.
//
// Threads: one at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel/mem_set.h"
#include "kernel/repair_losses.h"
#include "tarn/components.h"

namespace tarn::kernel {

class LogSalvage {
 public:
  // `wanted`: which families are of interest. `after`: the tables hold everything up to this sequence; kUnknown when
  // nobody says it.
  static constexpr Sequence kUnknown = kMaxSequence;
  LogSalvage(const Components& parts, Sequence after, std::function<bool(uint32_t family)> wanted,
             RepairLosses* losses)
      : parts_(parts), last_(after), wanted_(std::move(wanted)), losses_(losses) {}

  // `durable`: the manifest says that the log reaches this far. `hint` is added to the reason of each loss.
  Status Run(Backend& backend, const std::string& store_id, uint64_t first_segment, Sequence durable,
             const std::string& hint);

  std::map<uint32_t, std::unique_ptr<FamilyMem>> TakeFamilies() { return std::move(families_); }
  uint64_t records() const { return records_; }
  uint64_t manifest() const { return manifest_; }  // the newest record that the log says was published

 private:
  Status Take(uint64_t segment, std::string_view payload);
  bool Apply(std::string_view changes, Sequence first, uint64_t count, bool only_look);
  // The sequences after last_ up to `until` are in no record.
  void Lose(Sequence until);

  const Components& parts_;
  Sequence last_;
  const std::function<bool(uint32_t)> wanted_;
  RepairLosses* const losses_;
  std::string hint_;
  std::map<uint32_t, std::unique_ptr<FamilyMem>> families_;
  std::vector<WalLoss> pending_;  // since the last readable record
  std::string where_;             // the segment of the last readable record
  Sequence applied_ = 0;
  uint64_t records_ = 0, manifest_ = 0;
};

}  // namespace tarn::kernel
