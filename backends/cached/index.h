// What the cache holds, in memory: every extent by blob and place, and the segments they are in. For disk_cache.cc,
// under its mutex. No I/O.
//
// Invariants
//   1. An entry of a segment that has a blob is the only one of its extent: its blob's slot leads back to it. An
//   entry
//      without a blob is dead: its bytes are still in the segment, and nobody finds them.
//   2. Entries never move: a slot is a segment and a number in it.
//   3. A blob is listed while it has an extent.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/cached/segment.h"

namespace tarn::cached {

struct CachedBlob;

struct Entry {
  CachedBlob* blob = nullptr;
  uint32_t extent = 0;
  uint32_t offset = 0;  // in the segment
  uint32_t bytes = 0;
  uint8_t hits = 0;        // since it came here, 0 .. 3
  bool confirmed = false;  // the remote gave these bytes twice
  uint64_t checksum = 0;
};

struct Segment {
  SegmentName name;
  std::string memory;  // the data, until it is stored
  bool stored = false;
  uint64_t data_bytes = 0;
  uint64_t stored_bytes = 0;  // of its blob
  std::vector<Entry> entries;
  size_t live = 0;  // entries with a blob
};

struct Slot {
  Segment* segment = nullptr;
  uint32_t entry = 0;
  Entry& operator*() const { return segment->entries[entry]; }
  Entry* operator->() const { return &segment->entries[entry]; }
  bool operator==(const Slot&) const = default;
};

struct CachedBlob {
  BlobKey key;
  std::unordered_map<uint32_t, Slot> extents;
};

// What the index on the disk says of a segment: its live entries.
IndexEntry EntryOf(const Segment& segment);

class Index {
 public:
  // Remembers about `ghosts` extents that were evicted.
  explicit Index(size_t ghosts) : ghosts_(ghosts) {}

  std::optional<Slot> Find(const BlobKey& blob, uint32_t extent) const;
  // Adds an entry (all but its blob is set) to the segment. An older one of its extent is unfiled.
  void File(Segment* segment, const BlobKey& blob, Entry entry);
  void Unfile(Slot slot);
  void UnfileAll(Segment* segment);
  // Every blob of that name. Appends the segments that have no live entry any more.
  void UnfileBlob(const std::string& name, std::vector<SegmentName>* dead);
  size_t entries() const { return entries_; }

  // Extents that were evicted before anybody read them again: should one be wanted soon, it was evicted too early. A
  // table with one place for each hash, so the older of two that collide is forgotten first.
  void Remember(const Entry& entry);
  bool Remembers(const BlobKey& blob, uint32_t extent) const;

 private:
  std::map<BlobKey, CachedBlob> blobs_;
  size_t entries_ = 0;
  std::vector<uint64_t> ghosts_;
};

}  // namespace tarn::cached
