#include "kernel/log_replay.h"

#include <cstdio>

#include "base/next_step.h"
#include "kernel/batch.h"

namespace tarn::kernel {
namespace {

Status Bad(const std::string& what) { return Status::Corruption(what + std::string(kRepairStep)); }

std::string SegmentBlobName(uint64_t segment) {
  char name[32];
  std::snprintf(name, sizeof(name), "wal/%016llx", static_cast<unsigned long long>(segment));
  return name;
}

// Families the manifest no longer has were dropped. The log's reader adds the place to an error.
Status ApplyPayload(std::string_view bytes, MemSet* mem, ReplayedLog* log) {
  TARN_ASSIGN(const Payload payload, ParsePayload(bytes));
  if (payload.first != log->last_sequence + 1) {
    return Bad("log record begins at sequence " + std::to_string(payload.first) + ", after " +
               std::to_string(log->last_sequence) + ": what was between is lost");
  }
  std::string_view changes = payload.changes;
  for (uint64_t i = 0; i < payload.count; ++i) {
    BatchChange change;
    if (!NextChange(&changes, &change)) return Bad("log record holds a malformed batch");
    FamilyMem* const family = mem == nullptr ? nullptr : mem->Find(change.family);
    if (family != nullptr) family->Add(change.kind, payload.first + i, change.key, change.value);
  }
  if (!changes.empty()) return Bad("log record is longer than its batch");
  log->last_sequence += payload.count;
  log->manifest = std::max(log->manifest, payload.manifest);
  return {};
}

}  // namespace

Result<ReplayedLog> ReplayLog(WalStrategy& wal, Backend& backend, const ManifestState& manifest, MemSet* mem) {
  const ManifestRecord& last = manifest.last();
  ReplayedLog log;
  log.last_sequence = last.last_sequence;
  TARN_ASSIGN(const WalReplayEnd end,
              wal.Replay(backend, manifest.store_id(), last.first_wal,
                         [&](uint64_t, std::string_view payload) { return ApplyPayload(payload, mem, &log); }));
  if (last.first_wal != 0 && end.first_segment != last.first_wal) {
    return Bad(SegmentBlobName(last.first_wal) + ", offset 0: the log segment is missing, but " +
               ManifestBlobName(last.number) + " says that the log begins with it");
  }
  if (log.last_sequence < last.durable_sequence) {
    return Bad(SegmentBlobName(end.next_segment - 1) + ": the log ends at sequence " +
               std::to_string(log.last_sequence) + ", but " + ManifestBlobName(last.number) +
               " says that it was durable up to " + std::to_string(last.durable_sequence));
  }
  log.next_segment = end.next_segment;
  if (mem != nullptr) mem->set_last_sequence(log.last_sequence);
  return log;
}

Status CheckManifestIsNewest(const ManifestState& manifest, const ReplayedLog& log) {
  if (log.manifest <= manifest.last().number) return {};
  return Bad(ManifestBlobName(log.manifest) +
             ", byte 0: the manifest record is missing, but the log says that it was "
             "published");
}

}  // namespace tarn::kernel
