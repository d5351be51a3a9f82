#include "format/table_layout.h"

#include <cstdio>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/next_step.h"

namespace tarn {
namespace {

constexpr size_t kChecksummedFooterBytes = kFooterBytes - 8 - kTableMagic.size();
static_assert(kStoreIdBytes + 8 + 4 * (8 + 4) + 8 + 4 == kChecksummedFooterBytes);

Status FooterCorruption(uint64_t number, uint64_t offset, std::string_view what) {
  return Status::Corruption(TableBlobName(number) + ": footer at offset " + std::to_string(offset) + ": " +
                            std::string(what));
}

void PutFixedHandle(std::string* out, BlockHandle handle) {
  PutFixed64(out, handle.offset);
  PutFixed32(out, handle.stored_bytes);
}
bool GetFixedHandle(std::string_view* in, BlockHandle* handle) {
  return GetFixed64(in, &handle->offset) && GetFixed32(in, &handle->stored_bytes);
}

}  // namespace

std::string TableBlobName(uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "table/%016llx", static_cast<unsigned long long>(number));
  return name;
}

uint64_t TableIdentity(std::string_view store_id, uint64_t number) {
  std::string identity(store_id);
  PutFixed64(&identity, number);
  return Hash64(identity);
}

Status BlockCorruption(uint64_t number, BlockHandle handle, std::string_view what) {
  return Status::Corruption(TableBlobName(number) + ": block at offset " + std::to_string(handle.offset) + " (" +
                            std::to_string(handle.stored_bytes) + " bytes): " + std::string(what) +
                            std::string(kRepairStep));
}

void PutHandle(std::string* out, BlockHandle handle) {
  PutVarint(out, handle.offset);
  PutVarint(out, handle.stored_bytes);
}
bool GetHandle(std::string_view* in, BlockHandle* handle) {
  return GetVarint(in, &handle->offset) && GetVarint32(in, &handle->stored_bytes);
}

std::string EncodeFooter(const TableFooter& footer, uint64_t offset) {
  CHECK(footer.store_id.size() == kStoreIdBytes);
  std::string out(footer.store_id);
  PutFixed64(&out, footer.number);
  for (const BlockHandle handle : {footer.filter, footer.ranges, footer.index, footer.properties}) {
    PutFixedHandle(&out, handle);
  }
  PutFixed64(&out, footer.entries);
  PutFixed32(&out, kTableVersion);
  PutFixed64(&out, PlacedChecksum(out, TableIdentity(footer.store_id, footer.number), offset));
  out.append(kTableMagic);
  CHECK(out.size() == kFooterBytes);
  return out;
}

Result<TableFooter> DecodeFooter(std::string_view bytes, uint64_t offset, std::string_view store_id,
                                 uint64_t number) {
  if (bytes.size() != kFooterBytes || bytes.substr(kFooterBytes - kTableMagic.size()) != kTableMagic) {
    return FooterCorruption(number, offset, "not the end of a table" + std::string(kRepairStep));
  }
  TableFooter footer;
  std::string_view in = bytes.substr(kStoreIdBytes);
  uint32_t version;
  uint64_t checksum;
  footer.store_id = bytes.substr(0, kStoreIdBytes);
  const bool whole = GetFixed64(&in, &footer.number) && GetFixedHandle(&in, &footer.filter) &&
                     GetFixedHandle(&in, &footer.ranges) && GetFixedHandle(&in, &footer.index) &&
                     GetFixedHandle(&in, &footer.properties) && GetFixed64(&in, &footer.entries) &&
                     GetFixed32(&in, &version) && GetFixed64(&in, &checksum);
  CHECK(whole);  // the size was compared above
  // The sum is seeded with the identity the footer itself claims, so that a sound table in the wrong place is
  // told apart from a damaged one.
  const uint64_t identity = TableIdentity(footer.store_id, footer.number);
  if (PlacedChecksum(bytes.substr(0, kChecksummedFooterBytes), identity, offset) != checksum) {
    return FooterCorruption(number, offset, "checksum mismatch" + std::string(kRepairStep));
  }
  if (footer.store_id != store_id || footer.number != number) {
    return FooterCorruption(
        number, offset,
        footer.store_id != store_id
            ? "it is a table of another store; put back the blob that belongs here"
            : "it is table " + std::to_string(footer.number) + "; put back the blob that belongs here");
  }
  if (version != kTableVersion) {
    return Status::Unsupported(TableBlobName(number) + ": table format version " + std::to_string(version) +
                               ", this build reads " + std::to_string(kTableVersion) + "; use a newer tarn");
  }
  return footer;
}

std::string EncodeProperties(const TableMeta& meta, const TableOwner& owner) {
  std::string out;
  for (const uint64_t v :
       {meta.entries, meta.deletions, meta.range_deletions, meta.raw_bytes, meta.min_sequence, meta.max_sequence}) {
    PutVarint(&out, v);
  }
  PutBytes(&out, meta.smallest);
  PutBytes(&out, meta.largest);
  out.push_back(meta.largest_exclusive ? 1 : 0);
  PutVarint(&out, owner.family);
  PutBytes(&out, owner.name);
  return out;
}

bool DecodeProperties(std::string_view bytes, TableMeta* meta, TableOwner* owner) {
  std::string_view in = bytes, smallest, largest, name;
  for (uint64_t* v : {&meta->entries, &meta->deletions, &meta->range_deletions, &meta->raw_bytes, &meta->min_sequence,
                      &meta->max_sequence}) {
    if (!GetVarint(&in, v)) return false;
  }
  if (!GetBytes(&in, &smallest) || !GetBytes(&in, &largest)) return false;
  if (in.empty() || static_cast<unsigned char>(in[0]) > 1) return false;
  meta->largest_exclusive = in[0] == 1;
  in.remove_prefix(1);
  if (!GetVarint32(&in, &owner->family) || !GetBytes(&in, &name) || !in.empty()) return false;
  meta->smallest = smallest;
  meta->largest = largest;
  owner->name = name;
  return true;
}

}  // namespace tarn
