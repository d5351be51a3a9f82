#include "backends/overlay/overlay.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "backends/overlay/names.h"

namespace tarn::overlay {
namespace {

class Overlay final : public Backend, public MeterSource {
 public:
  Overlay(std::shared_ptr<Backend> top, std::shared_ptr<Backend> base, const std::vector<BlobInfo>& blobs)
      : top_(std::move(top)), base_(std::move(base)), info_(top_->info()) {
    for (const BlobInfo& blob : blobs) of_base_.emplace(blob.name, blob.size);
    info_.name += " over " + base_->info().name;
    info_.read_engine = "threads (reads of two stores share no queue)";
    info_.latency = std::max(top_->info().latency, base_->info().latency);
    info_.parallel_reads = std::max(top_->info().parallel_reads, base_->info().parallel_reads);
  }

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override {
    const BackendFeatures of_top = top_->features();
    return {.append = of_top.append,
            .locks = of_top.locks,
            .space = of_top.space,
            .collector = of_top.collector,
            .meters = this};
  }

  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override {
    TARN_TRY(CheckNotOurs(name));
    return IsOfBase(name) ? base_->Open(name) : top_->Open(name);
  }
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override {
    TARN_TRY(CheckNotOurs(name));
    if (IsOfBase(name)) return Status::Busy(std::string(name) + " exists in " + base_->info().name);
    return top_->Create(name);
  }
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    TARN_TRY(CheckNotOurs(name));
    if (IsOfBase(name)) return PutOutcome::kExists;
    return top_->PutIfAbsent(name, bytes);
  }
  Status Delete(std::string_view name) override {
    TARN_TRY(CheckNotOurs(name));
    if (!IsOfBase(name)) return top_->Delete(name);
    TARN_TRY(top_->PutIfAbsent(std::string(kGone).append(name), "").status());  // one that is there says the same
    const std::unique_lock lock(mutex_);
    const auto found = of_base_.find(name);
    if (found != of_base_.end()) of_base_.erase(found);
    return {};
  }
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override;
  std::vector<Meter> Meters() override;

 private:
  static Status CheckNotOurs(std::string_view name) {
    if (!name.starts_with(kOurs)) return {};
    return Status::Invalid(std::string(name) + ": names below " + std::string(kOurs) + " are the clone's own");
  }
  bool IsOfBase(std::string_view name) const {
    const std::shared_lock lock(mutex_);
    return of_base_.find(name) != of_base_.end();
  }

  const std::shared_ptr<Backend> top_, base_;
  BackendInfo info_;
  mutable std::shared_mutex mutex_;  // a leaf; guards what follows
  std::map<std::string, uint64_t, std::less<>> of_base_;
};

Result<ListPage> Overlay::List(std::string_view prefix, std::string_view after, size_t limit) {
  ListPage page;
  {
    const std::shared_lock lock(mutex_);
    auto at = std::max(after, prefix) == after ? of_base_.upper_bound(after) : of_base_.lower_bound(prefix);
    for (; at != of_base_.end() && at->first.starts_with(prefix); ++at) {
      if (page.blobs.size() == limit) {
        page.more = true;
        break;
      }
      page.blobs.push_back({at->first, at->second});
    }
  }
  // As many of top, from the same place on; of both together the first `limit`, as far as both lists reach.
  std::vector<BlobInfo> of_top;
  std::string from(after);
  for (bool more = true; more && of_top.size() < limit;) {
    TARN_ASSIGN(ListPage got, top_->List(prefix, from, limit));
    more = got.more && !got.blobs.empty();
    page.more = page.more || (more && of_top.size() + got.blobs.size() >= limit);
    if (!got.blobs.empty()) from = got.blobs.back().name;
    for (BlobInfo& blob : got.blobs) {
      if (blob.name.starts_with(kOurs)) continue;
      of_top.push_back(std::move(blob));
    }
  }
  // A name in both is base's: a copy of it in top was not marked yet.
  std::vector<BlobInfo> merged;
  std::set_union(page.blobs.begin(), page.blobs.end(), of_top.begin(), of_top.end(), std::back_inserter(merged),
                 [](const BlobInfo& a, const BlobInfo& b) { return a.name < b.name; });
  page.more = page.more || merged.size() > limit;
  if (merged.size() > limit) merged.resize(limit);
  page.blobs = std::move(merged);
  return page;
}

// The bill is for both.
std::vector<Meter> Overlay::Meters() {
  std::map<std::string, uint64_t> sums;
  for (Backend* backend : {top_.get(), base_.get()}) {
    MeterSource* const source = backend->features().meters;
    if (source == nullptr) continue;
    for (const Meter& meter : source->Meters()) sums[meter.name] += meter.value;
  }
  std::vector<Meter> meters;
  for (const auto& [name, value] : sums) meters.push_back({name, value});
  return meters;
}

}  // namespace

Result<std::shared_ptr<Backend>> OpenOverlay(std::shared_ptr<Backend> top, std::shared_ptr<Backend> base,
                                             const std::vector<BlobInfo>& blobs) {
  TARN_ASSIGN(const std::vector<BlobInfo> of_base, BlobsOfBase(*top, {.blobs = blobs}));
  return std::shared_ptr<Backend>(std::make_shared<Overlay>(std::move(top), std::move(base), of_base));
}

Result<std::shared_ptr<Backend>> OpenClone(std::shared_ptr<Backend> top, const OpenUrl& open) {
  const Result<Base> found = ReadBase(*top);
  if (found.status().code() == Code::kNotFound) return top;
  TARN_TRY(found.status());
  auto base = open(found->url);
  if (!base.ok()) return base.status().Annotate("the repository that this clone reads from");
  return OpenOverlay(std::move(top), std::move(*base), found->blobs);
}

}  // namespace tarn::overlay
