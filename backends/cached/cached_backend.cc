// The cached backend: what goes through the cache, and what passes it by. The work is in reader.h and disk_cache.h.
//
// The identity of a blob that is written here is known only when it can be opened. So a writer keeps what it wrote
// until then; and the reader that told the identity is handed out at the next Open of the blob, because on a remote
// store it may cost a request to make another.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "backends/cached/cached.h"
#include "backends/cached/reader.h"

namespace tarn::cached {
namespace {

// Fresh readers that wait to be asked for. The kernel opens a table when it is first read.
constexpr size_t kMaxFresh = 256;

using Published = std::function<void(uint64_t size, const std::deque<std::pair<uint64_t, std::string>>& extents)>;

// Keeps the last extents of what passes through: the end of a table is its index.
class CachedWriter final : public BlobWriter {
 public:
  CachedWriter(Core* core, std::unique_ptr<BlobWriter> remote, Published published)
      : core_(core), remote_(std::move(remote)), published_(std::move(published)) {}
  ~CachedWriter() override { core_->written_through_bytes -= charged_; }

  Status Append(std::string_view bytes) override {
    TARN_TRY(remote_->Append(bytes));
    while (!bytes.empty()) {
      const size_t n = std::min<size_t>(bytes.size(), core_->extent_bytes - partial_.size());
      partial_ += bytes.substr(0, n);
      size_ += n;
      bytes.remove_prefix(n);
      if (partial_.size() == core_->extent_bytes) Keep();
    }
    return Status::Ok();
  }

  Status Finish() override {
    TARN_TRY(remote_->Finish());
    if (!partial_.empty()) Keep();
    published_(size_, extents_);
    return Status::Ok();
  }

 private:
  void Keep() {
    const uint64_t bytes = partial_.size();
    while (core_->written_through_bytes + bytes > core_->write_through_bytes && !extents_.empty()) {
      core_->written_through_bytes -= extents_.front().second.size();
      charged_ -= extents_.front().second.size();
      extents_.pop_front();
    }
    const bool fits = core_->written_through_bytes + bytes <= core_->write_through_bytes && !core_->cache->off();
    const std::string extent = std::exchange(partial_, {});
    if (!fits) return;
    core_->written_through_bytes += bytes;
    charged_ += bytes;
    extents_.emplace_back(size_ - bytes, extent);
  }

  Core* const core_;
  const std::unique_ptr<BlobWriter> remote_;
  const Published published_;
  std::string partial_;  // the extent that is being filled
  std::deque<std::pair<uint64_t, std::string>> extents_;
  uint64_t size_ = 0;
  uint64_t charged_ = 0;
};

class CachedBackend final : public Backend, public ReadQueueSource, public BulkDelete, public MeterSource {
 public:
  CachedBackend(std::shared_ptr<Backend> remote, Result<std::unique_ptr<DiskCache>> cache,
                const CacheOptions& options)
      : remote_(std::move(remote)), prefix_(options.prefix), info_(remote_->info()) {
    core_.extent_bytes = options.extent_bytes;
    core_.write_through_bytes = options.write_through_bytes;
    core_.warm = options.warm;
    if (cache.ok()) {
      core_.cache = std::move(*cache);
      info_.read_engine += ", through a cache on the disk";
    } else {
      info_.read_engine += ", without the cache: " + std::string(cache.status().message());
    }
  }

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override {
    BackendFeatures features = remote_->features();
    if (features.queues != nullptr) features.queues = this;
    if (features.bulk != nullptr) features.bulk = this;
    features.meters = this;
    return features;
  }

  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override {
    std::unique_ptr<BlobReader> reader = TakeFresh(name);
    if (reader == nullptr) {
      TARN_ASSIGN(reader, remote_->Open(name));
    }
    const uint64_t identity = reader->identity();
    if (!Cached(name) || identity == 0) return reader;
    return std::unique_ptr<BlobReader>(
        std::make_unique<CachedReader>(&core_, BlobKey{std::string(name), identity}, std::move(reader)));
  }

  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override {
    TARN_ASSIGN(std::unique_ptr<BlobWriter> writer, remote_->Create(name));
    if (!Cached(name)) return writer;
    return std::unique_ptr<BlobWriter>(std::make_unique<CachedWriter>(
        &core_, std::move(writer),
        [this, blob = std::string(name)](uint64_t size, const auto& extents) { Fresh(blob, size, extents); }));
  }

  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    return remote_->PutIfAbsent(name, bytes);
  }

