#include "kernel/repair_log.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "kernel/batch.h"

namespace tarn::kernel {
namespace {

std::string SegmentBlobName(uint64_t segment) {
  char name[32];
  std::snprintf(name, sizeof(name), "wal/%016llx", static_cast<unsigned long long>(segment));
  return name;
}

}  // namespace

Status LogSalvage::Run(Backend& backend, const std::string& store_id, uint64_t first_segment, Sequence durable,
                       const std::string& hint) {
  hint_ = hint;
  TARN_TRY(parts_.wal->Salvage(
      backend, store_id, first_segment,
      [this](uint64_t segment, std::string_view payload) { return Take(segment, payload); },
      [this](const WalLoss& loss) { pending_.push_back(loss); }));
  const bool known = last_ != kUnknown;
  if (!pending_.empty()) {
    Lose(kMaxSequence);
  } else if (known && last_ < durable) {
    Lose(durable);
  }
  return {};
}

Status LogSalvage::Take(uint64_t segment, std::string_view bytes) {
  const Result<Payload> payload = ParsePayload(bytes);
  const bool good =
      payload.ok() && payload->first > applied_ && Apply(payload->changes, payload->first, payload->count, true);
  if (!good) {
    pending_.push_back({SegmentBlobName(segment), 0, 0, "a log record that no Tarn wrote, behind a right checksum"});
    return {};
  }
  where_ = SegmentBlobName(segment);
  if (last_ == kUnknown) last_ = pending_.empty() ? payload->first - 1 : 0;
  if (payload->first > last_ + 1) Lose(payload->first - 1);
  pending_.clear();
  Apply(payload->changes, payload->first, payload->count, false);
  ++records_;
  manifest_ = std::max(manifest_, payload->manifest);
  applied_ = payload->first + payload->count - 1;
  last_ = std::max(last_, applied_);
  return {};
}

bool LogSalvage::Apply(std::string_view changes, Sequence first, uint64_t count, bool only_look) {
  for (uint64_t i = 0; i < count; ++i) {
    BatchChange change;
    if (!NextChange(&changes, &change)) return false;
    if (only_look || !wanted_(change.family)) continue;
    std::unique_ptr<FamilyMem>& family = families_[change.family];
    if (family == nullptr) family = std::make_unique<FamilyMem>(parts_.memtable->Create());
    family->Add(change.kind, first + i, change.key, change.value);
  }
  return changes.empty();
}

void LogSalvage::Lose(Sequence until) {
  if (pending_.empty()) pending_.push_back({where_.empty() ? "wal/" : where_, 0, 0, "log records are not there"});
  for (WalLoss& lost : pending_) {
    RepairLoss loss;
    loss.blob = std::move(lost.blob);
    loss.offset = lost.offset;
    loss.length = lost.length;
    loss.reason = lost.reason + hint_;
    loss.any_family = true;
    loss.min_sequence = last_ == kUnknown ? 0 : last_ + 1;
    loss.max_sequence = until;
    losses_->Add(std::move(loss));
  }
  pending_.clear();
}

}  // namespace tarn::kernel
