// The parts of a table, each behind its checksum: entry blocks, compressed payloads, filters, the footer with the
// properties, and sets of range tombstones.
#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "base/coding.h"
#include "base/hash.h"
#include "format/block.h"
#include "format/compress.h"
#include "format/filter.h"
#include "format/range_tombstones.h"
#include "format/table_layout.h"
#include "tarn/sdk/internal_key.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"

namespace tarn::fuzz {
namespace {

struct Entry {
  std::string key, value;
  size_t offset = 0;
  bool whole = false;  // shares nothing with the key before it
  bool operator==(const Entry& other) const { return key == other.key && value == other.value; }
};

struct PlainBlock {
  std::vector<Entry> entries;  // up to the first that is malformed or out of order
  bool malformed = true;       // they ended at bytes that are no entry
  bool well_formed = false;    // entries and restart points are as docs/formats/table.md says
};

// A second reader of entry blocks, written from docs/formats/table.md for plainness instead of speed.
PlainBlock ReadPlainly(std::string_view bytes) {
  PlainBlock block;
  if (bytes.size() < 4) return block;
  const uint64_t count = DecodeFixed32(bytes.data() + bytes.size() - 4);
  if (count == 0 || count * 4 + 4 > bytes.size()) return block;
  const size_t end = bytes.size() - 4 - count * 4;
  std::string_view in = bytes.substr(0, end);
  std::string key;
  do {
    Entry entry{{}, {}, end - in.size(), false};
    uint32_t shared, unshared, value_bytes;
    if (!GetVarint32(&in, &shared) || !GetVarint32(&in, &unshared) || !GetVarint32(&in, &value_bytes)) return block;
    if (shared > key.size() || uint64_t{shared} + unshared < kTrailerBytes) return block;
    if (uint64_t{unshared} + value_bytes > in.size()) return block;
    key = key.substr(0, shared) + std::string(in.substr(0, unshared));
    entry.key = key;
    entry.value = in.substr(unshared, value_bytes);
    entry.whole = shared == 0;
    in.remove_prefix(unshared + value_bytes);
    if (!block.entries.empty() && CompareInternalKeys(block.entries.back().key, key) >= 0) {
      block.malformed = false;
      return block;
    }
    block.entries.push_back(std::move(entry));
  } while (!in.empty());
  block.malformed = false;
  for (uint64_t i = 0; i < count; ++i) {
    const size_t offset = DecodeFixed32(bytes.data() + end + i * 4);
    const auto at = std::find_if(block.entries.begin(), block.entries.end(),
                                 [&](const Entry& entry) { return entry.offset == offset; });
    if (at == block.entries.end() || !at->whole || (i == 0) != (offset == 0)) return block;
    if (i > 0 && offset <= DecodeFixed32(bytes.data() + end + i * 4 - 4)) return block;
  }
  block.well_formed = true;
  return block;
}

Entry Current(const BlockCursor& cursor) { return {std::string(cursor.key()), std::string(cursor.value())}; }

// Everything a cursor can do on bytes that may be anything: it ends, and any answer or error will do.
void WalkAnything(BlockCursor* cursor, std::string_view target, size_t entries) {
  cursor->Seek(target);
  for (size_t i = 0; i < 8 && cursor->valid(); ++i) cursor->Prev();
  cursor->SeekToLast();
  for (size_t i = 0; i <= entries && cursor->valid(); ++i) cursor->Prev();
}

}  // namespace

void RunBlock(std::string_view input) {
  const PlainBlock plain = ReadPlainly(input);
  const std::vector<Entry>& entries = plain.entries;
  BlockCursor cursor;
  cursor.Reset(Block::Copy(input));
  size_t n = 0;
  for (cursor.SeekToFirst(); cursor.valid() && n < entries.size(); cursor.Next(), ++n) {
    MUST(Current(cursor) == entries[n], "entry " + std::to_string(n) + " is another than its bytes say");
  }
  MUST(n == entries.size(), "an entry is missing");
  MUST(!plain.malformed || (!cursor.valid() && !cursor.status().ok()), "bytes that are no entry are shown as one");
  if (!plain.well_formed) {
    WalkAnything(&cursor, input.size() < kTrailerBytes ? SeekKey("k", 1) : std::string(input.substr(0, 12)), 2048);
    return;
  }
  MUST(cursor.status().ok() && !cursor.valid(), "a sound block does not end");
  cursor.SeekToLast();
  for (; n > 0; --n, cursor.Prev())
    MUST(cursor.valid() && Current(cursor) == entries[n - 1], "backward, another entry");
  MUST(!cursor.valid() && cursor.status().ok(), "backward, a sound block does not end");
  BlockBuilder builder(kDataRestartInterval);
  for (const Entry& entry : entries) {
    cursor.Seek(entry.key);
    MUST(cursor.valid() && Current(cursor) == entry, "a seek misses its key");
    builder.Add(entry.key, entry.value);
  }
  cursor.Reset(Block::Copy(builder.Finish()));
  for (cursor.SeekToFirst(); cursor.valid(); cursor.Next(), ++n) {
    MUST(n < entries.size() && Current(cursor) == entries[n], "rebuilt, another entry");
  }
  MUST(n == entries.size(), "rebuilt, an entry is missing");
}

void RunCompressed(std::string_view input) {
  Input in(input);
  const uint8_t method = in.Byte();
  const std::string_view stored = in.Rest();
  const Result<BlockRef> block = DecompressBlock(method, stored);
  if (!block.ok()) {
    MUST(block.status().code() == Code::kCorruption, block.status().ToString());
    return;
  }
  const std::string_view payload = (*block)->bytes();
  if (payload.size() > (1 << 16)) return;  // keeps the runs fast; small ones reach the same code
  for (const Compression with : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    std::string packed;
    const Compression used = BlockCompressor(with).Append(payload, &packed);
    const Result<BlockRef> again = DecompressBlock(static_cast<uint8_t>(used), packed);
    MUST(again.ok() && (*again)->bytes() == payload, "compressed and back, other bytes");
  }
}

// Filter bytes from the input may answer anything; a filter that was built answers true for each of its keys.
void RunFilter(std::string_view input) {
  Input in(input);
  const uint32_t bits = in.Below(40);
  std::vector<std::string_view> keys;
  for (uint32_t n = in.Below(32); n > 0; --n) keys.push_back(in.Short());
  const std::string_view hostile = in.Rest();
  FilterBuilder builder(bits);
  for (const std::string_view key : keys) builder.Add(key);
  const std::string filter = builder.Finish();
  const bool readable =
      hostile.size() >= 65 && hostile.size() % 64 == 1 && hostile.back() >= 1 && hostile.back() <= 30;
  for (const std::string_view key : keys) {
    MUST(FilterMayContain(filter, key), "a filter denies its own key");
    MUST(FilterMayContain(hostile, key) || readable, "malformed filter bytes deny a key");
  }
}

// The footer (with its checksum put right) and the properties.
void RunProperties(std::string_view input) {
  constexpr std::string_view kStore = "0123456789abcdef";
  Input in(input);
  std::string footer(in.Bytes(kFooterBytes));
  footer.resize(kFooterBytes);
  const uint64_t place = in.Below(1000);
  footer.replace(0, kStoreIdBytes, kStore);
  footer.replace(kFooterBytes - kTableMagic.size(), kTableMagic.size(), kTableMagic);
  const uint64_t number = DecodeFixed64(footer.data() + kStoreIdBytes);
  std::string sum;
  const std::string_view summed = std::string_view(footer).substr(0, kFooterBytes - 16);
  PutFixed64(&sum, PlacedChecksum(summed, TableIdentity(kStore, number), place));
  footer.replace(kFooterBytes - 16, 8, sum);
  const Result<TableFooter> decoded = DecodeFooter(footer, place, kStore, number);
  if (decoded.ok()) {
    MUST(EncodeFooter(*decoded, place) == footer, "encode(decode(footer)) is not the footer");
    MUST(!DecodeFooter(footer, place + 1, kStore, number).ok(), "a footer at another place verifies");
    MUST(!DecodeFooter(footer, place, kStore, number + 1).ok(), "a footer of another table verifies");
  }
  const std::string_view bytes = in.Rest();
  TableMeta meta;
  TableOwner owner;
  if (!DecodeProperties(bytes, &meta, &owner)) return;
  const std::string again = EncodeProperties(meta, owner);
  MUST(again.size() <= bytes.size(), "the encoder needs more bytes than the decoder took");
  MUST(again.size() < bytes.size() || again == bytes, "encode(decode(properties)) is not the properties");
}

// Tombstones over one-byte keys against the plain definition: the newest one that covers a key.
void RunRanges(std::string_view input) {
  Input in(input);
  const uint32_t clip_from = in.Byte(), clip_to = in.Byte();
  std::vector<RangeTombstone> tombstones;
  while (!in.empty() && tombstones.size() < 64) {
    tombstones.push_back({std::string(in.Bytes(1)), std::string(in.Bytes(in.Below(3))), in.Below(16)});
  }
  const auto newest = [&](std::string_view key, Sequence snapshot) {
    Sequence found = 0;
    for (const RangeTombstone& t : tombstones) {
      if (t.begin <= key && key < t.end && t.sequence <= snapshot) found = std::max(found, t.sequence);
    }
    return found;
  };
  const std::string from(1, static_cast<char>(clip_from)), to(clip_to == 0 ? 0 : 1, static_cast<char>(clip_to));
  const RangeTombstones set(tombstones);
  const RangeTombstones whole(set.Clip("", "")), clipped(set.Clip(from, to));
  for (size_t i = 1; i < set.fragments().size(); ++i) {
    MUST(set.fragments()[i - 1].end <= set.fragments()[i].begin, "fragments overlap");
  }
  std::set<std::string> probes = {"", "\xff\xff"};
  for (const RangeTombstone& t : tombstones) probes.insert({t.begin, t.end, t.begin + '\0'});
  for (const std::string& key : probes) {
    for (const Sequence snapshot : {Sequence{0}, Sequence{7}, Sequence{15}, kMaxSequence}) {
      const Sequence expected = newest(key, snapshot);
      MUST(set.NewestCover(key, snapshot) == expected, "another tombstone covers the key");
      MUST(whole.NewestCover(key, snapshot) == expected, "taken apart and put together, another set");
      const bool inside = key >= from && (to.empty() || key < to);
      MUST(clipped.NewestCover(key, snapshot) == (inside ? expected : 0), "clipped, another cover");
    }
  }
}

}  // namespace tarn::fuzz