  Status Delete(std::string_view name) override {
    TakeFresh(name);
    const Status deleted = remote_->Delete(name);
    const bool gone = deleted.ok() || deleted.code() == Code::kNotFound;
    if (gone && Cached(name)) core_.cache->Drop(std::string(name));
    return deleted;
  }

  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return remote_->List(prefix, after, limit);
  }

  std::unique_ptr<ReadQueue> NewReadQueue() override {
    std::unique_ptr<ReadQueue> queue = remote_->features().queues->NewReadQueue();
    if (queue == nullptr || core_.cache == nullptr) return queue;
    return NewCachedQueue(&core_, std::move(queue));
  }
  bool MayMove() const override {
    return remote_->features().queues->MayMove() && (core_.cache == nullptr || core_.cache->DiskQueueMayMove());
  }

  Status DeleteAll(std::span<const std::string> names) override {
    for (const std::string& name : names) TakeFresh(name);
    TARN_TRY(remote_->features().bulk->DeleteAll(names));
    for (const std::string& name : names) {
      if (Cached(name)) core_.cache->Drop(name);
    }
    return Status::Ok();
  }

  std::vector<Meter> Meters() override {
    std::vector<Meter> meters;
    if (MeterSource* const remote = remote_->features().meters) meters = remote->Meters();
    meters.push_back({"cache.off", core_.cache == nullptr || core_.cache->off() ? uint64_t{1} : 0});
    if (core_.cache == nullptr) return meters;
    meters.push_back({"cache.hits", core_.hits});
    meters.push_back({"cache.misses", core_.misses});
    core_.cache->AppendMeters(&meters);
    return meters;
  }

 private:
  bool Cached(std::string_view name) const { return core_.cache != nullptr && name.starts_with(prefix_); }

  // A blob was written. What went wrong here is found out by whoever opens it.
  void Fresh(const std::string& name, uint64_t size, const std::deque<std::pair<uint64_t, std::string>>& extents) {
    if (extents.empty()) return;
    auto reader = remote_->Open(name);
    if (!reader.ok() || (*reader)->size() != size || (*reader)->identity() == 0) return;
    const BlobKey key{name, (*reader)->identity()};
    for (const auto& [begin, bytes] : extents) core_.Keep(key, begin, bytes, true);
    const std::lock_guard<std::mutex> lock(fresh_mutex_);
    fresh_[name] = std::move(*reader);
    if (fresh_.size() > kMaxFresh) fresh_.erase(fresh_.begin());  // the oldest table: numbers ascend
  }

  std::unique_ptr<BlobReader> TakeFresh(std::string_view name) {
    const std::lock_guard<std::mutex> lock(fresh_mutex_);
    const auto found = fresh_.find(name);
    return found == fresh_.end() ? nullptr : std::move(fresh_.extract(found).mapped());
  }

  const std::shared_ptr<Backend> remote_;
  const std::string prefix_;
  BackendInfo info_;
  Core core_;
  std::mutex fresh_mutex_;  // guards fresh_
  std::map<std::string, std::unique_ptr<BlobReader>, std::less<>> fresh_;
};

Status CheckOptions(CacheOptions* options) {
  if (options->segment_bytes == 0) {
    const uint64_t share = std::clamp<uint64_t>(options->limit_bytes / 128, 128 << 10, 8 << 20);
    options->segment_bytes = static_cast<uint32_t>(share);
  }
  const uint32_t extent = options->extent_bytes;
  const bool good = extent >= 512 && extent <= 1 << 20 && (extent & (extent - 1)) == 0 &&
                    options->segment_bytes >= 2 * uint64_t{extent} && options->segment_bytes <= 1 << 30 &&
                    options->limit_bytes >= 16 * uint64_t{options->segment_bytes};
  if (good) return Status::Ok();
  return Status::Invalid("a number in the options of the cache is out of range: see backends/cached/cached.h");
}

}  // namespace

Result<std::shared_ptr<Backend>> OpenCached(std::shared_ptr<Backend> remote, Result<std::shared_ptr<Backend>> disk,
                                            const CacheOptions& wanted) {
  CacheOptions options = wanted;
  TARN_TRY(CheckOptions(&options));
  auto cache =
      disk.ok() ? DiskCache::Open(std::move(*disk), options) : Result<std::unique_ptr<DiskCache>>(disk.status());
  if (cache.status().code() == Code::kInvalid) return cache.status();
  return std::shared_ptr<Backend>(std::make_shared<CachedBackend>(std::move(remote), std::move(cache), options));
}

}  // namespace tarn::cached
