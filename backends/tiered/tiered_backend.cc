// The verbs of the contract over two sides. Names at "wal/" and below are near, all others far; copies are the
// business of near_copies.h, reads of tiered_queue.h.
//
// Far first, always: a blob is there when far has it, and gone when far has lost it. Between the two a copy may be
// missing, or be left over until the next process takes stock; neither is ever an answer.
#include <algorithm>
#include <utility>

#include "backends/tiered/near_copies.h"
#include "backends/tiered/tiered.h"
#include "backends/tiered/tiered_queue.h"

namespace tarn::tiered {
namespace {

constexpr std::string_view kLog = "wal/";
constexpr std::string_view kTables = "table/";
constexpr size_t kFetchBytes = 1 << 20;

bool IsNear(std::string_view name) { return name.starts_with(kLog); }
bool IsTable(std::string_view name) { return name.starts_with(kTables); }

// Far decides; the copy follows while it can.
class TieredWriter final : public BlobWriter {
 public:
  TieredWriter(std::shared_ptr<NearCopies> copies, std::string_view name, std::unique_ptr<BlobWriter> far,
               std::unique_ptr<NearCopies::Writer> copy)
      : copies_(std::move(copies)), name_(name), far_(std::move(far)), copy_(std::move(copy)) {}

  Status Append(std::string_view bytes) override {
    TARN_TRY(far_->Append(bytes));
    if (copy_ != nullptr && !copy_->Append(bytes)) copy_.reset();
    return {};
  }
  Status Finish() override {
    TARN_TRY(far_->Finish());
    copies_->NoteFar(name_);
    if (copy_ != nullptr) copy_->Finish();
    copy_.reset();
    return {};
  }

 private:
  const std::shared_ptr<NearCopies> copies_;
  const std::string name_;
  const std::unique_ptr<BlobWriter> far_;
  std::unique_ptr<NearCopies::Writer> copy_;
};

class TieredBackend final : public Backend,
                            public AppendStore,
                            public LockStore,
                            public ReadQueueSource,
                            public BulkDelete,
                            public Placement,
                            public MeterSource {
 public:
  TieredBackend(std::shared_ptr<Backend> far, std::shared_ptr<Backend> near, const TieredOptions& options)
      : far_(std::move(far)), near_(std::move(near)), copies_(std::make_shared<NearCopies>(near_, options)) {
    info_ = far_->info();
    info_.name = far_->info().name + " with its log in " + near_->info().name;
    info_.read_engine = far_->info().read_engine + "; near " + near_->info().read_engine;
    info_.log_is_near = true;
  }

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override {
    const BackendFeatures far = far_->features(), near = near_->features();
    BackendFeatures features = {
        .locks = this, .space = far.space, .collector = far.collector, .placement = this, .meters = this};
    if (near.append != nullptr) features.append = this;
    if (near.queues != nullptr && far.queues != nullptr) features.queues = this;
    if (far.bulk != nullptr) features.bulk = this;
    return features;
  }

  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override {
    if (IsNear(name)) return near_->Open(name);
    TARN_ASSIGN(std::unique_ptr<BlobReader> far, far_->Open(name));
    NearCopies::Opened copy;
    if (IsTable(name)) copy = copies_->Open(name, far->size());
    return std::unique_ptr<BlobReader>(
        std::make_unique<TieredReader>(copies_, name, std::move(far), std::move(copy)));
  }
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override {
    if (IsNear(name)) return near_->Create(name);
    TARN_ASSIGN(std::unique_ptr<BlobWriter> far, far_->Create(name));
    if (!IsTable(name)) return far;
    auto copy = copies_->Wanted(name) ? copies_->Create(name, /*evict=*/true) : nullptr;
    return std::unique_ptr<BlobWriter>(
        std::make_unique<TieredWriter>(copies_, name, std::move(far), std::move(copy)));
  }
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    return (IsNear(name) ? near_ : far_)->PutIfAbsent(name, bytes);
  }
  Status Delete(std::string_view name) override {
    if (IsNear(name)) return near_->Delete(name);
    const Status deleted = far_->Delete(name);
    if (IsTable(name) && (deleted.ok() || deleted.code() == Code::kNotFound)) copies_->Forget(name);
    return deleted;
  }
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override;

  Result<std::unique_ptr<AppendFile>> CreateAppend(std::string_view name) override {
    if (IsNear(name)) return near_->features().append->CreateAppend(name);
    return Status::Invalid("append file " + std::string(name.substr(0, 64)) +
                           ": a tiered store keeps them below wal/ only; name it so");
  }
  // The moment of ownership: from here on copies are ours to keep in order.
  Result<std::unique_ptr<Lock>> TryLock(std::string_view name, std::string_view holder) override {
    TARN_ASSIGN(std::unique_ptr<Lock> lock, near_->features().locks->TryLock(name, holder));
    if (name == "lock" && near_->features().append != nullptr) TARN_TRY(copies_->TakeStock(*far_));
    return lock;
  }
  std::unique_ptr<ReadQueue> NewReadQueue() override {
    // Where one side has none the host's threads serve both.
    auto near = near_->features().queues->NewReadQueue();
    auto far = far_->features().queues->NewReadQueue();
    return near == nullptr || far == nullptr ? nullptr : NewTieredQueue(std::move(near), std::move(far));
  }
  bool MayMove() const override { return near_->features().queues->MayMove() && far_->features().queues->MayMove(); }
  Status DeleteAll(std::span<const std::string> names) override;
  void Prefer(std::string_view name, Place place) override;
  std::vector<Meter> Meters() override;

