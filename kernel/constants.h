// The constants of the kernel, each with the reason for its value. Everything a user may turn is in Settings.
#pragma once

#include <cstdint>

namespace tarn::kernel {

// Limits of one change; the table and log formats hold much more. Larger keys belong in values.
inline constexpr uint64_t kMaxKeyBytes = 64 << 10;
inline constexpr uint64_t kMaxValueBytes = 1ull << 30;
inline constexpr uint64_t kMaxBatchBytes = 2ull << 30;  // half of what a log record can hold

// A leader takes followers until its group has this many bytes: enough to amortise one log write and one sync,
// small enough that nobody waits long for strangers' bytes.
inline constexpr uint64_t kMaxGroupBytes = 1 << 20;

// Input bytes of one quantum of a flush or compaction: about a millisecond of merging.
inline constexpr uint64_t kQuantumBytes = 256 << 10;

// A full manifest record is written after this many deltas, so a store opens with at most this many small reads.
inline constexpr uint64_t kManifestDeltas = 64;

// Attempts of an open to catch a store that another writer keeps changing meanwhile.
inline constexpr int kOpenAttempts = 20;

// Where no lock keeps writers apart, one that has lost the store may still be writing tables, under the numbers that
// follow. An opening leaves out more of them than he can write before he notices.
inline constexpr uint64_t kTablesUnderWay = 1 << 20;

// A store that shares its past with others (a checkpoint, a restored backup, a clone) gives out table numbers from
// another range than they do: it skips up to so many ranges of so many numbers, by chance. A range is 1,024 openings
// of a bucket; two copies of one store meet in one range with a chance of 1 in 16 million; and there is room for 256
// generations of copies before ranges follow each other without chance.
inline constexpr uint64_t kTableRange = 1ull << 30;
inline constexpr uint64_t kTableRanges = 1ull << 24;
inline constexpr uint64_t kLastScatteredTable = 1ull << 62;
// A log that goes on where none of the log before it is begins at a number that is drawn: so far up that whoever has
// that log cannot reach it before he notices, and from so many that no two machines draw the same (RFC 0003).
inline constexpr uint64_t kSegmentsUnderWay = 1 << 20;
inline constexpr uint64_t kDrawnSegments = 1ull << 40;

// Numbers that a flush or compaction tries when tables stand under those it took.
inline constexpr int kTableNameAttempts = 8;

// Without append files each commit is an object of the log, and recovery reads them all: after so many the memtables
// are switched, whatever their size.
inline constexpr uint32_t kCommitsPerSegment = 1000;

// Back-pressure (kernel/pacer.h). Below the free share of debt nothing is delayed; from there the delay of each
// byte grows with the square of the debt, and reaches the price of 64 MiB/s at the reference debt: twenty memtables'
// worth of merging still to do. A lower price lets bursts of large values through and merges less often, but space
// grows: in ten minutes of overwrites up to 1.93 times the live data, and with thirty-two memtables up to 2.05.
inline constexpr double kDebtFree = 0.5;
inline constexpr double kReferenceBytesPerSecond = 64.0 * (1 << 20);
inline constexpr double kReferenceMemtables = 20;
inline constexpr uint64_t kMinSleepNanos = 500'000;     // shorter sleeps cost more than they give
inline constexpr uint64_t kMaxSleepNanos = 20'000'000;  // the most one write group waits for debt

inline constexpr uint64_t kMinMemoryBytes = 8ull << 20;
inline constexpr uint64_t kMinMemtableBytes = 64ull << 10;

}  // namespace tarn::kernel
