// The log: framing a record (header, checksum of header and payload), and appending to the segmented log over a
// backend in memory, so that no system call and no device is in it. By payload: 100 B, 1 KiB, 64 KiB.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "bench/micro/micro.h"
#include "tests/support/mem_backend.h"
#include "wal/builtin.h"
#include "wal/record.h"

namespace tarn::micro {
namespace {

void Payloads(benchmark::internal::Benchmark* bench) {
  for (const int64_t bytes : {100, 1024, 65536}) bench->Arg(bytes);
}

void BM_WalFrame(benchmark::State& state) {
  const std::string payload = ValueOf(1, static_cast<size_t>(state.range(0)));
  const uint64_t identity = wal::SegmentIdentity(kStoreId, 1);
  std::string out;
  uint64_t chain = 7;
  for (auto _ : state) {
    chain = wal::NextChain(chain, payload);
    out.clear();
    wal::AppendRecordHeader(&out, {static_cast<uint32_t>(payload.size()), wal::RecordType::kData, 0, chain}, identity,
                            4096);
    benchmark::DoNotOptimize(out.data());
  }
  const auto back = wal::DecodeRecordHeader(out, identity, 4096);
  if (!back.has_value() || back->chain != chain) state.SkipWithError("a record header did not read back");
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WalFrame)->Apply(Payloads);

void BM_WalDecodeHeader(benchmark::State& state) {
  const uint64_t identity = wal::SegmentIdentity(kStoreId, 1);
  std::string header;
  wal::AppendRecordHeader(&header, {100, wal::RecordType::kData, 0, 7}, identity, 4096);
  for (auto _ : state) {
    if (!wal::DecodeRecordHeader(header, identity, 4096)) state.SkipWithError("a record header did not read back");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_WalDecodeHeader);

// Every 16 MiB the log goes on in a new segment and the old one is released, outside the clock.
void BM_WalAppend(benchmark::State& state) {
  constexpr uint64_t kSegmentBytes = 16 << 20;
  test::MemBackend backend;
  const auto wal = NewSegmentedWal();
  const auto writer = Must(wal->Open(backend, kStoreId, 1));
  const std::string payload = ValueOf(1, static_cast<size_t>(state.range(0)));
  uint64_t records = 0;  // in the current segment
  for (auto _ : state) {
    if (!writer->Append(payload, Durability::kProcess).ok()) state.SkipWithError("an append failed");
    if (++records * payload.size() < kSegmentBytes) continue;
    state.PauseTiming();
    Must(writer->Release(Must(writer->Rotate())));
    records = 0;
    state.ResumeTiming();
  }
  Must(writer->Close());
  const auto end = Must(wal->Replay(backend, kStoreId, writer->segment(), [&](uint64_t, std::string_view back) {
    return back == payload ? Status() : Status::Corruption("another payload came back");
  }));
  if (end.records != records) state.SkipWithError("replay missed records");
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WalAppend)->Apply(Payloads);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
