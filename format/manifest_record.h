// ManifestRecord: one step in the life of a store, as published in one blob. Bytes: docs/formats/manifest.md.
//
// The manifest is a sequence of blobs manifest/<number>, each put-if-absent, so that a number is decided once
// and by one writer. A record is a *full* state or a *delta* to the record before it; `base` is the number of
// the last full record at or before this one. To load: take the highest number n, read its `base`, read
// base..n, apply in order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/table.h"

namespace tarn {

// Levels grow geometrically, so 64 hold more than any device; the bound keeps hostile levels from becoming
// huge arrays.
inline constexpr uint32_t kMaxLevel = 63;

struct ManifestTable {
  uint32_t family = 0;
  uint32_t level = 0;
  uint64_t run = 0;  // tables of one run are listed in key order; a newer run has a higher id within its level
  TableMeta meta;
};
struct ManifestFamily {
  uint32_t id = 0;
  std::string name;
};
struct ManifestSnapshot {
  std::string name;
  Sequence sequence = 0;
  uint64_t created_wall_nanos = 0;
};

struct ManifestRecord {
  uint64_t number = 0;
  uint64_t base = 0;     // == number: a full state
  uint64_t epoch = 0;    // of the writer; a higher epoch fences a lower one
  std::string writer;    // for people: who published it
  std::string store_id;  // 16 bytes

  // Always the values after this record.
  uint64_t next_table = 1;  // numbers are never given out twice
  uint64_t next_run = 1;
  uint32_t next_family = 1;
  Sequence last_sequence = 0;     // every commit up to here is in tables
  uint64_t first_wal = 0;         // the log begins with this segment, which exists; 0: no log was ever begun
  Sequence durable_sequence = 0;  // every commit up to here is durable, in tables or in the log

  // Delta: what changed. Full: everything there is (the removal lists are empty).
  std::vector<ManifestFamily> families_added;
  std::vector<uint32_t> families_dropped;
  std::vector<ManifestTable> tables_added;
  std::vector<uint64_t> tables_removed;
  std::vector<ManifestSnapshot> snapshots_added;
  std::vector<std::string> snapshots_dropped;

  bool full() const { return base == number; }
};

std::string ManifestBlobName(uint64_t number);  // "manifest/0000000000000001"
std::string EncodeManifestRecord(const ManifestRecord& record);
// `number` is the one in the blob's name: a record that is elsewhere than it was written is Corruption.
Result<ManifestRecord> DecodeManifestRecord(std::string_view bytes, uint64_t number);

}  // namespace tarn
