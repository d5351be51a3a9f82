// Encoding and decoding of manifest records. Bytes: docs/formats/manifest.md.
//
// A record is magic, version, tagged fields in ascending order of tag, and a checksum that is placed by the
// record's number. The decoder trusts nothing, not even bytes whose checksum is right: each number is bounded,
// so that the kernel may size its structures by them.

#include "format/manifest_record.h"

#include <cstdio>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/next_step.h"

namespace tarn {
namespace {

constexpr std::string_view kMagic = "tarnmfst";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 8 + 4;  // magic, version
constexpr size_t kChecksumBytes = 8;
constexpr size_t kStoreIdBytes = 16;

// Stored on disk: never renumber. Tags up to kLastScalar occur exactly once, the others any number of times.
enum Tag : uint64_t {
  kNumber = 1,
  kBase = 2,
  kEpoch = 3,
  kWriter = 4,
  kStoreId = 5,
  kNextTable = 6,
  kNextRun = 7,
  kNextFamily = 8,
  kLastSequence = 9,
  kFirstWal = 10,
  kDurableSequence = 11,
  kLastScalar = kDurableSequence,
  kFamilyAdded = 16,
  kFamilyDropped = 17,
  kTableAdded = 18,
  kTableRemoved = 19,
  kSnapshotAdded = 20,
  kSnapshotDropped = 21,
};

uint64_t Checksum(std::string_view body, uint64_t number) { return PlacedChecksum(body, Hash64("manifest"), number); }

void PutField(std::string* out, Tag tag, std::string_view payload) {
  PutVarint(out, tag);
  PutBytes(out, payload);
}
void PutNumberField(std::string* out, Tag tag, uint64_t v) {
  std::string payload;
  PutVarint(&payload, v);
  PutField(out, tag, payload);
}

std::string EncodeTable(const ManifestTable& table) {
  std::string out;
  PutVarint(&out, table.family);
  PutVarint(&out, table.level);
  PutVarint(&out, table.run);
  const TableMeta& meta = table.meta;
  PutVarint(&out, meta.number);
  PutVarint(&out, meta.file_bytes);
  PutBytes(&out, meta.smallest);
  PutBytes(&out, meta.largest);
  PutVarint(&out, meta.largest_exclusive ? 1 : 0);
  PutVarint(&out, meta.min_sequence);
  PutVarint(&out, meta.max_sequence);
  PutVarint(&out, meta.entries);
  PutVarint(&out, meta.deletions);
  PutVarint(&out, meta.range_deletions);
  PutVarint(&out, meta.raw_bytes);
  return out;
}

// The readers below return null when all is well, else what is wrong with the payload.
using Complaint = const char*;
constexpr Complaint kShort = "ends early";

Complaint ReadNumber(std::string_view in, uint64_t* v) {
  if (!GetVarint(&in, v)) return kShort;
  return in.empty() ? nullptr : "has bytes left over";
}

Complaint ReadString(std::string_view in, std::string* v) {
  v->assign(in);
  return nullptr;
}

Complaint ReadFamily(std::string_view in, ManifestFamily* family) {
  std::string_view name;
  if (!GetVarint32(&in, &family->id) || !GetBytes(&in, &name)) return kShort;
  family->name.assign(name);
  return in.empty() ? nullptr : "has bytes left over";
}

Complaint ReadSnapshot(std::string_view in, ManifestSnapshot* snapshot) {
  std::string_view name;
  if (!GetBytes(&in, &name) || !GetVarint(&in, &snapshot->sequence) ||
      !GetVarint(&in, &snapshot->created_wall_nanos)) {
    return kShort;
  }
  snapshot->name.assign(name);
  return in.empty() ? nullptr : "has bytes left over";
}

Complaint CheckTable(const ManifestTable& table, uint64_t exclusive) {
  const TableMeta& meta = table.meta;
  if (table.level > kMaxLevel) return "has a level above 63";
  if (exclusive > 1) return "has an unknown flag";
  if (meta.smallest > meta.largest) return "has its smallest key above its largest";
  if (meta.largest_exclusive && meta.smallest == meta.largest) return "has an empty key range";
  if (meta.min_sequence > meta.max_sequence || meta.max_sequence > kMaxSequence) return "has bad sequences";
  if (meta.deletions > meta.entries) return "has more deletions than entries";
  return nullptr;
}

Complaint ReadTable(std::string_view in, ManifestTable* table) {
  TableMeta& meta = table->meta;
  std::string_view smallest, largest;
  uint64_t exclusive;
  if (!GetVarint32(&in, &table->family) || !GetVarint32(&in, &table->level) || !GetVarint(&in, &table->run) ||
      !GetVarint(&in, &meta.number) || !GetVarint(&in, &meta.file_bytes) || !GetBytes(&in, &smallest) ||
      !GetBytes(&in, &largest) || !GetVarint(&in, &exclusive) || !GetVarint(&in, &meta.min_sequence) ||
      !GetVarint(&in, &meta.max_sequence) || !GetVarint(&in, &meta.entries) || !GetVarint(&in, &meta.deletions) ||
      !GetVarint(&in, &meta.range_deletions) || !GetVarint(&in, &meta.raw_bytes)) {
    return kShort;
  }
  if (!in.empty()) return "has bytes left over";
  meta.smallest.assign(smallest);
  meta.largest.assign(largest);
  meta.largest_exclusive = exclusive == 1;
  return CheckTable(*table, exclusive);
}

Complaint ReadScalar(uint64_t tag, std::string_view payload, ManifestRecord* record) {
  switch (tag) {
    case kNumber: return ReadNumber(payload, &record->number);
    case kBase: return ReadNumber(payload, &record->base);
    case kEpoch: return ReadNumber(payload, &record->epoch);
    case kWriter: return ReadString(payload, &record->writer);
    case kStoreId: return ReadString(payload, &record->store_id);
    case kNextTable: return ReadNumber(payload, &record->next_table);
    case kNextRun: return ReadNumber(payload, &record->next_run);
    case kNextFamily: {
      uint64_t wide = 0;
      if (Complaint complaint = ReadNumber(payload, &wide)) return complaint;
      if (wide > UINT32_MAX) return "is above 32 bits";
      record->next_family = static_cast<uint32_t>(wide);
      return nullptr;
    }
    case kLastSequence: return ReadNumber(payload, &record->last_sequence);
    case kFirstWal: return ReadNumber(payload, &record->first_wal);
    default: return ReadNumber(payload, &record->durable_sequence);
  }
}

Complaint ReadListed(uint64_t tag, std::string_view payload, ManifestRecord* record) {
  switch (tag) {
    case kFamilyAdded: return ReadFamily(payload, &record->families_added.emplace_back());
    case kFamilyDropped: {
      uint64_t wide = 0;
      if (Complaint complaint = ReadNumber(payload, &wide)) return complaint;
      if (wide > UINT32_MAX) return "is above 32 bits";
      record->families_dropped.push_back(static_cast<uint32_t>(wide));
      return nullptr;
    }
    case kTableAdded: return ReadTable(payload, &record->tables_added.emplace_back());
    case kTableRemoved: return ReadNumber(payload, &record->tables_removed.emplace_back());
    case kSnapshotAdded: return ReadSnapshot(payload, &record->snapshots_added.emplace_back());
    default: return ReadString(payload, &record->snapshots_dropped.emplace_back());
  }
}

// What the fields of one record must agree on.
Complaint CheckRecord(const ManifestRecord& record, uint64_t number) {
  if (record.number != number) return "the number inside is not the one in the name";
  if (record.base > record.number) return "its base is a later record";
  if (record.store_id.size() != kStoreIdBytes) return "the store id is not 16 bytes";
  if (record.last_sequence > kMaxSequence) return "the last sequence is above 56 bits";
  if (record.durable_sequence > kMaxSequence) return "the durable sequence is above 56 bits";
  if (record.full() &&
      !(record.families_dropped.empty() && record.tables_removed.empty() && record.snapshots_dropped.empty())) {
    return "a full state removes something";
  }
  for (const ManifestFamily& family : record.families_added) {
    if (family.id >= record.next_family) return "a column family has an id that is still to be given out";
  }
  for (const ManifestTable& table : record.tables_added) {
    if (table.meta.number >= record.next_table) return "a table has a number that is still to be given out";
    if (table.run >= record.next_run) return "a table is in a run that is still to be given out";
  }
  for (const ManifestSnapshot& snapshot : record.snapshots_added) {
    if (snapshot.sequence > kMaxSequence) return "a snapshot's sequence is above 56 bits";
  }
  return nullptr;
}

class Decoder {
 public:
  Decoder(std::string_view bytes, uint64_t number) : bytes_(bytes), number_(number) {}

