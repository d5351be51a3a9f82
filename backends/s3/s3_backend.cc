// The S3 backend: opening a bucket, and the verbs of the contract over client.h.
//
// Two things are remembered, both for this process only:
//   known objects   Size and ETag of blobs that were written or listed here, so that opening them costs no HEAD. An
//                   entry serves one Open; when it misleads (somebody else deleted the blob), the next Open asks.
//   open objects    What readers have open, by name. Delete copies such an object aside first, and points the readers
//                   at the copy. A lock for each name keeps a blob from being opened while it is deleted.
// A copy aside is deleted with its last reader. A process that dies leaves its copies below TARN-S3/ASIDE/EPOCH/, and
// the parts of its uploads; Collect of a later epoch takes both.
#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "backends/s3/client.h"
#include "backends/s3/encoding.h"
#include "backends/s3/name_locks.h"
#include "backends/s3/proof.h"
#include "backends/s3/reader.h"
#include "backends/s3/s3_internal.h"
#include "backends/s3/writer.h"
#include "tarn/sdk/blob_name.h"

namespace tarn::s3 {
namespace {

constexpr std::string_view kPrivate = "TARN-S3/";  // of what is ours and no blob
constexpr size_t kMaxKnown = 16'384;               // about 2 MiB
constexpr uint64_t kMaxCopyBytes = 5ull << 30;     // a rule of S3

struct Known {
  uint64_t size = 0;
  std::string etag;
};

// The same whether the ETag was told by HEAD, by a listing or when the object was written. 0: there is none.
uint64_t IdentityOf(const std::string& etag) {
  if (etag.empty()) return 0;
  uint64_t identity = 0;
  for (const char byte : Sha256(etag).substr(0, 8)) identity = identity << 8 | static_cast<unsigned char>(byte);
  return std::max<uint64_t>(identity, 1);
}

// Threads: any.
class KnownObjects {
 public:
  void Put(const std::string& name, uint64_t size, const std::string& etag) {
    if (etag.empty()) return;  // could not be told from another object of the name
    const std::lock_guard<std::mutex> lock(mutex_);
    if (known_.size() >= kMaxKnown) known_.erase(known_.begin());
    known_[name] = {size, etag};
  }
  std::optional<Known> Take(const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto node = known_.extract(name);
    return node.empty() ? std::nullopt : std::optional<Known>(node.mapped());
  }

