#include "tests/support/mem_backend.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "tarn/sdk/blob_name.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

constexpr uint64_t kSectorBytes = 512;

std::string_view DirectoryOf(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}

// As an ETag tells it: of other bytes, another one.
uint64_t IdentityOf(std::string_view bytes) { return std::max<uint64_t>(Hash64(bytes), 1); }

// What a power cut leaves of an append file whose first `synced` bytes are safe.
std::string TornBytes(const std::string& bytes, uint64_t synced, SeededRandom& random) {
  if (synced >= bytes.size()) return bytes;
  // The size is metadata and survives apart from the data: anywhere between the synced and the full length.
  uint64_t size = bytes.size();
  if (random.OneIn(2)) size = synced + random.Below(bytes.size() - synced + 1);
  std::string torn = bytes.substr(0, synced);
  torn.resize(size, '\0');
  // Three kinds of cut: nothing was written back, everything was, or each sector on its own.
  const uint64_t kind = random.Below(4);
  for (uint64_t at = synced; at < size;) {
    const uint64_t end = std::min(size, (at / kSectorBytes + 1) * kSectorBytes);
    const bool survives = kind == 0 ? false : kind == 1 ? true : random.OneIn(2);
    if (survives) std::memcpy(torn.data() + at, bytes.data() + at, end - at);
    at = end;
  }
  return torn;
}

}  // namespace

class MemBackend::Reader final : public BlobReader {
 public:
  Reader(std::string name, std::shared_ptr<const File> file) : name_(std::move(name)), file_(std::move(file)) {
    std::lock_guard lock(file_->mutex);
    size_ = file_->bytes.size();
  }
  uint64_t size() const override { return size_; }
  uint64_t identity() const override { return file_->identity; }
  Status Read(uint64_t offset, std::span<char> out) const override {
    std::lock_guard lock(file_->mutex);
    const uint64_t end = std::min<uint64_t>(size_, file_->bytes.size());
    if (offset > end || out.size() > end - offset) {
      return Status::Corruption("blob " + name_ + " ends at byte " + std::to_string(end) + ", but " +
                                std::to_string(out.size()) + " bytes at offset " + std::to_string(offset) +
                                " are needed: run tarn check");
    }
    if (!out.empty()) std::memcpy(out.data(), file_->bytes.data() + offset, out.size());
    return Status::Ok();
  }

 private:
  const std::string name_;
  const std::shared_ptr<const File> file_;
  uint64_t size_ = 0;
};

class MemBackend::Writer final : public BlobWriter {
 public:
  Writer(MemBackend* backend, std::string_view name) : backend_(backend), name_(name) {}
  ~Writer() override {
    if (published_) return;
    std::lock_guard lock(backend_->mutex_);
    backend_->used_ -= bytes_.size();
  }
  Status Append(std::string_view bytes) override {
    TARN_TRY(Usable());
    {
      std::lock_guard lock(backend_->mutex_);
      failure_ = backend_->Charge(bytes.size(), name_);
    }
    TARN_TRY(failure_);
    bytes_.append(bytes);
    return Status::Ok();
  }
  Status Finish() override {
    TARN_TRY(Usable());
    std::lock_guard lock(backend_->mutex_);
    failure_ = backend_->CheckFree(name_);
    TARN_TRY(failure_);
    auto file = std::make_shared<File>();
    file->bytes = std::move(bytes_);
    file->identity = IdentityOf(file->bytes);
    published_ = true;
    backend_->Publish(name_, std::move(file));
    return Status::Ok();
  }

 private:
  Status Usable() const {
    if (published_) return Status::Invalid("blob " + name_ + " was already finished: create another blob");
    return failure_;
  }

  MemBackend* const backend_;
  const std::string name_;
  std::string bytes_;
  Status failure_;
  bool published_ = false;
};

class MemBackend::Appender final : public AppendFile {
 public:
  Appender(MemBackend* backend, std::string_view name, std::shared_ptr<File> file)
      : backend_(backend), name_(name), file_(std::move(file)) {}
  Status Append(std::string_view bytes) override {
    TARN_TRY(failure_);
    std::lock_guard lock(backend_->mutex_);
    std::lock_guard file_lock(file_->mutex);
    if (!file_->deleted) failure_ = backend_->Charge(bytes.size(), name_);
    TARN_TRY(failure_);
    file_->bytes.append(bytes);
    return Status::Ok();
  }
  Status Sync() override {
    TARN_TRY(failure_);
    std::lock_guard lock(file_->mutex);
    file_->synced = file_->bytes.size();
    return Status::Ok();
  }