  Result<ManifestRecord> Run() {
    if (bytes_.size() < kHeaderBytes + kChecksumBytes) return Bad(bytes_.size(), "ends before its first field");
    if (bytes_.substr(0, kMagic.size()) != kMagic) return Bad(0, "is not a manifest record");
    const size_t body_bytes = bytes_.size() - kChecksumBytes;
    const std::string_view body = bytes_.substr(0, body_bytes);
    if (DecodeFixed64(bytes_.data() + body_bytes) != Checksum(body, number_)) {
      return Bad(body_bytes, "its checksum is wrong: the bytes changed, or belong to another record");
    }
    // The checksum is right, so an unknown version or tag is not damage but a newer writer.
    const uint32_t version = DecodeFixed32(bytes_.data() + kMagic.size());
    if (version != kVersion) return TooNew(kMagic.size(), "version " + std::to_string(version));

    ManifestRecord record;
    TARN_TRY(ReadFields(body.substr(kHeaderBytes), body_bytes, &record));
    if (Complaint complaint = CheckRecord(record, number_)) return Bad(kHeaderBytes, complaint);
    return record;
  }

 private:
  Status ReadFields(std::string_view in, size_t body_bytes, ManifestRecord* record) const {
    uint64_t last_tag = 0;
    while (!in.empty()) {
      const size_t offset = body_bytes - in.size();
      uint64_t tag;
      std::string_view payload;
      if (!GetVarint(&in, &tag) || !GetBytes(&in, &payload)) return Bad(offset, "a field ends early");
      const bool scalar = tag <= kLastScalar;
      if (tag > kSnapshotDropped || (tag > kLastScalar && tag < kFamilyAdded)) {
        return TooNew(offset, "field " + std::to_string(tag));
      }
      // Up to the last scalar each tag is the one after its predecessor; the lists follow in ascending order.
      if (scalar ? tag != last_tag + 1 : tag < last_tag || last_tag < kLastScalar) {
        return Bad(offset, "field " + std::to_string(tag) + " is out of order");
      }
      last_tag = tag;
      const Complaint complaint = scalar ? ReadScalar(tag, payload, record) : ReadListed(tag, payload, record);
      if (complaint != nullptr) return Bad(offset, "field " + std::to_string(tag) + " " + complaint);
    }
    return last_tag < kLastScalar ? Bad(body_bytes, "fields are missing") : Status();
  }