 private:
  std::mutex mutex_;  // guards known_
  std::unordered_map<std::string, Known> known_;
};

// "PREFIX/TARN-S3/ASIDE/" and 16 hexadecimal digits of an epoch.
std::string AsideOf(const std::string& folder, uint64_t epoch) {
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(epoch));
  return folder + digits;
}

class S3BackendImpl final : public S3Backend,
                            public ReadQueueSource,
                            public BulkDelete,
                            public Collector,
                            public MeterSource {
 public:
  S3BackendImpl(const S3Options& options, std::shared_ptr<Client> client)
      : options_(options),
        client_(std::move(client)),
        prefix_(options.prefix.empty() ? "" : options.prefix + "/"),
        private_(prefix_ + std::string(kPrivate)),
        asides_(private_ + "ASIDE/") {
    const Endpoint& endpoint = client_->caller()->endpoint;
    info_.name = "s3";
    info_.read_engine = "ranged GETs at " + endpoint.scheme + "://" + endpoint.host;
    info_.latency = LatencyClass::kNetwork;
    info_.parallel_reads = options.connections;
  }

  // The first request: whether we may be here at all; and for writing, whether we can.
  Status Begin() {
    const std::string marker = MarkerKey(private_, client_->caller()->endpoint);
    TARN_ASSIGN(const auto proved, client_->GetSmall(marker));
    if (proved || options_.read_only) return Status::Ok();
    return ProvePutIfAbsent(client_.get(), private_);
  }

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override { return {.queues = this, .bulk = this, .collector = this, .meters = this}; }
  std::unique_ptr<ReadQueue> NewReadQueue() override { return NewS3Queue(client_, options_.connections); }
  bool MayMove() const override { return true; }
  S3Stats stats() const override;
  const S3Prices& prices() const override { return options_.prices; }
  std::vector<Meter> Meters() override;

  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override;
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override;
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override;
  Status Delete(std::string_view name) override;
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status DeleteAll(std::span<const std::string> names) override;
  Status Collect(uint64_t epoch, const std::function<bool(std::string_view)>& theirs) override;

 private:
  std::string KeyOf(std::string_view name) const { return prefix_ + std::string(name); }
  Status CheckWritable(std::string_view name) const {
    TARN_TRY(CheckBlobName(name));
    if (!options_.read_only) return Status::Ok();
    return Status::Invalid("cannot change " + client_->ObjectName(KeyOf(name)) +
                           ": the store was opened read-only: open it for writing");
  }
  std::shared_ptr<OpenObject> Share(const std::string& name, const Known& facts);
  std::shared_ptr<OpenObject> TakeOpen(const std::string& name);
  void Closed(OpenObject* object);
  Status KeepForReaders(const std::string& name);
  Status CopyAside(OpenObject* open);
  Status CollectCopies(uint64_t epoch);
  Status CollectUploads(const std::function<bool(std::string_view)>& theirs);

  const S3Options options_;
  const std::shared_ptr<Client> client_;
  const std::string prefix_, private_, asides_;
  BackendInfo info_;
  KnownObjects known_;
  std::atomic<uint64_t> epoch_{0}, collected_copies_{0}, collected_uploads_{0};
  NameLocks names_;        // shared: opened; alone: deleted. Taken before all others.
  std::mutex open_mutex_;  // guards open_
  std::map<std::string, std::weak_ptr<OpenObject>> open_;
};

// --- open objects ------------------------------------------------------------------------------------------

// The open object of that name, made when there is none. Another one of the name was replaced by somebody else: its
// readers keep what they have, and will be told.
std::shared_ptr<OpenObject> S3BackendImpl::Share(const std::string& name, const Known& facts) {
  std::shared_ptr<OpenObject> there;  // outlives the lock: letting it go may be the end of it, and takes the lock
  const std::lock_guard<std::mutex> lock(open_mutex_);
  if ((there = open_[name].lock())) {
    const std::lock_guard<std::mutex> object_lock(there->mutex);
    if (there->etag == facts.etag && there->size == facts.size) return there;
  }
  std::shared_ptr<OpenObject> made(
      new OpenObject{KeyOf(name), facts.size, IdentityOf(facts.etag), {}, KeyOf(name), facts.etag, false},
      [this](OpenObject* object) { Closed(object); });
  open_[name] = made;
  return made;
}

std::shared_ptr<OpenObject> S3BackendImpl::TakeOpen(const std::string& name) {
  const std::lock_guard<std::mutex> lock(open_mutex_);
  const auto found = open_.find(name);
  if (found == open_.end()) return nullptr;
  std::shared_ptr<OpenObject> object = found->second.lock();
  open_.erase(found);
  return object;
}

void S3BackendImpl::Closed(OpenObject* object) {
  const std::unique_ptr<OpenObject> owned(object);
  if (owned->aside) client_->Drop(owned->key);
  const std::lock_guard<std::mutex> lock(open_mutex_);
  const auto found = open_.find(owned->blob.substr(prefix_.size()));
  if (found != open_.end() && found->second.expired()) open_.erase(found);
}

// --- the contract ------------------------------------------------------------------------------------------

Result<std::unique_ptr<BlobReader>> S3BackendImpl::Open(std::string_view name) {
  TARN_TRY(CheckBlobName(name));
  const std::string blob(name);
  const NameLocks::Held held = names_.Share(blob);
  std::optional<Known> facts = known_.Take(blob);
  if (!facts) {
    TARN_ASSIGN(ObjectFacts asked, client_->Head(KeyOf(name)));
    facts = {asked.size, std::move(asked.etag)};
  }
  return std::unique_ptr<BlobReader>(std::make_unique<S3Reader>(client_, Share(blob, *facts)));
}

Result<std::unique_ptr<BlobWriter>> S3BackendImpl::Create(std::string_view name) {
  TARN_TRY(CheckWritable(name));
  WriterOptions options;
  options.part_bytes = options_.part_bytes;
  options.parallel_parts = options_.parallel_parts;
  options.published = [this, blob = std::string(name)](uint64_t size, const std::string& etag) {
    known_.Put(blob, size, etag);
  };
  return NewS3Writer(client_, KeyOf(name), std::move(options));
}

Result<PutOutcome> S3BackendImpl::PutIfAbsent(std::string_view name, std::string_view bytes) {
  TARN_TRY(CheckWritable(name));
  TARN_ASSIGN(const Created created, client_->PutIfAbsent(KeyOf(name), std::make_shared<const std::string>(bytes)));
  if (created.outcome == PutOutcome::kCreated) known_.Put(std::string(name), bytes.size(), created.etag);
  return created.outcome;
}

Status S3BackendImpl::Delete(std::string_view name) {
  TARN_TRY(CheckWritable(name));
  const std::string blob(name), key = KeyOf(name);
  const NameLocks::Held held = names_.Exclude({&blob, 1});
  known_.Take(blob);
  TARN_TRY(client_->Head(key).status());  // S3 itself says OK of what is not there
  TARN_TRY(KeepForReaders(blob));
  return client_->Delete(key);
}

Status S3BackendImpl::DeleteAll(std::span<const std::string> names) {
  for (const std::string& name : names) TARN_TRY(CheckWritable(name));
  const NameLocks::Held held = names_.Exclude(names);
  std::vector<std::string> keys;
  Status first_error;
  for (const std::string& name : names) {
    known_.Take(name);
    const Status kept = KeepForReaders(name);
    if (kept.ok()) keys.push_back(KeyOf(name));
    if (first_error.ok()) first_error = kept;
  }
  const Status deleted = client_->DeleteMany(keys);
  return first_error.ok() ? deleted : first_error;
}

// What has readers here is copied aside before it is deleted.
Status S3BackendImpl::KeepForReaders(const std::string& name) {
  const std::shared_ptr<OpenObject> open = TakeOpen(name);
  if (open == nullptr) return Status::Ok();
  Status kept = CopyAside(open.get());
  if (kept.ok()) return kept;
  const std::lock_guard<std::mutex> lock(open_mutex_);
  open_[name] = open;
  return kept;
}

Status S3BackendImpl::CopyAside(OpenObject* open) {
  if (open->size > kMaxCopyBytes) {
    return Status::Busy(
        client_->ObjectName(open->key) +
        " has readers and more than 5 GiB, which S3 does not copy: " + "close its readers, then delete it");
  }
  const std::string aside = AsideOf(asides_, epoch_) + "/" + client_->NewAttemptId();
  const Result<std::string> copied = client_->Copy(open->key, open->etag, open->size, aside);
  // Somebody else replaced it, and there is nothing left to keep for its readers.
  if (copied.status().code() == Code::kNotFound) return Status::Ok();
  TARN_TRY(copied.status());
  const std::lock_guard<std::mutex> lock(open->mutex);
  open->key = aside;
  open->etag = *copied;
  open->aside = true;
  return Status::Ok();
}

Result<ListPage> S3BackendImpl::List(std::string_view prefix, std::string_view after, size_t limit) {
  ListPage page;
  std::string from = after.empty() ? "" : KeyOf(after);
  size_t skipped = 0;  // asked for on top, so that many of them do not cost a request each
  for (page.more = true; page.more && page.blobs.size() < limit;) {
    TARN_ASSIGN(const ObjectPage got, client_->List(KeyOf(prefix), from, limit - page.blobs.size() + skipped));
    for (const ListedObject& object : got.objects) {
      if (object.key <= from || !object.key.starts_with(prefix_)) {
        return Status::Io("the server lists " + client_->ObjectName(object.key) +
                          " where it does not belong: check that the endpoint speaks S3");
      }
      from = object.key;
      std::string name = object.key.substr(prefix_.size());
      if (!IsBlobName(name)) {  // ours, or somebody else's file
        ++skipped;
        continue;
      }
      if (page.blobs.size() == limit) return page;
      known_.Put(name, object.size, object.etag);
      page.blobs.push_back({std::move(name), object.size});
    }
    page.more = got.truncated;
  }
  return page;
}

// --- what dead writers left --------------------------------------------------------------------------------

Status S3BackendImpl::Collect(uint64_t epoch, const std::function<bool(std::string_view)>& theirs) {
  epoch_ = epoch;
  const Status copies = CollectCopies(epoch);
  const Status uploads = CollectUploads(theirs);
  return copies.ok() ? uploads : copies;
}

// Epochs sort like their digits, so what is older stands first.
Status S3BackendImpl::CollectCopies(uint64_t epoch) {
  const std::string end = AsideOf(asides_, epoch);
  std::string after;
  for (bool more = true; more;) {
    TARN_ASSIGN(const ObjectPage page, client_->List(asides_, after, 1000));
    std::vector<std::string> older;
    for (const ListedObject& object : page.objects) {
      if (object.key.starts_with(asides_) && object.key > after && object.key < end) older.push_back(object.key);
    }
    TARN_TRY(client_->DeleteMany(older));
    collected_copies_ += older.size();
    more = page.truncated && older.size() == page.objects.size();
    if (more) after = older.back();
  }
  return Status::Ok();
}

Status S3BackendImpl::CollectUploads(const std::function<bool(std::string_view)>& theirs) {
  UploadPage page;
  do {
    TARN_ASSIGN(page, client_->ListUploads(prefix_, page.next_key, page.next_id));
    for (const ListedUpload& upload : page.uploads) {
      if (!upload.key.starts_with(prefix_)) continue;
      const std::string name = upload.key.substr(prefix_.size());
      if (!IsBlobName(name) || !theirs(name)) continue;
      TARN_TRY(client_->AbortUpload(upload.key, upload.id));
      ++collected_uploads_;
    }
  } while (page.truncated);
  return Status::Ok();
}

// --- facts -------------------------------------------------------------------------------------------------

std::vector<Meter> S3BackendImpl::Meters() {
  const S3Stats now = stats();
  const S3Cost cost = CostOf(now, options_.prices);
  const auto billionths = [](double money) { return static_cast<uint64_t>(money * 1e9 + 0.5); };
  std::vector<Meter> meters;
  for (size_t i = 0; i < kVerbs; ++i) {
    std::string verb(VerbName(static_cast<Verb>(i)));
    for (char& c : verb) c = c == '-' ? '_' : static_cast<char>(c + ('a' - 'A'));
    meters.push_back({"s3.requests." + verb, now.requests[i]});
  }
  meters.push_back({"s3.bytes_sent", now.bytes_sent});
  meters.push_back({"s3.bytes_received", now.bytes_received});
  meters.push_back({"s3.retries", now.retries});
  meters.push_back({"s3.throttles", now.throttles});
  meters.push_back({"s3.hedges", now.hedges});
  meters.push_back({"s3.hedges_won", now.hedges_won});
  meters.push_back({"s3.collected.copies", now.collected_copies});
  meters.push_back({"s3.collected.uploads", now.collected_uploads});
  meters.push_back({"s3.cost.requests_billionths", billionths(cost.requests)});
  meters.push_back({"s3.cost.transfer_billionths", billionths(cost.transfer)});
  meters.push_back({"s3.cost.gb_month_billionths", billionths(options_.prices.storage)});
  return meters;
}

S3Stats S3BackendImpl::stats() const {
  const Caller& caller = *client_->caller();
  S3Stats stats;
  for (size_t i = 0; i < kVerbs; ++i) stats.requests[i] = caller.requests[i];
  stats.bytes_sent = caller.bytes_sent;
  stats.bytes_received = caller.bytes_received;
  stats.retries = caller.retries;
  stats.throttles = caller.throttles;
  stats.hedges = caller.hedges;
  stats.hedges_won = caller.hedges_won;
  stats.collected_copies = collected_copies_;
  stats.collected_uploads = collected_uploads_;
  return stats;
}

}  // namespace

