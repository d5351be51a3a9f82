#include "backends/tiered/near_copies.h"

#include <utility>

namespace tarn::tiered {
namespace {

constexpr std::string_view kPrefix = "near/";
constexpr std::string_view kTables = "table/";

std::string NearName(std::string_view name) { return std::string(kPrefix) + std::string(name); }

using Sizes = std::map<std::string, uint64_t, std::less<>>;

Result<Sizes> ListAll(Backend& backend, std::string_view prefix) {
  Sizes all;
  std::string after;
  for (bool more = true; more;) {
    TARN_ASSIGN(ListPage page, backend.List(prefix, after, 1000));
    more = page.more && !page.blobs.empty();
    if (more) after = page.blobs.back().name;
    for (BlobInfo& blob : page.blobs) all.emplace(std::move(blob.name), blob.size);
  }
  return all;
}

}  // namespace

NearCopies::NearCopies(std::shared_ptr<Backend> near, const TieredOptions& options)
    : near_(std::move(near)), options_(options) {}

Status NearCopies::TakeStock(Backend& far) {
  TARN_ASSIGN(const Sizes here, ListAll(*near_, kPrefix));
  TARN_ASSIGN(const Sizes there, ListAll(far, kTables));
  std::vector<std::string> orphans;
  {
    std::lock_guard lock(mutex_);
    copies_.clear();  // of a store that was open through this backend before
    wanted_.clear();
    far_.clear();
    bytes_ = 0;
    for (const auto& [near_name, bytes] : here) {
      const std::string name = near_name.substr(kPrefix.size());
      const auto original = there.find(name);
      if (original == there.end() || original->second != bytes) {
        orphans.push_back(name);
        continue;
      }
      copies_[name] = {.bytes = bytes, .complete = true};
      bytes_ += bytes;
    }
    for (const auto& [name, bytes] : there) far_.insert(name);
    known_ = true;
  }
  for (const std::string& name : orphans) Delete(name);
  Reserve("", 0, /*evict=*/true);  // the limit may have been larger before
  return {};
}

bool NearCopies::Wanted(std::string_view name) {
  std::lock_guard lock(mutex_);
  return wanted_.contains(name);
}

void NearCopies::Want(std::string_view name) {
  if (options_.read_only) return;
  std::lock_guard lock(mutex_);
  if (!far_.contains(name)) wanted_.emplace(name);
}

void NearCopies::NoteFar(std::string_view name) {
  std::lock_guard lock(mutex_);
  far_.emplace(name);
  const auto wanted = wanted_.find(name);
  if (wanted != wanted_.end()) wanted_.erase(wanted);
}

bool NearCopies::Fetchable(std::string_view name) {
  std::lock_guard lock(mutex_);
  return !options_.read_only && known_ && far_.contains(name) && !copies_.contains(name);
}

bool NearCopies::Erase(std::string_view name) {
  const auto wanted = wanted_.find(name);
  if (wanted != wanted_.end()) wanted_.erase(wanted);
  const auto copy = copies_.find(name);
  if (copy == copies_.end()) return false;
  bytes_ -= copy->second.bytes;
  copy->second.usable->store(false, std::memory_order_release);
  copies_.erase(copy);
  return true;
}

void NearCopies::Drop(std::string_view name, bool failed) {
  bool was;
  {
    std::lock_guard lock(mutex_);
    was = Erase(name);
    // The file stays, for we may not delete it; the entry says that it is not to be opened again.
    if (was && options_.read_only) copies_[std::string(name)].usable->store(false);
  }
  if (!was) return;
  if (failed) ++counts.dropped;
  Delete(name);
}

void NearCopies::Forget(std::string_view name) {
  bool was;
  {
    std::lock_guard lock(mutex_);
    const auto far = far_.find(name);
    if (far != far_.end()) far_.erase(far);
    was = Erase(name) || !known_;
  }
  if (was) Delete(name);
}

// A copy that could not be deleted takes room until the next process takes stock.
void NearCopies::Delete(std::string_view name) {
  if (options_.read_only) return;
  const Status deleted = near_->Delete(NearName(name));
  (void)deleted;
}

NearCopies::Opened NearCopies::Open(std::string_view name, uint64_t bytes) {
  Opened opened;
  {
    std::lock_guard lock(mutex_);
    const auto copy = copies_.find(name);
    if (copy == copies_.end() ? known_ : !copy->second.complete) return {};
    if (copy != copies_.end()) opened.usable = copy->second.usable;
  }
  Result<std::unique_ptr<BlobReader>> blob = near_->Open(NearName(name));
  if (blob.ok() && (*blob)->size() == bytes) {
    opened.blob = std::move(*blob);
    if (opened.usable == nullptr) {  // not ours to count, but to remember when it does not read
      std::lock_guard lock(mutex_);
      opened.usable = copies_.try_emplace(std::string(name), Copy{.complete = true}).first->second.usable;
    }
    return opened;
  }
  if (opened.usable != nullptr) Drop(name, /*failed=*/true);
  return {};
}

std::unique_ptr<NearCopies::Writer> NearCopies::Create(std::string_view name, bool evict) {
  {
    std::lock_guard lock(mutex_);
    if (options_.read_only || !copies_.try_emplace(std::string(name)).second) return nullptr;
  }
  Result<std::unique_ptr<BlobWriter>> blob = near_->Create(NearName(name));
  if (blob.ok()) return std::unique_ptr<Writer>(new Writer(this, name, evict, std::move(*blob)));
  ++counts.dropped;
  std::lock_guard lock(mutex_);
  Erase(name);
  return nullptr;
}

bool NearCopies::HasRoom(uint64_t bytes) {
  SpaceSource* const source = near_->features().space;
  if (source == nullptr || bytes == 0) return true;
  const Result<SpaceInfo> space = source->Space();
  return space.ok() && space->free_bytes >= options_.keep_free_bytes + bytes;
}

bool NearCopies::Reserve(std::string_view name, uint64_t bytes, bool evict) {
  if (!HasRoom(bytes)) return false;
  std::vector<std::string> victims;
  bool fits = true;
  {
    std::lock_guard lock(mutex_);
    const auto mine = copies_.find(name);
    if (!name.empty() && mine == copies_.end()) return false;  // the blob was deleted meanwhile
    for (auto oldest = copies_.begin(); evict && bytes_ + bytes > options_.near_bytes && oldest != copies_.end();) {
      const auto next = std::next(oldest);
      if (oldest->second.complete) {
        victims.push_back(oldest->first);
        Erase(victims.back());
      }
      oldest = next;
    }
    fits = bytes_ + bytes <= options_.near_bytes;
    if (fits && !name.empty()) {
      mine->second.bytes += bytes;
      bytes_ += bytes;
    }
  }
  counts.evicted += victims.size();
  for (const std::string& victim : victims) Delete(victim);
  return fits;
}

NearCopies::Writer::~Writer() {
  if (blob_ != nullptr) GiveUp(/*failed=*/false);
}

bool NearCopies::Writer::GiveUp(bool failed) {
  blob_.reset();
  if (failed) ++owner_->counts.dropped;
  std::lock_guard lock(owner_->mutex_);
  owner_->Erase(name_);
  return false;
}

bool NearCopies::Writer::Append(std::string_view bytes) {
  if (blob_ == nullptr) return false;
  if (!owner_->Reserve(name_, bytes.size(), evict_)) return GiveUp(/*failed=*/false);
  return blob_->Append(bytes).ok() || GiveUp(/*failed=*/true);
}

bool NearCopies::Writer::Finish() {
  if (blob_ == nullptr) return false;
  if (!blob_->Finish().ok()) return GiveUp(/*failed=*/true);
  blob_.reset();
  {
    std::lock_guard lock(owner_->mutex_);
    const auto copy = owner_->copies_.find(name_);
    if (copy != owner_->copies_.end()) {
      copy->second.complete = true;
      return true;
    }
  }
  owner_->Delete(name_);  // the blob was deleted meanwhile
  return false;
}

uint64_t NearCopies::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

uint64_t NearCopies::copies() const {
  std::lock_guard lock(mutex_);
  return copies_.size();
}

}  // namespace tarn::tiered
