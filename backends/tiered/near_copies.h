// NearCopies: the copies of far blobs on the near side. Which there are, how much room they take, who has to go.
//
// Invariants:
//   1. A copy is a blob of the near side, "near/" and the name, so it is there whole or not at all. It is used only
//      where far has a blob of that name and size.
//   2. All copies together, those being written included, take at most the limit. To make room the oldest go: the
//      names of tables ascend with time.
//   3. No blob's call fails for a copy. What cannot be written or read is dropped and counted, and its readers go on
//      far.
//   4. Only the process that holds the lock changes the near side.
//
// Threads: any.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/tiered/tiered.h"

namespace tarn::tiered {

struct CopyCounts {
  std::atomic<uint64_t> near_reads{0}, far_reads{0}, dropped{0}, evicted{0}, fetched{0};
};

class NearCopies {
 public:
  // False once the copy is not to be read any more.
  using Usable = std::shared_ptr<std::atomic<bool>>;
  struct Opened {
    std::unique_ptr<BlobReader> blob;  // null: there is no copy
    Usable usable;
  };

  NearCopies(std::shared_ptr<Backend> near, const TieredOptions& options);

  // After the lock was taken, and before anything is copied: finds what earlier processes left, and deletes copies of
  // what far does not hold (any more). Fails where either side cannot be listed.
  Status TakeStock(Backend& far);

  // Whether a copy shall be written with the blob that is created now; said by Prefer before.
  bool Wanted(std::string_view name);
  void Want(std::string_view name);
  // Far has this blob.
  void NoteFar(std::string_view name);
  // Of a blob that far holds and no copy is of: it may be fetched.
  bool Fetchable(std::string_view name);
  // The copy goes, and is wanted no more. `failed`: it did not write or read.
  void Drop(std::string_view name, bool failed);
  // The blob was deleted.
  void Forget(std::string_view name);

  // The copy of a blob of `bytes` bytes.
  Opened Open(std::string_view name, uint64_t bytes);

  // A copy being written. Destroyed before Finish: it never existed.
  class Writer {
   public:
    ~Writer();
    // False: it was given up, and is no use any more.
    bool Append(std::string_view bytes);
    bool Finish();

   private:
    friend class NearCopies;
    Writer(NearCopies* owner, std::string_view name, bool evict, std::unique_ptr<BlobWriter> blob)
        : owner_(owner), name_(name), evict_(evict), blob_(std::move(blob)) {}
    bool GiveUp(bool failed);
    NearCopies* const owner_;
    const std::string name_;
    const bool evict_;
    std::unique_ptr<BlobWriter> blob_;  // null: over
  };
  // Null when it cannot be. `evict`: older ones may go for it.
  std::unique_ptr<Writer> Create(std::string_view name, bool evict);

  CopyCounts counts;
  uint64_t bytes() const;
  uint64_t copies() const;

 private:
  struct Copy {
    uint64_t bytes = 0;
    bool complete = false;
    Usable usable = std::make_shared<std::atomic<bool>>(true);
  };
  using Copies = std::map<std::string, Copy, std::less<>>;

  bool Reserve(std::string_view name, uint64_t bytes, bool evict);
  bool HasRoom(uint64_t bytes);
  // Takes it out of the books; whether it was in them. REQUIRES: mutex_
  bool Erase(std::string_view name);
  void Delete(std::string_view name);

  const std::shared_ptr<Backend> near_;
  const TieredOptions options_;
  mutable std::mutex mutex_;  // guards all below; not held while the near side works
  Copies copies_;
  uint64_t bytes_ = 0;
  bool known_ = false;                         // stock was taken: copies_ has every copy there is
  std::set<std::string, std::less<>> wanted_;  // before their blobs are there
  std::set<std::string, std::less<>> far_;     // tables that far holds
};

}  // namespace tarn::tiered
