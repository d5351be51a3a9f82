#include "kernel/log_replay.h"

#include <algorithm>
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

Status LogElsewhere(const ManifestRecord& last) {
  return Status::Unavailable(
      SegmentBlobName(last.first_wal) + ": the log of this store is not on this disk; " +
      ManifestBlobName(last.number) + " was published by " + last.writer +
      ": open the store there, or, if that log is lost, go back to the last durable point with log_lost=accept");
}

// Sequences go on behind all that were given out durably: named snapshots may have some of them.
ReplayedLog LostLog(const ManifestRecord& last, uint64_t next_segment, MemSet* mem) {
  ReplayedLog log;
  log.next_segment = next_segment;
  log.lost = true;
  log.last_sequence = std::max(last.last_sequence, last.durable_sequence);
  if (mem != nullptr) mem->set_last_sequence(log.last_sequence);
  return log;
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

Status CheckReaches(const ReplayedLog& log, const WalReplayEnd& end, const ManifestRecord& last) {
  if (log.last_sequence >= last.durable_sequence) return {};
  return Bad(SegmentBlobName(end.next_segment - 1) + ": the log ends at sequence " +
             std::to_string(log.last_sequence) + ", but " + ManifestBlobName(last.number) +
             " says that it was durable up to " + std::to_string(last.durable_sequence));
}

}  // namespace

Result<ReplayedLog> ReplayLog(WalStrategy& wal, Backend& backend, const ManifestState& manifest, MemSet* mem,
                              bool accept_lost) {
  const ManifestRecord& last = manifest.last();
  ReplayedLog log;
  log.last_sequence = last.last_sequence;
  TARN_ASSIGN(const WalReplayEnd end,
              wal.Replay(backend, manifest.store_id(), last.first_wal,
                         [&](uint64_t, std::string_view payload) { return ApplyPayload(payload, mem, &log); }));
  if (last.first_wal != 0 && end.first_segment != last.first_wal) {
    // Segments without records are what an opening leaves that came too late.
    if (end.records == 0 && accept_lost) return LostLog(last, end.next_segment, mem);
    if (end.records == 0 && backend.info().log_is_near) return LogElsewhere(last);
    return Bad(SegmentBlobName(last.first_wal) + ", offset 0: the log segment is missing, but " +
               ManifestBlobName(last.number) +
               " says that the log begins with it; if it is on another disk (log=), " +
               "open the store there, or go back to the last durable point with log_lost=accept");
  }
  TARN_TRY(CheckReaches(log, end, last));
  log.next_segment = end.next_segment;
  log.place = end.place;
  if (mem != nullptr) mem->set_last_sequence(log.last_sequence);
  return log;
}

Status ReplayMore(WalStrategy& wal, Backend& backend, const ManifestState& manifest, MemSet* mem, ReplayedLog* log) {
  const ManifestRecord& last = manifest.last();
  // A call that failed may have come this far.
  ReplayedLog now = *log;
  const auto visit = [&](uint64_t, std::string_view bytes) -> Status {
    TARN_ASSIGN(const Payload payload, ParsePayload(bytes));
    const bool known = payload.count > 0 && payload.first + payload.count - 1 <= mem->last_sequence();
    if (known && payload.first == now.last_sequence + 1) {
      now.last_sequence += payload.count;
      now.manifest = std::max(now.manifest, payload.manifest);
      return {};
    }
    TARN_TRY(ApplyPayload(bytes, mem, &now));
    mem->set_last_sequence(now.last_sequence);
    return {};
  };
  TARN_ASSIGN(const WalReplayEnd end, wal.ReplayOn(backend, manifest.store_id(), last.first_wal, log->place, visit));
  TARN_TRY(CheckReaches(now, end, last));
  now.next_segment = end.next_segment;
  now.place = end.place;
  *log = now;
  return {};
}

Status CheckManifestIsNewest(const ManifestState& manifest, const ReplayedLog& log) {
  if (log.manifest <= manifest.last().number) return {};
  return Bad(ManifestBlobName(log.manifest) +
             ", byte 0: the manifest record is missing, but the log says that it was "
             "published");
}

}  // namespace tarn::kernel
