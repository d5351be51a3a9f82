// Whole tables. `table` reads the input as the bytes of table 7 (mutations are resealed); `table_parts` puts payloads
// from the input into a frame with right checksums: data blocks, filter, ranges, indexes and properties.
//
// What must hold: opening, verifying, scanning and probing end. If Verify says that the table is sound, then the scan
// is the same in both directions and strictly ascends, and each probe and each seek agrees with it.
#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/coding.h"
#include "base/hash.h"
#include "format/compress.h"
#include "format/table.h"
#include "format/table_layout.h"
#include "tests/fuzz/reseal.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"
#include "tests/support/mem_backend.h"

namespace tarn::fuzz {
namespace {

constexpr std::string_view kStore = "0123456789abcdef";
constexpr uint64_t kNumber = 7;
constexpr size_t kMostMoves = 3000;  // a hostile index may lead to one block thousands of times

// Keeps each block it has read, so a run reads a block once.
class Source final : public BlockSource {
 public:
  BlockRef Lookup(const Table&, BlockHandle handle) override {
    const auto found = kept_.find({handle.offset, handle.stored_bytes});
    return found == kept_.end() ? nullptr : found->second;
  }
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override {
    if (BlockRef block = Lookup(table, handle)) return block;
    std::string stored(handle.stored_bytes, '\0');
    TARN_TRY(table.blob().Read(handle.offset, stored));
    TARN_ASSIGN(BlockRef block, table.DecodeBlock(handle, stored));
    kept_[{handle.offset, handle.stored_bytes}] = block;
    return block;
  }
  void Prefetch(const Table&, std::span<const BlockHandle>) override {}

 private:
  std::map<std::pair<uint64_t, uint32_t>, BlockRef> kept_;
};

using Entries = std::vector<std::pair<std::string, std::string>>;

// Nothing when the scan ended in an error, or did not end soon.
std::optional<Entries> Scan(const Table& table, Source& source, bool forward) {
  Entries entries;
  const auto cursor = table.NewCursor(source);
  forward ? cursor->SeekToFirst() : cursor->SeekToLast();
  for (; cursor->valid() && entries.size() < kMostMoves; forward ? cursor->Next() : cursor->Prev()) {
    entries.emplace_back(cursor->key(), cursor->value());
  }
  if (cursor->valid() || !cursor->status().ok()) return std::nullopt;
  if (!forward) std::reverse(entries.begin(), entries.end());
  return entries;
}

void Drive(TableProbe* probe, const Table& table, Source& source, std::string_view key, Sequence snapshot) {
  probe->Start(&table, key, snapshot);
  while (probe->Run(source) == TableProbe::Step::kNeedBlock) probe->Supply(source.Load(table, probe->wanted()));
}

void CheckSound(const Table& table, Source& source) {
  const std::optional<Entries> entries = Scan(table, source, true);
  MUST(entries.has_value() || table.entries() >= kMostMoves, "a verified table does not read");
  if (!entries) return;
  MUST(entries->size() == table.entries(), "a verified table has another number of entries");
  MUST(Scan(table, source, false) == entries, "a verified table reads differently backward");
  const auto cursor = table.NewCursor(source);
  TableProbe probe;
  const size_t step = entries->size() / 64 + 1;
  for (size_t i = 0; i < entries->size(); i += step) {
    const std::string &key = (*entries)[i].first, &value = (*entries)[i].second;
    MUST(i == 0 || CompareInternalKeys((*entries)[i - 1].first, key) < 0, "a verified table is out of order");
    cursor->Seek(key);
    MUST(cursor->valid() && cursor->key() == key && cursor->value() == value, "a seek misses an entry");
    Drive(&probe, table, source, UserKeyOf(key), SequenceOf(key));
    // Of two kinds with one sequence the higher comes first.
    const bool shadowed = i > 0 && UserKeyOf((*entries)[i - 1].first) == UserKeyOf(key) &&
                          SequenceOf((*entries)[i - 1].first) == SequenceOf(key);
    MUST(probe.status().ok() && probe.present() && probe.sequence() == SequenceOf(key), "a probe misses an entry");
    MUST(shadowed || (probe.kind() == KindOf(key) && probe.value() == value), "a probe finds another value");
    if (SequenceOf(key) == 0 || i + 1 == entries->size()) continue;
    Drive(&probe, table, source, UserKeyOf(key), SequenceOf(key) - 1);
    const auto next = std::find_if(entries->begin() + static_cast<ptrdiff_t>(i), entries->end(), [&](const auto& e) {
      return CompareInternalKeys(e.first, SeekKey(UserKeyOf(key), SequenceOf(key) - 1)) >= 0;
    });
    const bool older = next != entries->end() && UserKeyOf(next->first) == UserKeyOf(key);
    MUST(probe.status().ok() && probe.present() == older, "a probe and the scan disagree about an older version");
    MUST(!older || probe.sequence() == SequenceOf(next->first), "a probe finds another version than the scan");
  }
}

void CheckError(const Status& status) {
  MUST(status.code() == Code::kCorruption || status.code() == Code::kUnsupported, status.ToString());
  MUST(status.message().find("table/0000000000000007") != std::string_view::npos, status.ToString());
  MUST(status.message().find("; ") != std::string_view::npos, "no next step: " + status.ToString());
}

void ReadTable(std::string_view bytes) {
  test::MemBackend backend;
  MUST(backend.PutIfAbsent(TableBlobName(kNumber), bytes).ok(), "memory does not take a blob");
  const auto opened = Table::Open(backend, kStore, kNumber, bytes.size());
  if (!opened.ok()) return CheckError(opened.status());
  const Table& table = **opened;
  Source source;
  const Status verified = table.Verify(source);
  if (verified.ok()) return CheckSound(table, source);
  CheckError(verified);
  const Result<TableMeta> meta = table.ReadProperties(source);
  if (!meta.ok()) CheckError(meta.status());
  const auto entries = Scan(table, source, true);
  Scan(table, source, false);
  TableProbe probe;
  const auto cursor = table.NewCursor(source);
  for (const std::string& key :
       {std::string(), std::string("key"),
        entries && !entries->empty() ? std::string(UserKeyOf(entries->back().first)) : std::string("\xff")}) {
    Drive(&probe, table, source, key, kMaxSequence);
    if (!probe.status().ok()) CheckError(probe.status());
    cursor->Seek(SeekKey(key, kMaxSequence));
    if (cursor->valid()) cursor->Prev();
    if (!cursor->status().ok()) CheckError(cursor->status());
    table.range_tombstones().NewestCover(key, kMaxSequence);
  }
}

// A table file that grows block by block.
class Frame {
 public:
  // The first byte of a section is its compression byte, the rest its payload.
  BlockHandle Add(std::string_view section) {
    if (section.empty()) return {};
    const BlockHandle handle{file_.size(), static_cast<uint32_t>(section.size() + 8)};
    file_ += section.substr(1);
    file_ += static_cast<char>(section[0] % 4);
    PutFixed64(&file_, PlacedChecksum(std::string_view(file_).substr(handle.offset), TableIdentity(kStore, kNumber),
                                      handle.offset));
    return handle;
  }
  size_t size() const { return file_.size(); }
  std::string Finish(TableFooter footer) {
    footer.store_id = kStore;
    footer.number = kNumber;
    return file_ + EncodeFooter(footer, file_.size());
  }

