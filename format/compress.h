// Compression of block payloads. compress.cc is the only file that includes zstd.h and lz4.h.
//
//   compressed payload := raw size fixed32, then the bytes of LZ4 (block format) or Zstandard (one frame)
//
// A payload that would not shrink by an eighth is stored as it is: reading it back then costs nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "format/block.h"
#include "tarn/settings.h"
#include "tarn/status.h"

namespace tarn {

// No payload is larger, before or after compression. It holds a value of 1 GiB beside a key of 64 KiB, and is
// what LZ4 takes at most.
inline constexpr uint32_t kMaxBlockBytes = 0x7e000000;

// Threads: one at a time.
class BlockCompressor {
 public:
  explicit BlockCompressor(Compression method);
  ~BlockCompressor();
  // Appends `payload` to `out` as it is to be stored, and says how. REQUIRES: at most kMaxBlockBytes
  Compression Append(std::string_view payload, std::string* out);

 private:
  struct ZstdContext;
  size_t Squeeze(std::string_view payload, char* out, size_t capacity);

  Compression method_;
  std::unique_ptr<ZstdContext> zstd_;
};

// The payload of a stored block whose checksum is right. `method` is the byte from disk. The size it claims is
// bounded by what the method can reach at all before memory is taken. Errors do not name the blob.
Result<BlockRef> DecompressBlock(uint8_t method, std::string_view stored);

}  // namespace tarn
