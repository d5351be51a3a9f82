// What the table tests share: entries, a way to build and read a table over MemBackend, and a BlockSource over
// a plain blob that counts what it is asked.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "format/table.h"
#include "format/table_builder.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {

inline constexpr std::string_view kStoreId = "0123456789abcdef";

struct InternalOrder {
  bool operator()(const std::string& a, const std::string& b) const { return CompareInternalKeys(a, b) < 0; }
};
using Entries = std::map<std::string, std::string, InternalOrder>;  // internal key -> value

inline void Put(Entries* entries, std::string_view key, Sequence sequence, std::string value) {
  (*entries)[MakeInternalKey(key, sequence, Kind::kPut)] = std::move(value);
}
inline void Delete(Entries* entries, std::string_view key, Sequence sequence) {
  (*entries)[MakeInternalKey(key, sequence, Kind::kDelete)] = "";
}

inline Result<TableMeta> BuildTable(Backend& backend, uint64_t number, const Entries& entries,
                                    const std::vector<RangeTombstone>& tombstones, const TableOptions& options) {
  TARN_ASSIGN(auto builder, TableBuilder::Create(backend, kStoreId, number, options));
  for (const auto& [key, value] : entries) TARN_TRY(builder->Add(key, value));
  for (const RangeTombstone& tombstone : tombstones) builder->AddRangeTombstone(tombstone);
  return builder->Finish();
}

struct Built {
  std::shared_ptr<MemBackend> backend = std::make_shared<MemBackend>();
  TableMeta meta;
  std::shared_ptr<Table> table;
};
inline Built Build(const Entries& entries, const std::vector<RangeTombstone>& tombstones = {},
                   TableOptions options = {}) {
  Built built;
  auto meta = BuildTable(*built.backend, 7, entries, tombstones, options);
  EXPECT_TRUE(meta.ok()) << meta.status().ToString();
  built.meta = meta.value();
  auto table = Table::Open(*built.backend, kStoreId, 7, built.meta.file_bytes);
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  built.table = std::move(table).value();
  return built;
}
inline std::string Key(int i) {
  char key[32];
  std::snprintf(key, sizeof(key), "key%06d", i);
  return key;
}
inline Entries Numbered(int count, size_t value_bytes = 20) {
  Entries entries;
  for (int i = 0; i < count; ++i) Put(&entries, Key(i), 5, std::string(value_bytes, static_cast<char>('a' + i % 26)));
  return entries;
}
// Keys with several versions, deletions, shared and unshared prefixes, bytes above 0x7f, the empty key.
inline Entries Mixed(uint32_t seed, int count) {
  std::mt19937 rng(seed);
  Entries entries;
  Put(&entries, "", 3, "empty");
  for (int i = 0; i < count; ++i) {
    std::string key;
    for (uint32_t n = rng() % 6; n > 0; --n)
      key.push_back(
          "\x00"
          "a\x7f\x80\xff"[rng() % 5]);
    if (rng() % 3 == 0) key = Key(static_cast<int>(rng() % 500));
    const Sequence sequence = 1 + rng() % 40;
    if (entries.contains(MakeInternalKey(key, sequence, Kind::kDelete)) ||
        entries.contains(MakeInternalKey(key, sequence, Kind::kPut))) {
      continue;
    }
    if (rng() % 4 == 0) {
      Delete(&entries, key, sequence);
    } else {
      Put(&entries, key, sequence, std::string(rng() % 50, 'v') + std::to_string(i));
    }
  }
  return entries;
}

// Reads from the table's own blob. With `keep`, blocks stay and Lookup finds them.
class BlobSource final : public BlockSource {
 public:
  explicit BlobSource(bool keep = false) : keep_(keep) {}

  BlockRef Lookup(const Table&, BlockHandle handle) override {
    const auto it = kept_.find(handle.offset);
    return it == kept_.end() ? nullptr : it->second;
  }
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override {
    if (BlockRef block = Lookup(table, handle)) return block;
    loads.push_back(handle.offset);
    if (!fail_loads.ok()) return fail_loads;
    std::string stored(handle.stored_bytes, '\0');
    TARN_TRY(table.blob().Read(handle.offset, stored));
    TARN_ASSIGN(BlockRef block, table.DecodeBlock(handle, stored));
    if (keep_) kept_[handle.offset] = block;
    stored_ = stored;
    return block;
  }
  std::string_view Stored(const Table&, BlockHandle) const override { return stored_; }
  void Prefetch(const Table&, std::span<const BlockHandle> handles) override {
    hints.emplace_back();
    for (const BlockHandle handle : handles) hints.back().push_back(handle.offset);
  }

  std::vector<uint64_t> loads;               // offsets that were read from the blob
  std::vector<std::vector<uint64_t>> hints;  // offsets of each Prefetch
  Status fail_loads;

 private:
  bool keep_;
  std::string stored_;  // of the block that was read last
  std::map<uint64_t, BlockRef> kept_;
};

// Runs a probe to its end; blocks that are not in memory are loaded.
inline void Drive(TableProbe* probe, const Table& table, BlockSource& source, std::string_view user_key,
                  Sequence snapshot) {
  probe->Start(&table, user_key, snapshot);
  while (probe->Run(source) == TableProbe::Step::kNeedBlock) probe->Supply(source.Load(table, probe->wanted()));
}

// "put@7=red", "delete@3", "absent" or the error: one line that two answers can be compared by.
inline std::string Answer(const TableProbe& probe) {
  if (!probe.status().ok()) return probe.status().ToString();
  if (!probe.present()) return "absent";
  const std::string at = "@" + std::to_string(probe.sequence());
  return probe.kind() == Kind::kDelete ? "delete" + at : "put" + at + "=" + std::string(probe.value());
}
// The same from the entries themselves.
inline std::string ExpectedAnswer(const Entries& entries, std::string_view user_key, Sequence snapshot) {
  const auto it = entries.lower_bound(SeekKey(user_key, snapshot));
  if (it == entries.end() || UserKeyOf(it->first) != user_key) return "absent";
  const std::string at = "@" + std::to_string(SequenceOf(it->first));
  return KindOf(it->first) == Kind::kDelete ? "delete" + at : "put" + at + "=" + it->second;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline Result<Pairs> ScanForward(const Table& table, BlockSource& source) {
  Pairs pairs;
  const auto cursor = table.NewCursor(source);
  for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) pairs.emplace_back(cursor->key(), cursor->value());
  if (!cursor->status().ok()) return cursor->status();
  return pairs;
}
inline Result<Pairs> ScanBackward(const Table& table, BlockSource& source) {
  Pairs pairs;
  const auto cursor = table.NewCursor(source);
  for (cursor->SeekToLast(); cursor->valid(); cursor->Prev()) pairs.emplace_back(cursor->key(), cursor->value());
  if (!cursor->status().ok()) return cursor->status();
  return pairs;
}

}  // namespace tarn::test
