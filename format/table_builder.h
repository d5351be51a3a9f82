// TableBuilder: writes one table from entries in order. Bytes: docs/formats/table.md.
//
// Memory: one data block, the index (about 1 % of the table), 8 bytes a key for the filter, and the tombstones.
// Threads: one at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "format/table.h"

namespace tarn {

struct TableOptions {
  uint32_t block_bytes = 4096;
  Compression compression = Compression::kLz4;
  uint32_t filter_bits_per_key = 10;
  TableOwner owner = {};
};

class TableBuilder {
 public:
  static Result<std::unique_ptr<TableBuilder>> Create(Backend& backend, std::string_view store_id, uint64_t number,
                                                      const TableOptions& options);
  ~TableBuilder();  // without Finish: the table never existed

  // REQUIRES: internal keys strictly ascend. `stored` is Cursor::stored() of the entry: where it fills a block and
  // the compression is the same, these bytes are taken over.
  Status Add(std::string_view internal_key, std::string_view value, std::string_view stored = {});
  // Any order, before Finish. Widens the table's key range.
  void AddRangeTombstone(const RangeTombstone& tombstone);
  // Bytes the file would have now: the sum of written blocks and the open one.
  uint64_t size_estimate() const;
  bool empty() const;                  // neither entries nor tombstones
  uint64_t blocks_taken_over() const;  // of entries that came with their stored form
  // Durable and published when it returns OK. REQUIRES: !empty()
  Result<TableMeta> Finish();

 private:
  struct Rep;
  explicit TableBuilder(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tarn
