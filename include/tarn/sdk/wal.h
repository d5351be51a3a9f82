// The write-ahead log contract, split by role: a strategy opens writers and replays; a writer appends. For
// authors of WAL strategies.
//
// A log is a chain of *segments*, numbered upward. A writer never appends to a segment that existed before it
// was opened. A payload is opaque bytes, kept whole or not at all.
//
// Durability of one append:
//   kNone     the payload may sit in this process until the next stronger append, Sync or Rotate
//   kProcess  it survives kill -9 of this process
//   kPower    it survives power loss
// A stronger append also strengthens everything appended before it: the log never has a hole.
//
// Replay hands back, in order, a prefix of what was appended, which includes everything acknowledged at the
// level that the crash respected. A record that must have been durable (the log itself says so) and does not
// read back is Corruption with blob name and offset; a torn tail that was never acknowledged ends the replay.
//
// After any error of Append, Sync or Rotate the writer is poisoned: every later call returns that error. Only
// Invalid (a payload too large for the log, a writer already closed) changes nothing.
//
// Threads: one at a time; only Release may run beside the others, and itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tarn/sdk/backend.h"
#include "tarn/status.h"

namespace tarn {

enum class Durability : uint8_t { kNone, kProcess, kPower };

class WalWriter {
 public:
  virtual ~WalWriter() = default;  // without Close(): as if the process had died here
  virtual Status Append(std::string_view payload, Durability durability) = 0;
  virtual Status Sync() = 0;  // everything appended so far, as kPower
  // Makes the current segment durable and seals it, starts the next one and returns its number. Payloads appended
  // afterwards are in it or later. As with Open, replay finds the new segment from now on.
  virtual Result<uint64_t> Rotate() = 0;
  // Deletes this log's segments with a smaller number. The caller has published what supersedes them.
  virtual Status Release(uint64_t first_needed) = 0;
  virtual uint64_t segment() const = 0;  // number of the current segment
  virtual uint64_t live_bytes() = 0;     // bytes in segments that were not released
  // Syncs and seals the log: from now on every missing byte is detectable.
  virtual Status Close() = 0;
};

// Where a replay ended, for one that goes on from there. What it means is the strategy's business.
struct WalPlace {
  uint64_t segment = 0;  // 0: before everything
  uint64_t begun = 0;    // the segment that its records belong to
  uint64_t offset = 0;
  uint64_t chain = 0;
  bool sealed = false, complete = false, object = false;
};

struct WalReplayEnd {
  uint64_t first_segment = 0;  // the first one that was replayed; 0: none was there
  uint64_t next_segment = 1;   // smaller than no segment that exists: where a writer may start
  uint64_t records = 0;
  uint64_t bytes = 0;      // payload bytes replayed
  bool torn_tail = false;  // the log ended in bytes that were never acknowledged
  WalPlace place;
};

// A stretch of the log that holds no record which reads back.
struct WalLoss {
  std::string blob;
  uint64_t offset = 0;
  uint64_t length = 0;  // 0: nobody knows
  std::string reason;   // one line, without the place
};

class WalStrategy {
 public:
  using Visitor = std::function<Status(uint64_t segment, std::string_view payload)>;
  virtual ~WalStrategy() = default;
  virtual std::string_view name() const = 0;
  // `store_id` (16 bytes) is written into each segment, so that a foreign segment is detected.
  // Opening does not make the segments of earlier writers durable: what Replay returned after a mere kill may
  // still be lost to a power cut. The caller publishes it, or appends it again as kPower, before it acknowledges
  // anything new; otherwise the log could get a hole. Segments it no longer needs it then releases.
  // From its return on, also after power loss, replay finds the segment, so that its absence is known for a loss.
  // Where no lock keeps other writers away, opening does: an earlier writer's next append is Fenced. If it went on
  // after the replay, segment() is larger than `first_segment`, and the log is replayed once more.
  virtual Result<std::unique_ptr<WalWriter>> Open(Backend& backend, std::string_view store_id,
                                                  uint64_t first_segment) = 0;
  // Visits the payloads of segments >= first_segment. Changes nothing, so it may run beside a live writer.
  virtual Result<WalReplayEnd> Replay(Backend& backend, std::string_view store_id, uint64_t first_segment,
                                      const Visitor& visit) = 0;
  // For a reader that follows a live writer: like Replay, but visits only what is behind `place`, at which a replay
  // of the same segments ended. Cheap when nothing is there: at most one list, and one read where the log is a file.
  virtual Result<WalReplayEnd> ReplayOn(Backend& backend, std::string_view store_id, uint64_t first_segment,
                                        const WalPlace& place, const Visitor& visit) = 0;
  // For repair (tarn/repair.h): like Replay, but what does not read back is told to `lost`, in its place between the
  // payloads, and passed over. Visits only payloads that verify. An empty `store_id` takes that of the log's first
  // readable segment; first_segment 0 means all there are, and that none need be there. Fails only if the log cannot
  // be listed, by another version's log, and when `visit` fails.
  virtual Status Salvage(Backend& backend, std::string_view store_id, uint64_t first_segment, const Visitor& visit,
                         const std::function<void(const WalLoss&)>& lost) = 0;
};

}  // namespace tarn