 private:
  std::string file_;
};

// The last key of a data block, which is its separator.
std::string LastKey(std::string_view section) {
  Result<BlockRef> block = DecompressBlock(static_cast<uint8_t>(section[0] % 4), section.substr(1));
  if (!block.ok()) return {};
  BlockCursor cursor;
  cursor.Reset(std::move(*block));
  cursor.SeekToLast();
  return cursor.valid() ? std::string(cursor.key()) : std::string();
}

// An index over `blocks`, sealed as one block; keys that do not ascend are left out.
BlockHandle AddIndex(Frame* frame, const std::vector<std::pair<std::string, BlockHandle>>& blocks,
                     std::string* last) {
  BlockBuilder builder(kIndexRestartInterval);
  for (const auto& [key, handle] : blocks) {
    if (key.size() < kTrailerBytes || (!last->empty() && CompareInternalKeys(*last, key) >= 0)) continue;
    std::string value;
    PutHandle(&value, handle);
    builder.Add(key, value);
    *last = key;
  }
  return builder.empty() ? BlockHandle{} : frame->Add(std::string(1, '\0') + std::string(builder.Finish()));
}

}  // namespace

void RunTable(std::string_view input) { ReadTable(input); }

void ResealTable(std::string* input, uint64_t) { ResealTableFile(kStore, kNumber, input); }

// Sections: control, filter, ranges, properties, a whole index partition (empty: built from the blocks), data blocks.
void RunTableParts(std::string_view input) {
  std::vector<std::string> sections = SplitSections(input, 16);
  if (sections.size() < 5) return;
  Input control(sections[0]);
  Frame frame;
  TableFooter footer;
  footer.entries = control.Byte();
  std::vector<std::pair<std::string, BlockHandle>> blocks;
  for (size_t i = 5; i < sections.size(); ++i) {
    if (sections[i].empty()) continue;
    blocks.emplace_back(LastKey(sections[i]), frame.Add(sections[i]));
  }
  footer.filter = frame.Add(sections[1]);
  footer.ranges = frame.Add(sections[2]);
  std::string last;
  const BlockHandle partition = sections[4].empty() ? AddIndex(&frame, blocks, &last) : frame.Add(sections[4]);
  if (!sections[4].empty()) last = LastKey(sections[4]);
  std::string top_last;
  footer.index = AddIndex(&frame, {{last, partition}}, &top_last);
  footer.properties = frame.Add(sections[3].empty() ? std::string(1, '\0') : sections[3]);
  ReadTable(frame.Finish(footer));
}

}  // namespace tarn::fuzz
