#include "kernel/store_copy.h"

#include <algorithm>

#include "base/list_all.h"
#include "kernel/constants.h"
#include "kernel/parallel_run.h"

namespace tarn::kernel {
namespace {

constexpr uint32_t kMaxParallel = 64;
constexpr uint64_t kChunkBytes = 1 << 20;         // one read of a file
constexpr uint64_t kNetworkChunkBytes = 8 << 20;  // one GET: smaller ones wait longer than they send
constexpr uint64_t kLeastChunkBytes = 64 << 10;
constexpr uint64_t kChunksPerSecond = 8;  // at least, under a limit: progress moves, and Ctrl-C is heard
constexpr uint64_t kBurstNanos = 100'000'000;
constexpr uint64_t kLongestSleepNanos = 100'000'000;  // as long as a cancellation may go unheard

class CopyRun {
 public:
  CopyRun(Backend& from, Backend& to, const std::vector<BlobInfo>& blobs, const TransferOptions& options)
      : from_(from),
        to_(to),
        blobs_(blobs),
        clock_(*options.clock),
        limit_(options.bytes_per_second),
        run_(options.parallel, BytesOf(blobs), options.progress) {
    const bool network = from.info().latency == LatencyClass::kNetwork;
    chunk_bytes_ = network ? kNetworkChunkBytes : kChunkBytes;
    if (options.bytes_per_second > 0) {
      chunk_bytes_ = std::clamp(options.bytes_per_second / kChunksPerSecond, kLeastChunkBytes, chunk_bytes_);
    }
  }

  Status Run() {
    return run_.Run(blobs_.size(), [this](size_t i) { return CopyOne(blobs_[i]); });
  }

 private:
  static uint64_t BytesOf(const std::vector<BlobInfo>& blobs) {
    uint64_t bytes = 0;
    for (const BlobInfo& blob : blobs) bytes += blob.size;
    return bytes;
  }

  Status CopyOne(const BlobInfo& blob) {
    TARN_ASSIGN(const auto reader, from_.Open(blob.name));
    if (reader->size() != blob.size) {
      return Status::Corruption(blob.name + ": has " + std::to_string(reader->size()) + " bytes instead of " +
                                std::to_string(blob.size) + "; check the store it is read from");
    }
    auto created = to_.Create(blob.name);
    if (created.status().code() == Code::kBusy) return run_.Moved(blob.size);
    TARN_ASSIGN(const auto writer, std::move(created));
    std::string buffer;
    for (uint64_t offset = 0; offset < blob.size; offset += buffer.size()) {
      buffer.resize(std::min(chunk_bytes_, blob.size - offset));
      TARN_TRY(reader->Read(offset, buffer));
      TARN_TRY(Pace(buffer.size()));
      TARN_TRY(writer->Append(buffer));
      TARN_TRY(run_.Moved(buffer.size()));
    }
    const Status finished = writer->Finish();
    return finished.code() == Code::kBusy ? Status() : finished;  // somebody else has sent it meanwhile
  }
  Status Pace(uint64_t bytes) {
    uint64_t wait = limit_.WaitNanos(clock_.MonotonicNanos(), bytes);
    while (wait > 0) {
      const uint64_t slice = std::min(wait, kLongestSleepNanos);
      clock_.SleepNanos(slice);
      wait -= slice;
      TARN_TRY(run_.Moved(0));
    }
    return {};
  }

  Backend &from_, &to_;
  const std::vector<BlobInfo>& blobs_;
  Clock& clock_;
  RateLimit limit_;
  ParallelRun run_;
  uint64_t chunk_bytes_ = 0;
};

// The first table number of a store that shares its past with others: far enough behind `given_out` that what they
// give out next does not reach it, by chance where that is.
uint64_t NumbersOfItsOwn(uint64_t given_out, Entropy& entropy) {
  if (given_out > UINT64_MAX - kTableRange) return given_out;  // hostile: no store comes so far
  uint32_t chance;
  entropy.Fill({reinterpret_cast<char*>(&chance), sizeof(chance)});
  const uint64_t ranges = given_out < kLastScatteredTable ? 1 + chance % kTableRanges : 1;
  return (given_out / kTableRange + ranges) * kTableRange;
}

}  // namespace

uint64_t RateLimit::WaitNanos(uint64_t now_nanos, uint64_t bytes) {
  if (rate_ == 0) return 0;
  const auto now = static_cast<double>(now_nanos);
  MutexLock lock(mutex_);
  next_nanos_ = std::max(next_nanos_, now - static_cast<double>(kBurstNanos));
  next_nanos_ += static_cast<double>(bytes) * 1e9 / static_cast<double>(rate_);
  return next_nanos_ <= now ? 0 : static_cast<uint64_t>(next_nanos_ - now);
}

Status CheckParallel(uint32_t parallel) {
  if (parallel >= 1 && parallel <= kMaxParallel) return {};
  return Status::Invalid("parallel is " + std::to_string(parallel) + "; it must be 1 to 64");
}

Status CopyBlobs(Backend& from, Backend& to, const std::vector<BlobInfo>& blobs, const TransferOptions& options) {
  TARN_TRY(CheckParallel(options.parallel));
  return CopyRun(from, to, blobs, options).Run();
}

std::vector<BlobInfo> TablesOf(const ManifestRecord& record) {
  std::vector<BlobInfo> tables;
  for (const ManifestTable& table : record.tables_added) {
    tables.push_back({TableBlobName(table.meta.number), table.meta.file_bytes});
  }
  std::sort(tables.begin(), tables.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return tables;
}

Result<std::map<std::string, uint64_t>> ListTables(Backend& backend) {
  TARN_ASSIGN(const std::vector<BlobInfo> blobs, ListAll(backend, "table/"));
  std::map<std::string, uint64_t> tables;
  for (const BlobInfo& blob : blobs) tables.emplace(blob.name, blob.size);
  return tables;
}

Status CheckTablesThere(const std::map<std::string, uint64_t>& there, const std::vector<BlobInfo>& tables) {
  for (const BlobInfo& table : tables) {
    const auto found = there.find(table.name);
    if (found == there.end()) return Status::Corruption(table.name + " is missing; run the same command again");
    if (found->second == table.size) continue;
    return Status::Corruption(table.name + " has " + std::to_string(found->second) + " bytes instead of " +
                              std::to_string(table.size) + "; something else wrote there, choose another place");
  }
  return {};
}

Status FoundStore(Backend& target, ManifestRecord record, Entropy& entropy) {
  record.next_table = NumbersOfItsOwn(record.next_table, entropy);
  TARN_ASSIGN(const PutOutcome put, target.PutIfAbsent(ManifestBlobName(1), EncodeManifestRecord(record)));
  if (put == PutOutcome::kExists) return Status::Busy("another writer put a store into the target meanwhile");
  return {};
}

}  // namespace tarn::kernel
