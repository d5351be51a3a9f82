// dump: the blobs of a store as a person can read them (docs/formats/). Takes no lock and changes nothing, so it
// works on a store that is in use, and on one that will not open. What is damaged is reported where it is.
#include <sys/stat.h>

#include "base/coding.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "format/manifest_record.h"
#include "format/table.h"
#include "wal/record.h"
#include "wal/segment_reader.h"

namespace tarn::cli {
namespace {

constexpr size_t kShownBytes = 96;  // of a key or value
constexpr uint64_t kMaxManifestBytes = 1 << 30;
constexpr size_t kPage = 1000;

// Key or value bytes, cut to what fits a line.
std::string Cut(std::string_view bytes) {
  if (bytes.size() <= kShownBytes) return Escape(bytes);
  return fmt::format("{}... ({} bytes)", Escape(bytes.substr(0, kShownBytes)), bytes.size());
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kDelete: return "delete";
    case Kind::kPut: return "put";
    case Kind::kRangeDelete: return "delete-range";
  }
  return "unknown";
}

// Blocks straight from the blob, verified, kept by nobody.
class DirectBlocks final : public BlockSource {
 public:
  BlockRef Lookup(const Table&, BlockHandle) override { return nullptr; }
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override {
    if (handle.stored_bytes > table.blob().size()) {
      return Status::Corruption(fmt::format("{}: block at {} is larger than its table; run: tarn check",
                                            TableBlobName(table.number()), handle.offset));
    }
    std::string stored(handle.stored_bytes, '\0');
    TARN_TRY(table.blob().Read(handle.offset, stored));
    return table.DecodeBlock(handle, stored);
  }
  void Prefetch(const Table&, std::span<const BlockHandle>) override {}
};

class Dumper {
 public:
  Dumper(Context& context, Backend& backend, uint64_t limit)
      : context_(context), backend_(backend), out_(context.out), limit_(limit) {}

  Status List() {
    std::string after;
    while (true) {
      TARN_ASSIGN(const ListPage page, backend_.List("", after, kPage));
      for (const BlobInfo& blob : page.blobs) out_.Print("{:>14} {}\n", blob.size, Escape(blob.name));
      if (!page.more || page.blobs.empty()) return {};
      after = page.blobs.back().name;
    }
  }

  Status Blob(const std::string& name) {
    TARN_ASSIGN(const auto blob, backend_.Open(name));
    if (name.starts_with("manifest/")) return Manifest(name, *blob);
    if (name.starts_with("table/")) return TableBlob(name, *blob);
    if (name.starts_with(wal::kNamePrefix)) return Log(name, *blob);
    return Status::Unsupported(
        fmt::format("{}: no blob of a known kind; those are manifest/, table/ and wal/ blobs", Escape(name)));
  }

 private:
  // The number at the end of a blob's name.
  static Result<uint64_t> NumberOf(const std::string& name) {
    uint64_t number = 0;
    const std::string digits = name.substr(name.find('/') + 1);
    for (const char c : digits) {
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0 || digits.size() > 16) {
        return Status::Invalid(fmt::format("{}: not a numbered blob; list them with: tarn dump", Escape(name)));
      }
      number = number * 16 + static_cast<uint64_t>(digit);
    }
    return number;
  }

  Result<ManifestRecord> ReadManifest(const std::string& name, const BlobReader& blob) {
    TARN_ASSIGN(const uint64_t number, NumberOf(name));
    if (blob.size() > kMaxManifestBytes) {
      return Status::Corruption(fmt::format("{}: {} bytes are no manifest record; restore it", name, blob.size()));
    }
    std::string bytes(blob.size(), '\0');
    TARN_TRY(blob.Read(0, bytes));
    return DecodeManifestRecord(bytes, number);
  }

  // The store's identity, which tables and log segments are checked against: any manifest record knows it.
  Result<std::string> StoreId() {
    std::string after;
    Status problem = Status::NotFound("no manifest in this store; is it one?");
    while (true) {
      TARN_ASSIGN(const ListPage page, backend_.List("manifest/", after, kPage));
      for (const BlobInfo& info : page.blobs) {
        TARN_ASSIGN(const auto blob, backend_.Open(info.name));
        auto record = ReadManifest(info.name, *blob);
        if (record.ok()) return record->store_id;
        problem = record.status();
      }
      if (!page.more || page.blobs.empty()) return problem;
      after = page.blobs.back().name;
    }
  }

