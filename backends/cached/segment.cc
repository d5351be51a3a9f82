#include "backends/cached/segment.h"

#include <array>
#include <cstdio>

#include "base/coding.h"
#include "base/hash.h"

namespace tarn::cached {
namespace {

constexpr uint32_t kVersion = 1;
constexpr std::string_view kSegmentMagic = "tarn.cch";
constexpr std::string_view kIndexMagic = "tarn.cix";
constexpr std::array<std::string_view, kParts> kFolders = {"probation/", "main/"};
constexpr std::string_view kIndexFolder = "index/";
constexpr size_t kDigits = 16;

std::string Numbered(std::string_view folder, uint64_t number) {
  char digits[kDigits + 1];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(number));
  return std::string(folder) + digits;
}

std::optional<uint64_t> ParseNumbered(std::string_view folder, std::string_view name) {
  if (!name.starts_with(folder) || name.size() != folder.size() + kDigits) return std::nullopt;
  uint64_t number = 0;
  for (const char c : name.substr(folder.size())) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    number = number << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return number;
}

// Version, size of extents and a number: how both kinds of blobs end, before checksum and magic.
std::string Ending(uint32_t extent_bytes, uint64_t number) {
  std::string out;
  PutFixed32(&out, kVersion);
  PutFixed32(&out, extent_bytes);
  PutFixed64(&out, number);
  return out;
}

// The number in an ending of kTrailerBytes, if it is one.
std::optional<uint64_t> ParseEnding(std::string_view ending, uint32_t extent_bytes, std::string_view magic) {
  if (ending.size() != kTrailerBytes || !ending.ends_with(magic)) return std::nullopt;
  if (DecodeFixed32(ending.data()) != kVersion || DecodeFixed32(ending.data() + 4) != extent_bytes) {
    return std::nullopt;
  }
  return DecodeFixed64(ending.data() + 8);
}

bool GetEntry(std::string_view* in, uint32_t extent_bytes, uint64_t data_bytes, ContentsEntry* entry) {
  return GetVarint32(in, &entry->extent) && GetVarint32(in, &entry->offset) && GetVarint32(in, &entry->bytes) &&
         GetFixed64(in, &entry->checksum) && entry->bytes > 0 && entry->bytes <= extent_bytes &&
         entry->offset <= data_bytes && entry->bytes <= data_bytes - entry->offset;
}

}  // namespace

std::string NameOfSegment(SegmentName segment) {
  return Numbered(kFolders[static_cast<size_t>(segment.part)], segment.number);
}
std::string NameOfIndex(uint64_t number) { return Numbered(kIndexFolder, number); }

std::optional<SegmentName> ParseSegmentName(std::string_view name) {
  for (size_t part = 0; part < kParts; ++part) {
    const auto number = ParseNumbered(kFolders[part], name);
    if (number) return SegmentName{static_cast<Part>(part), *number};
  }
  return std::nullopt;
}
std::optional<uint64_t> ParseIndexName(std::string_view name) { return ParseNumbered(kIndexFolder, name); }

uint64_t ExtentChecksum(const BlobKey& blob, uint32_t extent, uint32_t extent_bytes, std::string_view bytes) {
  return PlacedChecksum(bytes, Hash64(blob.name, blob.identity), uint64_t{extent} * extent_bytes);
}

std::string EncodeContents(const std::vector<ContentsEntry>& entries) {
  std::string out;
  for (size_t first = 0; first < entries.size();) {
    size_t end = first;
    while (end < entries.size() && entries[end].blob == entries[first].blob) ++end;
    PutBytes(&out, entries[first].blob.name);
    PutFixed64(&out, entries[first].blob.identity);
    PutVarint(&out, end - first);
    for (; first < end; ++first) {
      PutVarint(&out, entries[first].extent);
      PutVarint(&out, entries[first].offset);
      PutVarint(&out, entries[first].bytes);
      PutFixed64(&out, entries[first].checksum);
    }
  }
  return out;
}

std::optional<std::vector<ContentsEntry>> DecodeContents(std::string_view contents, uint32_t extent_bytes,
                                                         uint64_t data_bytes) {
  std::vector<ContentsEntry> entries;
  while (!contents.empty()) {
    std::string_view name;
    ContentsEntry entry;
    uint64_t count = 0;
    if (!GetBytes(&contents, &name) || !GetFixed64(&contents, &entry.blob.identity) ||
        !GetVarint(&contents, &count)) {
      return std::nullopt;
    }
    entry.blob.name = name;
    for (; count > 0; --count) {
      if (!GetEntry(&contents, extent_bytes, data_bytes, &entry)) return std::nullopt;
      entries.push_back(entry);
    }
  }
  return entries;
}

std::string EncodeTrailer(std::string_view contents, uint64_t data_bytes, uint32_t extent_bytes, uint64_t number) {
  std::string out = Ending(extent_bytes, contents.size());
  PutFixed64(&out, PlacedChecksum(std::string(contents) + out, number, data_bytes));
  return out.append(kSegmentMagic);
}

std::optional<uint64_t> ContentsBytes(std::string_view trailer, uint64_t segment_bytes, uint32_t extent_bytes) {
  const auto contents = ParseEnding(trailer, extent_bytes, kSegmentMagic);
  if (!contents || *contents > segment_bytes - kTrailerBytes) return std::nullopt;
  return contents;
}

bool VerifyContents(std::string_view contents, std::string_view trailer, uint64_t data_bytes, uint64_t number) {
  const std::string covered = std::string(contents) + std::string(trailer.substr(0, 16));
  return DecodeFixed64(trailer.data() + 16) == PlacedChecksum(covered, number, data_bytes);
}

std::string EncodeIndex(const std::vector<IndexEntry>& segments, uint32_t extent_bytes, uint64_t number) {
  std::string out;
  for (const IndexEntry& segment : segments) {
    PutFixed64(&out, segment.number);
    PutBytes(&out, segment.contents);
    PutBytes(&out, segment.hits);
  }
  out += Ending(extent_bytes, segments.size());
  PutFixed64(&out, PlacedChecksum(out, number, 0));
  return out.append(kIndexMagic);
}

std::optional<std::vector<IndexEntry>> DecodeIndex(std::string_view index, uint32_t extent_bytes, uint64_t number) {
  if (index.size() < kTrailerBytes) return std::nullopt;
  const std::string_view ending = index.substr(index.size() - kTrailerBytes);
  const auto count = ParseEnding(ending, extent_bytes, kIndexMagic);
  const std::string_view covered = index.substr(0, index.size() - 16);
  if (!count || DecodeFixed64(ending.data() + 16) != PlacedChecksum(covered, number, 0)) return std::nullopt;
  std::string_view in = index.substr(0, index.size() - kTrailerBytes);
  std::vector<IndexEntry> segments;
  while (!in.empty()) {
    std::string_view contents, hits;
    IndexEntry segment;
    if (!GetFixed64(&in, &segment.number) || !GetBytes(&in, &contents) || !GetBytes(&in, &hits)) return std::nullopt;
    segment.contents = contents;
    segment.hits = hits;
    segments.push_back(std::move(segment));
  }
  if (segments.size() != *count) return std::nullopt;
  return segments;
}

}  // namespace tarn::cached
