// A damaged table, read as far as it goes. For repair; everyone else reads through format/table.h, which refuses a
// table with a damaged footer, index or tombstone block as a whole.
//
// A data block is found in one of two ways:
//   - the index leads to it, as far as the index reads back;
//   - else blocks are found by themselves: they follow each other without gaps, and where one ends shows by its
//     checksum, which is that of no other end. (docs/formats/table.md)
// The second way bridges a lost index partition, a lost top index, a lost footer and a file that was cut off. It ends
// at the first block that is damaged too. It needs to know how many entries the table has, so as not to take an index
// block for data: the footer says it, or the manifest, or the properties, which are the last block.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/table_layout.h"
#include "kernel/repair_losses.h"
#include "kernel/repair_source.h"
#include "tarn/sdk/cursor.h"

namespace tarn::kernel {

// What a look at footer, properties and tombstones has told.
struct FoundTable {
  uint64_t number = 0;
  uint64_t blob_bytes = 0;
  std::optional<TableFooter> footer;
  uint64_t footer_at = 0;  // where it is, or should be
  std::optional<TableOwner> owner;
  std::optional<TableMeta> meta;  // the manifest's, else that of the properties
  std::vector<RangeTombstone> tombstones;

  // Where the data blocks end at the latest, and how many entries they hold.
  uint64_t data_end() const;
  std::optional<uint64_t> entries() const;
};

class TableSalvage {
 public:
  TableSalvage(RepairSource& source, std::string store_id, RepairLosses* losses)
      : source_(source), store_id_(std::move(store_id)), losses_(losses) {}

  // `named`: what a manifest record says of it, or null. Nothing when the table is of no use; that was reported.
  std::optional<FoundTable> Look(uint64_t number, uint64_t blob_bytes, const TableMeta* named,
                                 const TableOwner* owner) const;
  // Walks the entries that read back, and reports what does not. Only SeekToFirst (once) and Next. The table
  // outlives it, and so do the counters.
  std::unique_ptr<Cursor> NewCursor(const FoundTable& table, uint64_t* blocks_read, uint64_t* bytes_read) const;

 private:
  void FindTombstones(class BlockFinder& blocks, FoundTable* table) const;

  RepairSource& source_;
  const std::string store_id_;
  RepairLosses* const losses_;
};

// A loss over all keys of the table, as far as they are known.
RepairLoss WholeTable(uint64_t number, const std::optional<TableMeta>& meta, const std::optional<TableOwner>& owner,
                      std::string reason);

}  // namespace tarn::kernel