 private:
  MemBackend* const backend_;
  const std::string name_;
  const std::shared_ptr<File> file_;
  Status failure_;  // once set, the file is poisoned
};

class MemBackend::HeldLock final : public Lock {
 public:
  HeldLock(MemBackend* backend, std::string_view name) : backend_(backend), name_(name) {}
  ~HeldLock() override {
    std::lock_guard lock(backend_->mutex_);
    backend_->locks_.erase(name_);
  }

 private:
  MemBackend* const backend_;
  const std::string name_;
};

// Reads when asked to wait, one after the other, in the order of submission: what a simulator wants.
class MemBackend::Queue final : public ReadQueue {
 public:
  void Submit(ReadRequest* request) override { pending_.push_back(request); }
  std::vector<ReadRequest*> Wait() override {
    if (pending_.empty()) return {};
    ReadRequest* request = pending_.front();
    pending_.pop_front();
    request->status = request->blob->Read(request->offset, request->out);
    return {request};
  }

 private:
  std::deque<ReadRequest*> pending_;
};

MemBackend::MemBackend(MemOptions options)
    : options_(options),
      info_{.name = "mem", .read_engine = "memory", .latency = options.latency, .best_write_bytes = 64 << 10} {}
MemBackend::~MemBackend() = default;

void MemBackend::SetCapacity(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

uint64_t MemBackend::used_bytes() const {
  std::lock_guard lock(mutex_);
  return used_;
}

std::shared_ptr<MemBackend> MemBackend::CrashClone(uint64_t seed, CrashMode mode) const {
  auto clone = std::make_shared<MemBackend>(options_);
  SeededRandom random(seed);
  std::lock_guard lock(mutex_);
  clone->capacity_ = capacity_;
  auto survive = [&](const std::string& name, const File& file) {
    std::lock_guard file_lock(file.mutex);
    auto copy = std::make_shared<File>();
    copy->append = file.append;
    copy->identity = file.identity;
    copy->bytes = file.bytes;
    if (file.append && mode == CrashMode::kDropUnsynced) copy->bytes.resize(file.synced);
    if (file.append && mode == CrashMode::kTornSubset) copy->bytes = TornBytes(file.bytes, file.synced, random);
    // After a power cut all that is there was read back from the device. After a mere kill the page cache may
    // still be ahead of it, so a second crash can lose those bytes.
    copy->synced = mode == CrashMode::kProcessKill ? file.synced : copy->bytes.size();
    clone->used_ += copy->bytes.size();
    clone->files_.emplace(name, std::move(copy));
  };
  for (const auto& [name, file] : files_) survive(name, *file);
  for (const auto& [name, file] : graveyard_) {
    if (mode == CrashMode::kTornSubset && random.OneIn(2)) survive(name, *file);
    if (mode == CrashMode::kProcessKill) clone->graveyard_.emplace(name, file);
  }
  return clone;
}

Result<std::string> MemBackend::Contents(std::string_view name) const {
  std::lock_guard lock(mutex_);
  const auto it = files_.find(name);
  if (it == files_.end()) return Status::NotFound("no blob " + std::string(name));
  std::lock_guard file_lock(it->second->mutex);
  return it->second->bytes;
}

Status MemBackend::Corrupt(std::string_view name, std::string bytes) {
  std::lock_guard lock(mutex_);
  const auto it = files_.find(name);
  if (it == files_.end()) return Status::NotFound("no blob " + std::string(name));
  std::lock_guard file_lock(it->second->mutex);
  used_ += bytes.size();
  used_ -= it->second->bytes.size();
  it->second->bytes = std::move(bytes);
  it->second->synced = it->second->bytes.size();
  return Status::Ok();
}

BackendFeatures MemBackend::features() {
  BackendFeatures features;
  if (options_.append) features.append = this;
  if (options_.locks) features.locks = this;
  if (options_.queues) features.queues = this;
  if (options_.bulk) features.bulk = this;
  features.space = this;
  return features;
}

Status MemBackend::CheckFree(std::string_view name) const {
  if (files_.contains(name)) {
    return Status::Busy("blob " + std::string(name) + " already exists: choose another name");
  }
  const std::string as_directory = std::string(name) + "/";
  const auto below = files_.lower_bound(as_directory);
  bool clash = below != files_.end() && below->first.starts_with(as_directory);
  for (auto dir = DirectoryOf(name); !dir.empty(); dir = DirectoryOf(dir)) clash = clash || files_.contains(dir);
  if (!clash) return Status::Ok();
  return Status::Invalid("blob name " + std::string(name) + " is or has a prefix directory of another blob");
}

void MemBackend::Publish(std::string_view name, std::shared_ptr<File> file) {
  files_.emplace(name, std::move(file));
  std::erase_if(graveyard_, [&](const auto& dead) { return DirectoryOf(dead.first) == DirectoryOf(name); });
}

Status MemBackend::Charge(uint64_t bytes, std::string_view name) {
  if (used_ > capacity_ || bytes > capacity_ - used_) {
    return Status::NoSpace("memory backend is full (" + std::to_string(capacity_) + " bytes) while writing " +
                           std::string(name) + ": delete something or raise the capacity");
  }
  used_ += bytes;
  return Status::Ok();
}

Result<std::unique_ptr<BlobReader>> MemBackend::Open(std::string_view name) {
  TARN_TRY(CheckBlobName(name));
  std::lock_guard lock(mutex_);
  const auto it = files_.find(name);
  if (it == files_.end()) return Status::NotFound("no blob " + std::string(name) + " in the memory backend");
  return std::unique_ptr<BlobReader>(std::make_unique<Reader>(it->first, it->second));
}

Result<std::unique_ptr<BlobWriter>> MemBackend::Create(std::string_view name) {
  TARN_TRY(CheckBlobName(name));
  return std::unique_ptr<BlobWriter>(std::make_unique<Writer>(this, name));
}

Result<PutOutcome> MemBackend::PutIfAbsent(std::string_view name, std::string_view bytes) {
  TARN_TRY(CheckBlobName(name));
  std::lock_guard lock(mutex_);
  const Status free = CheckFree(name);
  if (free.code() == Code::kBusy) return PutOutcome::kExists;
  TARN_TRY(free);
  TARN_TRY(Charge(bytes.size(), name));
  auto file = std::make_shared<File>();
  file->bytes = bytes;
  file->identity = IdentityOf(file->bytes);
  Publish(name, std::move(file));
  return PutOutcome::kCreated;
}

Status MemBackend::Delete(std::string_view name) {
  TARN_TRY(CheckBlobName(name));
  std::lock_guard lock(mutex_);
  const auto it = files_.find(name);
  if (it == files_.end()) return Status::NotFound("no blob " + std::string(name) + " to delete");
  {
    std::lock_guard file_lock(it->second->mutex);
    used_ -= it->second->bytes.size();
    it->second->deleted = true;
  }
  graveyard_[it->first] = it->second;
  files_.erase(it);
  return Status::Ok();
}

Status MemBackend::DeleteAll(std::span<const std::string> names) {
  for (const std::string& name : names) TARN_TRY(CheckBlobName(name));
  for (const std::string& name : names) {
    const Status deleted = Delete(name);
    if (!deleted.ok() && deleted.code() != Code::kNotFound) return deleted;
  }
  return Status::Ok();
}

Result<ListPage> MemBackend::List(std::string_view prefix, std::string_view after, size_t limit) {
  std::lock_guard lock(mutex_);
  ListPage page;
  auto it = after < prefix ? files_.lower_bound(prefix) : files_.upper_bound(after);
  for (; it != files_.end() && it->first.starts_with(prefix); ++it) {
    if (page.blobs.size() == limit) {
      page.more = true;
      break;
    }
    std::lock_guard file_lock(it->second->mutex);
    page.blobs.push_back({it->first, it->second->bytes.size()});
  }
  return page;
}

Result<std::unique_ptr<AppendFile>> MemBackend::CreateAppend(std::string_view name) {
  TARN_TRY(CheckBlobName(name));
  std::lock_guard lock(mutex_);
  TARN_TRY(CheckFree(name));
  auto file = std::make_shared<File>();
  file->append = true;
  Publish(name, file);
  return std::unique_ptr<AppendFile>(std::make_unique<Appender>(this, name, std::move(file)));
}

Result<std::unique_ptr<Lock>> MemBackend::TryLock(std::string_view name, std::string_view holder) {
  TARN_TRY(CheckBlobName(name));
  std::lock_guard lock(mutex_);
  const auto [it, taken] = locks_.emplace(name, holder);
  if (!taken) {
    return Status::Busy("lock " + std::string(name) + " of the memory backend is held by " + it->second +
                        ": close it there first");
  }
  return std::unique_ptr<Lock>(std::make_unique<HeldLock>(this, name));
}

std::unique_ptr<ReadQueue> MemBackend::NewReadQueue() { return std::make_unique<Queue>(); }

Result<SpaceInfo> MemBackend::Space() {
  std::lock_guard lock(mutex_);
  return SpaceInfo{capacity_, used_ > capacity_ ? 0 : capacity_ - used_};
}

}  // namespace tarn::test