 private:
  void Fetch(std::string_view name);

  const std::shared_ptr<Backend> far_, near_;
  const std::shared_ptr<NearCopies> copies_;
  BackendInfo info_;
};

// What far has at "wal/" was left by a store without a near side, and is not ours.
Result<ListPage> TieredBackend::List(std::string_view prefix, std::string_view after, size_t limit) {
  if (IsNear(prefix)) return near_->List(prefix, after, limit);
  ListPage page;
  std::string from(after);
  for (page.more = true; page.more && page.blobs.size() < limit;) {
    TARN_ASSIGN(ListPage got, far_->List(prefix, from, limit - page.blobs.size()));
    page.more = got.more && !got.blobs.empty();
    if (!got.blobs.empty()) from = got.blobs.back().name;
    for (BlobInfo& blob : got.blobs) {
      if (!IsNear(blob.name)) page.blobs.push_back(std::move(blob));
    }
  }
  if (!kLog.starts_with(prefix)) return page;
  // The log's names are near, and stand somewhere among the others.
  TARN_ASSIGN(ListPage log, near_->List(kLog, after, limit));
  const auto by_name = [](const BlobInfo& a, const BlobInfo& b) { return a.name < b.name; };
  const std::string last_far = page.blobs.empty() ? std::string() : page.blobs.back().name;
  const std::string last_log = log.blobs.empty() ? std::string() : log.blobs.back().name;
  std::vector<BlobInfo> both;
  std::merge(std::make_move_iterator(page.blobs.begin()), std::make_move_iterator(page.blobs.end()),
             std::make_move_iterator(log.blobs.begin()), std::make_move_iterator(log.blobs.end()),
             std::back_inserter(both), by_name);
  // Behind where a side stopped listing it may have names that belong before the other side's.
  if (page.more) std::erase_if(both, [&](const BlobInfo& blob) { return blob.name > last_far; });
  if (log.more) std::erase_if(both, [&](const BlobInfo& blob) { return blob.name > last_log; });
  page.more = page.more || log.more || both.size() > limit;
  if (both.size() > limit) both.resize(limit);
  page.blobs = std::move(both);
  return page;
}

Status TieredBackend::DeleteAll(std::span<const std::string> names) {
  std::vector<std::string> far;
  for (const std::string& name : names) {
    if (!IsNear(name)) {
      far.push_back(name);
      continue;
    }
    const Status deleted = near_->Delete(name);
    if (!deleted.ok() && deleted.code() != Code::kNotFound) return deleted;
  }
  TARN_TRY(far_->features().bulk->DeleteAll(far));
  for (const std::string& name : far) {
    if (IsTable(name)) copies_->Forget(name);
  }
  return {};
}

void TieredBackend::Prefer(std::string_view name, Place place) {
  if (!IsTable(name)) return;
  if (place == Place::kFar) return copies_->Drop(name, /*failed=*/false);
  if (copies_->Fetchable(name)) return Fetch(name);
  copies_->Want(name);
}

// Into room that is free: what is hot already does not go for it.
void TieredBackend::Fetch(std::string_view name) {
  const Result<std::unique_ptr<BlobReader>> blob = far_->Open(name);
  if (!blob.ok()) return;
  const auto copy = copies_->Create(name, /*evict=*/false);
  if (copy == nullptr) return;
  std::string bytes;
  for (uint64_t at = 0; at < (*blob)->size(); at += bytes.size()) {
    bytes.resize(std::min<uint64_t>(kFetchBytes, (*blob)->size() - at));
    if (!(*blob)->Read(at, bytes).ok() || !copy->Append(bytes)) return;
  }
  if (copy->Finish()) ++copies_->counts.fetched;
}

std::vector<Meter> TieredBackend::Meters() {
  const CopyCounts& counts = copies_->counts;
  std::vector<Meter> meters = {
      {"tiered.copies", copies_->copies()},      {"tiered.copy_bytes", copies_->bytes()},
      {"tiered.near_reads", counts.near_reads},  {"tiered.far_reads", counts.far_reads},
      {"tiered.copies_dropped", counts.dropped}, {"tiered.copies_evicted", counts.evicted},
      {"tiered.copies_fetched", counts.fetched},
  };
  for (Backend* side : {far_.get(), near_.get()}) {
    MeterSource* const source = side->features().meters;
    if (source == nullptr) continue;
    for (Meter& meter : source->Meters()) meters.push_back(std::move(meter));
  }
  return meters;
}

}  // namespace

Result<std::shared_ptr<Backend>> OpenTiered(std::shared_ptr<Backend> far, std::shared_ptr<Backend> near,
                                            const TieredOptions& options) {
  const BackendFeatures features = near->features();
  if (features.locks == nullptr || (features.append == nullptr && !options.read_only)) {
    return Status::Invalid("backend " + near->info().name +
                           " cannot keep a log: it has no append files or no locks; name a local directory");
  }
  TARN_ASSIGN(const ListPage manifest, near->List("manifest/", "", 1));
  if (!manifest.blobs.empty()) {
    return Status::Invalid("the place for the log holds a store of its own (" + manifest.blobs[0].name +
                           "); name an empty directory, or the one that this store's log is in");
  }
  return std::shared_ptr<Backend>(std::make_shared<TieredBackend>(std::move(far), std::move(near), options));
}

}  // namespace tarn::tiered