Result<std::shared_ptr<S3Backend>> OpenS3With(const S3Options& wanted, const S3Parts& parts) {
  S3Options options = wanted;
  TARN_TRY(CheckOptions(&options));
  if (parts.clock == nullptr || parts.entropy == nullptr) {
    return Status::Invalid("the S3 backend needs a clock and entropy: pass those of the program");
  }
  auto caller = std::make_shared<Caller>();
  TARN_ASSIGN(caller->endpoint, FindEndpoint(options, parts.around));
  TARN_ASSIGN(caller->credentials, FindCredentials(options, parts.around, parts.transport, parts.clock));
  caller->policy.total_nanos = options.deadline_nanos;
  caller->hedge = options.hedge;
  caller->transport = parts.transport;
  caller->clock = parts.clock;
  caller->entropy = parts.entropy;
  caller->signer = std::make_unique<Signer>(caller->endpoint.region);
  auto client = std::make_shared<Client>(std::move(caller), options.if_match_quotes);
  auto backend = std::make_shared<S3BackendImpl>(options, std::move(client));
  TARN_TRY(backend->Begin());
  return std::shared_ptr<S3Backend>(std::move(backend));
}

Result<std::shared_ptr<S3Backend>> OpenS3Backend(const S3Options& options, std::shared_ptr<Clock> clock,
                                                 std::shared_ptr<Entropy> entropy) {
  if (clock == nullptr) return Status::Invalid("the S3 backend needs a clock and entropy: pass those of the program");
  TARN_ASSIGN(auto transport, NewCurlTransport({options.connections, options.ca_file}, clock));
  return OpenS3With(options, {std::move(clock), std::move(entropy), std::move(transport), ProcessSurroundings()});
}

}  // namespace tarn::s3