  Status Bad(size_t offset, const std::string& what) const {
    return Status::Corruption(ManifestBlobName(number_) + ", byte " + std::to_string(offset) + ": " + what +
                              std::string(kRepairStep));
  }
  Status TooNew(size_t offset, const std::string& what) const {
    return Status::Unsupported(ManifestBlobName(number_) + ", byte " + std::to_string(offset) + ": " + what +
                               " is unknown here, a newer Tarn wrote it; open the store with that release");
  }

  std::string_view bytes_;
  uint64_t number_;
};

}  // namespace

std::string ManifestBlobName(uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "manifest/%016llx", static_cast<unsigned long long>(number));
  return name;
}

std::string EncodeManifestRecord(const ManifestRecord& record) {
  // A record that could not be read back must never be published: whatever follows it would be lost.
  const Complaint complaint = CheckRecord(record, record.number);
  if (complaint != nullptr) CheckFailed(__FILE__, __LINE__, complaint);

  std::string out(kMagic);
  PutFixed32(&out, kVersion);
  PutNumberField(&out, kNumber, record.number);
  PutNumberField(&out, kBase, record.base);
  PutNumberField(&out, kEpoch, record.epoch);
  PutField(&out, kWriter, record.writer);
  PutField(&out, kStoreId, record.store_id);
  PutNumberField(&out, kNextTable, record.next_table);
  PutNumberField(&out, kNextRun, record.next_run);
  PutNumberField(&out, kNextFamily, record.next_family);
  PutNumberField(&out, kLastSequence, record.last_sequence);
  PutNumberField(&out, kFirstWal, record.first_wal);
  PutNumberField(&out, kDurableSequence, record.durable_sequence);

  for (const ManifestFamily& family : record.families_added) {
    std::string payload;
    PutVarint(&payload, family.id);
    PutBytes(&payload, family.name);
    PutField(&out, kFamilyAdded, payload);
  }
  for (uint32_t id : record.families_dropped) PutNumberField(&out, kFamilyDropped, id);
  for (const ManifestTable& table : record.tables_added) {
    if (Complaint bad = CheckTable(table, 0)) CheckFailed(__FILE__, __LINE__, bad);
    PutField(&out, kTableAdded, EncodeTable(table));
  }
  for (uint64_t number : record.tables_removed) PutNumberField(&out, kTableRemoved, number);
  for (const ManifestSnapshot& snapshot : record.snapshots_added) {
    std::string payload;
    PutBytes(&payload, snapshot.name);
    PutVarint(&payload, snapshot.sequence);
    PutVarint(&payload, snapshot.created_wall_nanos);
    PutField(&out, kSnapshotAdded, payload);
  }
  for (const std::string& name : record.snapshots_dropped) PutField(&out, kSnapshotDropped, name);
  PutFixed64(&out, Checksum(out, record.number));
  return out;
}

Result<ManifestRecord> DecodeManifestRecord(std::string_view bytes, uint64_t number) {
  return Decoder(bytes, number).Run();
}

}  // namespace tarn
