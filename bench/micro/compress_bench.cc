// Compressing and decompressing one block of 4 KiB that shrinks to a half or two thirds. A small block: what a method
// spends on preparing itself counts.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/micro/micro.h"
#include "format/compress.h"

namespace tarn::micro {
namespace {

constexpr size_t kBlockBytes = 4096;

void BM_Compress(benchmark::State& state, Compression method) {
  const std::string block = ValueOf(1, kBlockBytes);
  BlockCompressor compressor(method);
  std::string out;
  for (auto _ : state) {
    out.clear();
    if (compressor.Append(block, &out) != method) state.SkipWithError("the block did not shrink");
  }
  state.counters["ratio"] = static_cast<double>(out.size()) / kBlockBytes;
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kBlockBytes));
}
BENCHMARK_CAPTURE(BM_Compress, lz4, Compression::kLz4);
BENCHMARK_CAPTURE(BM_Compress, zstd, Compression::kZstd);

// `none` is what every block costs: memory and a copy.
void BM_Decompress(benchmark::State& state, Compression method) {
  const std::string block = ValueOf(1, kBlockBytes);
  std::string stored;
  const auto used = static_cast<uint8_t>(BlockCompressor(method).Append(block, &stored));
  for (auto _ : state) {
    const auto back = DecompressBlock(used, stored);
    if (!back.ok() || (*back)->bytes() != block) state.SkipWithError("another block came back");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kBlockBytes));
}
BENCHMARK_CAPTURE(BM_Decompress, none, Compression::kNone);
BENCHMARK_CAPTURE(BM_Decompress, lz4, Compression::kLz4);
BENCHMARK_CAPTURE(BM_Decompress, zstd, Compression::kZstd);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