  Status Manifest(const std::string& name, const BlobReader& blob) {
    TARN_ASSIGN(const ManifestRecord record, ReadManifest(name, blob));
    out_.Print("{}: {} record {}, base {}, epoch {}\n", name, record.full() ? "full" : "delta", record.number,
               record.base, record.epoch);
    out_.Print("  writer         {}\n  store id       {}\n", Escape(record.writer), Hex(record.store_id));
    out_.Print("  last sequence  {} (in tables), {} (durable)\n  first log      {}\n", record.last_sequence,
               record.durable_sequence, record.first_wal);
    out_.Print("  next           table {}, run {}, family {}\n", record.next_table, record.next_run,
               record.next_family);
    for (const auto& family : record.families_added) out_.Print("  + family {} {}\n", family.id, Escape(family.name));
    for (const uint32_t id : record.families_dropped) out_.Print("  - family {}\n", id);
    for (const ManifestTable& table : record.tables_added) {
      out_.Print(
          "  + {} family {} level {} run {}: {} bytes, {} entries, {} deletions, {} range deletions, {} .. {}{}\n",
          TableBlobName(table.meta.number), table.family, table.level, table.run, table.meta.file_bytes,
          table.meta.entries, table.meta.deletions, table.meta.range_deletions, Cut(table.meta.smallest),
          Cut(table.meta.largest), table.meta.largest_exclusive ? " (exclusive)" : "");
    }
    for (const uint64_t number : record.tables_removed) out_.Print("  - {}\n", TableBlobName(number));
    for (const ManifestSnapshot& snapshot : record.snapshots_added) {
      out_.Print("  + snapshot {} at {}\n", Escape(snapshot.name), snapshot.sequence);
    }
    for (const std::string& dropped : record.snapshots_dropped) out_.Print("  - snapshot {}\n", Escape(dropped));
    return {};
  }

  Status TableBlob(const std::string& name, const BlobReader& blob) {
    TARN_ASSIGN(const uint64_t number, NumberOf(name));
    TARN_ASSIGN(const std::string store_id, StoreId());
    TARN_ASSIGN(const auto table, Table::Open(backend_, store_id, number, blob.size()));
    DirectBlocks blocks;
    out_.Print("{}: {} bytes, {} entries, filter of {} bytes\n", name, blob.size(), table->entries(),
               table->filter().stored_bytes);
    for (const auto& fragment : table->range_tombstones().fragments()) {
      for (const Sequence sequence : fragment.sequences) {
        out_.Print("  {} .. {} @{} delete-range\n", Cut(fragment.begin), Cut(fragment.end), sequence);
      }
    }
    const auto cursor = table->NewCursor(blocks);
    uint64_t shown = 0;
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) {
      TARN_TRY(context_.Check());
      if (++shown > limit_) {
        out_.Print("  ... more entries; see them with --limit\n");
        return {};
      }
      const std::string_view key = cursor->key();
      out_.Print("  {} @{} {}", Cut(UserKeyOf(key)), SequenceOf(key), KindName(KindOf(key)));
      out_.Print("{}{}\n", KindOf(key) == Kind::kPut ? " " : "", Cut(cursor->value()));
    }
    return cursor->status();
  }

  Status Log(const std::string& name, const BlobReader& blob) {
    const auto number = wal::SegmentNumber(name);
    if (!number.has_value()) return Status::Invalid(fmt::format("{}: not named like a log segment", Escape(name)));
    TARN_ASSIGN(const std::string store_id, StoreId());
    wal::SegmentReader reader(blob, store_id, *number);
    TARN_ASSIGN(const auto header, reader.ReadHeader());
    out_.Print("{}: {} bytes\n", name, blob.size());
    if (!header.has_value()) {
      out_.Print("  no valid header at offset 0\n");
      return {};
    }
    if (header->previous.segment != 0) {
      out_.Print("  continues {} (ended at {})\n", wal::SegmentName(header->previous.segment),
                 header->previous.end_offset);
    }
    for (uint64_t shown = 0; shown < limit_; ++shown) {
      TARN_TRY(context_.Check());
      const uint64_t at = reader.offset();
      std::string_view payload;
      TARN_ASSIGN(const auto item, reader.Next(&payload));
      if (item == wal::SegmentReader::Item::kEnd) return {};
      if (item == wal::SegmentReader::Item::kSeal) {
        out_.Print("  {:>10} seal\n", at);
      } else if (item == wal::SegmentReader::Item::kClose) {
        out_.Print("  {:>10} close\n", at);
      } else if (item == wal::SegmentReader::Item::kFence) {
        out_.Print("  {:>10} fence\n", at);
      } else if (item == wal::SegmentReader::Item::kBad) {
        out_.Print("  {:>10} no whole record from here on ({} bytes)\n", at, blob.size() - at);
        return {};
      } else {
        Batch(at, payload);
      }
    }
    out_.Print("  ... more records; see them with --limit\n");
    return {};
  }

  // The encoding of docs/formats/wal.md, "Batch".
  void Batch(uint64_t at, std::string_view payload) {
    uint64_t first, manifest, count;
    if (!GetFixed64(&payload, &first) || !GetVarint(&payload, &manifest) || !GetVarint(&payload, &count)) {
      out_.Print("  {:>10} a payload of {} bytes that is no batch\n", at, payload.size());
      return;
    }
    out_.Print("  {:>10} batch of {} from sequence {}, after manifest record {}\n", at,
               Plural(count, "change", "changes"), first, manifest);
    for (uint64_t i = 0; i < count && !payload.empty(); ++i) {
      const auto kind = static_cast<Kind>(payload.front());
      payload.remove_prefix(1);
      uint32_t family;
      std::string_view key, operand;
      const bool good = kind <= Kind::kRangeDelete && GetVarint32(&payload, &family) && GetBytes(&payload, &key) &&
                        (kind == Kind::kDelete || GetBytes(&payload, &operand));
      if (!good) {
        out_.Print("             change {} is not readable\n", i);
        return;
      }
      out_.Print("             {} family {} {} {}\n", KindName(kind), family, Cut(key), Cut(operand));
    }
  }

  Context& context_;
  Backend& backend_;
  Output& out_;
  const uint64_t limit_;
};

