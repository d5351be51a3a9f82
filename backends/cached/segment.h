// Bytes of the cache on the disk: names, segments and the index. docs/formats/cache.md is the specification. Pure
// functions; hostile bytes end in "nothing", never in a crash or in more memory than the bytes themselves warrant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::cached {

// Where an extent is evicted from. kMain: it was read again after a while, or is there to stay.
enum class Part : uint8_t { kProbation, kMain };
inline constexpr size_t kParts = 2;

// A blob of the remote store.
struct BlobKey {
  std::string name;
  uint64_t identity = 0;
  auto operator<=>(const BlobKey&) const = default;
};

struct SegmentName {
  Part part = Part::kProbation;
  uint64_t number = 0;
};
std::string NameOfSegment(SegmentName segment);
std::string NameOfIndex(uint64_t number);
std::optional<SegmentName> ParseSegmentName(std::string_view name);
std::optional<uint64_t> ParseIndexName(std::string_view name);

uint64_t ExtentChecksum(const BlobKey& blob, uint32_t extent, uint32_t extent_bytes, std::string_view bytes);

struct ContentsEntry {
  BlobKey blob;
  uint32_t extent = 0;
  uint32_t offset = 0;  // in the segment
  uint32_t bytes = 0;
  uint64_t checksum = 0;
};

inline constexpr size_t kTrailerBytes = 32;

std::string EncodeContents(const std::vector<ContentsEntry>& entries);
// `data_bytes`: what the offsets must lie below.
std::optional<std::vector<ContentsEntry>> DecodeContents(std::string_view contents, uint32_t extent_bytes,
                                                         uint64_t data_bytes);

std::string EncodeTrailer(std::string_view contents, uint64_t data_bytes, uint32_t extent_bytes, uint64_t number);
// The bytes of the contents before a trailer; nothing when it is none, or of another version or size of extents.
std::optional<uint64_t> ContentsBytes(std::string_view trailer, uint64_t segment_bytes, uint32_t extent_bytes);
bool VerifyContents(std::string_view contents, std::string_view trailer, uint64_t data_bytes, uint64_t number);

struct IndexEntry {
  uint64_t number = 0;
  std::string contents;
  std::string hits;
};
std::string EncodeIndex(const std::vector<IndexEntry>& segments, uint32_t extent_bytes, uint64_t number);
std::optional<std::vector<IndexEntry>> DecodeIndex(std::string_view index, uint32_t extent_bytes, uint64_t number);

}  // namespace tarn::cached
