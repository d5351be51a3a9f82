// The fixed parts of a table file, shared by its builder and its readers. Bytes: docs/formats/table.md.
//
//   stored block := payload, compression byte, PlacedChecksum(payload and compression byte) fixed64
//   index value  := varint offset, varint stored bytes
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/block.h"
#include "format/table.h"

namespace tarn {

inline constexpr std::string_view kTableMagic = "tarn.tbl";
inline constexpr uint32_t kTableVersion = 1;
inline constexpr size_t kStoreIdBytes = 16;
inline constexpr size_t kChecksumBytes = 8;
inline constexpr size_t kBlockTrailerBytes = 1 + kChecksumBytes;
inline constexpr size_t kFooterBytes = 100;

inline constexpr int kDataRestartInterval = 16;  // prefix compression against at most 15 parses a seek
inline constexpr int kIndexRestartInterval = 1;  // every key whole: an index block is binary search only

struct TableFooter {
  std::string store_id;
  uint64_t number = 0;
  BlockHandle filter, ranges, index, properties;  // stored_bytes 0: the table has none
  uint64_t entries = 0;
};

// What checksums are seeded with: a block of another store or table does not verify.
uint64_t TableIdentity(std::string_view store_id, uint64_t number);

// "table/...: block at offset N (M bytes): <what>; <next step>".
Status BlockCorruption(uint64_t number, BlockHandle handle, std::string_view what);

void PutHandle(std::string* out, BlockHandle handle);
bool GetHandle(std::string_view* in, BlockHandle* handle);

// `offset` is the footer's place in the file.
std::string EncodeFooter(const TableFooter& footer, uint64_t offset);
// Checks magic, checksum and version, and that the footer belongs to `store_id` and `number`.
Result<TableFooter> DecodeFooter(std::string_view bytes, uint64_t offset, std::string_view store_id, uint64_t number);

// The properties block carries the owner and all of TableMeta but number and file_bytes, which footer and file say.
std::string EncodeProperties(const TableMeta& meta, const TableOwner& owner);
bool DecodeProperties(std::string_view bytes, TableMeta* meta, TableOwner* owner);

}  // namespace tarn
