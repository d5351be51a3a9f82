#include "format/compress.h"

#include <lz4.h>
#include <zstd.h>

#include <cstring>

#include "base/assert.h"
#include "base/coding.h"

namespace tarn {
namespace {

static_assert(kMaxBlockBytes <= LZ4_MAX_INPUT_SIZE);

constexpr size_t kSizeBytes = 4;  // of the raw size in front of a compressed payload
constexpr int kZstdLevel = 3;     // the library's own default: the knee of its ratio/speed curve
// As the level has them for 16 KiB. Of large blocks its tables do not fit the first caches: up to twice the time, for
// a hundredth or two of the size.
constexpr int kZstdHashLog = 15, kZstdChainLog = 14;

// The best each method can do on any input: LZ4 spends at least one byte on 255; a Zstandard block of at most
// 128 KiB takes at least four.
constexpr uint64_t kMaxLz4Ratio = 255;
constexpr uint64_t kMaxZstdRatio = 32768;

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// One context a thread: making one costs more than inflating a block.
ZSTD_DCtx* ThreadDecompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  return context.get();
}

bool Inflate(Compression method, std::string_view packed, char* out, size_t raw_bytes) {
  if (method == Compression::kLz4) {
    const int n =
        LZ4_decompress_safe(packed.data(), out, static_cast<int>(packed.size()), static_cast<int>(raw_bytes));
    return n >= 0 && static_cast<size_t>(n) == raw_bytes;
  }
  ZSTD_DCtx* const context = ThreadDecompressor();
  return context != nullptr &&
         ZSTD_decompressDCtx(context, out, raw_bytes, packed.data(), packed.size()) == raw_bytes;
}

Status OutOfMemory(size_t bytes) {
  return Status::Unavailable("no memory for a block of " + std::to_string(bytes) +
                             " bytes; lower memory_bytes or give the process more memory");
}

}  // namespace

struct BlockCompressor::ZstdContext {
  ZstdContext() {
    if (context == nullptr) return;
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, kZstdHashLog);
    ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, kZstdChainLog);
  }
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ~ZstdContext() { ZSTD_freeCCtx(context); }
};

BlockCompressor::BlockCompressor(Compression method) : method_(method) {
  if (method == Compression::kZstd) zstd_ = std::make_unique<ZstdContext>();
}
BlockCompressor::~BlockCompressor() = default;

// Returns the bytes written, 0 when the result does not fit in `capacity`.
size_t BlockCompressor::Squeeze(std::string_view payload, char* out, size_t capacity) {
  if (method_ == Compression::kLz4) {
    const int n =
        LZ4_compress_default(payload.data(), out, static_cast<int>(payload.size()), static_cast<int>(capacity));
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  if (zstd_->context == nullptr) return 0;
  const size_t n = ZSTD_compress2(zstd_->context, out, capacity, payload.data(), payload.size());
  return ZSTD_isError(n) ? 0 : n;
}

Compression BlockCompressor::Append(std::string_view payload, std::string* out) {
  DCHECK(payload.size() <= kMaxBlockBytes);
  const size_t start = out->size();
  const size_t worthwhile = payload.size() - payload.size() / 8;  // stored bytes above this are not worth it
  if (method_ != Compression::kNone && worthwhile > kSizeBytes) {
    // The capacity is the limit itself, so the library gives up early on what does not compress.
    out->resize(start + worthwhile);
    const uint32_t raw_bytes = static_cast<uint32_t>(payload.size());
    std::memcpy(out->data() + start, &raw_bytes, kSizeBytes);
    const size_t n = Squeeze(payload, out->data() + start + kSizeBytes, worthwhile - kSizeBytes);
    if (n > 0) {
      out->resize(start + kSizeBytes + n);
      return method_;
    }
    out->resize(start);
  }
  out->append(payload);
  return Compression::kNone;
}

Result<BlockRef> DecompressBlock(uint8_t method_byte, std::string_view stored) {
  const Compression method = static_cast<Compression>(method_byte);
  if (method == Compression::kNone) {
    if (stored.size() > kMaxBlockBytes) return Status::Corruption("larger than any block may be");
    BlockRef copy = Block::Copy(stored);
    if (!copy) return OutOfMemory(stored.size());
    return copy;
  }
  if (method != Compression::kLz4 && method != Compression::kZstd) {
    return Status::Corruption("unknown compression " + std::to_string(method_byte));
  }
  uint32_t raw_bytes;
  std::string_view packed = stored;
  if (!GetFixed32(&packed, &raw_bytes)) return Status::Corruption("a compressed block without its size");
  const uint64_t ratio = method == Compression::kLz4 ? kMaxLz4Ratio : kMaxZstdRatio;
  if (packed.size() > kMaxBlockBytes || raw_bytes > kMaxBlockBytes || raw_bytes > packed.size() * ratio) {
    return Status::Corruption("claims " + std::to_string(raw_bytes) + " bytes in " + std::to_string(packed.size()) +
                              ", more than its compression can reach");
  }
  char* raw = nullptr;
  BlockRef block = Block::Make(raw_bytes, &raw);
  if (!block) return OutOfMemory(raw_bytes);
  if (!Inflate(method, packed, raw, raw_bytes)) {
    return Status::Corruption("does not decompress to " + std::to_string(raw_bytes) + " bytes");
  }
  return block;
}

}  // namespace tarn