// Where a blob is: named within the lake ("table/01"), or by the path of its file ("lake/table/01").
struct BlobPlace {
  std::string directory, name;
};

Result<BlobPlace> Locate(const Context& context, const Operands& operands) {
  BlobPlace place;
  if (operands.empty() || !context.location.empty()) {
    TARN_ASSIGN(place.directory, DirectoryOf(context.location));
    place.name = operands.empty() ? "" : operands[0];
    struct stat st;
    if (place.name.empty() || stat((place.directory + "/" + place.name).c_str(), &st) == 0) return place;
  }
  const std::string& path = operands[0];
  const size_t slash = path.rfind('/');
  const size_t above = slash == std::string::npos || slash == 0 ? std::string::npos : path.rfind('/', slash - 1);
  if (above == std::string::npos) return BlobPlace{slash == std::string::npos ? context.location : ".", path};
  return BlobPlace{path.substr(0, above), path.substr(above + 1)};
}

Status Dump(Context& context, uint64_t limit, const Operands& operands) {
  TARN_ASSIGN(const BlobPlace place, Locate(context, operands));
  if (place.directory.empty()) return NoLocation();
  TARN_ASSIGN(const Found found, LookAt(place.directory));
  if (found != Found::kStore) return NoLakeAt(place.directory);
  TARN_ASSIGN(const auto backend, OpenBackend(place.directory));
  Dumper dumper(context, *backend, limit);
  return place.name.empty() ? dumper.List() : dumper.Blob(place.name);
}

}  // namespace

void AddDumpVerb(CommandLine& line) {
  auto limit = std::make_shared<uint64_t>(UINT64_MAX);
  line.Add({"Program", "dump", "Show the bytes of a store as text: manifest, tables, log", "[BLOB]", 0, 1,
            Needs::kNothing,
            "tarn dump                                # which blobs there are\n"
            "tarn dump table/0000000000000003\n"
            "tarn dump --limit 10 ~/lake/wal/0000000000000001"},
           [limit](Context& context, const Operands& operands) { return Dump(context, *limit, operands); })
      .Number("--limit", limit.get(), "N", "this many entries or records at most");
}

}  // namespace tarn::cli
