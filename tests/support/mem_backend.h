// A whole Backend in memory, which knows what a power cut would leave of it. For tests and the simulator.
//
// It hands out append files, locks, read queues and space. Each can be switched off, to look like a weaker store (an
// object store has neither append nor locks), and bulk deletes can be switched on.
//
// The durability model, used by CrashClone:
//   1. A published blob is durable with its name. A BlobWriter that did not finish leaves nothing.
//   2. An append file is durable with its name since its creation, and its bytes up to the last good Sync.
//   3. A deletion becomes durable when the directory of the name is synced, that is at the next publication or
//      creation in that directory. Until then kTornSubset may bring the blob back.
//   4. Locks die with the process.
//
// Threads: any. Readers survive Delete, as the contract says.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "tarn/sdk/backend.h"

namespace tarn::test {

enum class CrashMode : uint8_t {
  kProcessKill,   // kill -9: every appended byte survives
  kDropUnsynced,  // power loss that loses all that was not synced
  kTornSubset,    // power loss: any 512-byte sectors of the unsynced bytes may survive, the size may have grown
};

struct MemOptions {
  bool append = true;
  bool locks = true;
  bool queues = true;
  bool bulk = false;
  LatencyClass latency = LatencyClass::kMemory;
};

class MemBackend final : public Backend,
                         public AppendStore,
                         public LockStore,
                         public ReadQueueSource,
                         public SpaceSource,
                         public BulkDelete {
 public:
  explicit MemBackend(MemOptions options = {});
  ~MemBackend() override;

  // All bytes together may not exceed this; what would is NoSpace. Unlimited at first.
  void SetCapacity(uint64_t bytes);
  uint64_t used_bytes() const;
  // What a new process would find after this one died now. This backend is not changed.
  std::shared_ptr<MemBackend> CrashClone(uint64_t seed, CrashMode mode) const;
  // The bytes of a blob or append file, and a way to put others in their place (bit rot, truncation) that no
  // reader of the contract could use. NotFound when there is none.
  Result<std::string> Contents(std::string_view name) const;
  Status Corrupt(std::string_view name, std::string bytes);

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override;
  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override;
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override;
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override;
  Status Delete(std::string_view name) override;
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override;

  Result<std::unique_ptr<AppendFile>> CreateAppend(std::string_view name) override;
  Result<std::unique_ptr<Lock>> TryLock(std::string_view name, std::string_view holder) override;
  std::unique_ptr<ReadQueue> NewReadQueue() override;
  bool MayMove() const override { return true; }
  Result<SpaceInfo> Space() override;
  Status DeleteAll(std::span<const std::string> names) override;

 private:
  // A blob or append file. `bytes` and `synced` are guarded by `mutex`, because an append file grows while it
  // is read; a blob never changes after it was published.
  struct File {
    mutable std::mutex mutex;
    std::string bytes;
    uint64_t synced = 0;
    uint64_t identity = 0;  // of its bytes when it was published; an append file has none
    bool append = false;
    bool deleted = false;  // its bytes are no longer charged
  };
  class Reader;
  class Writer;
  class Appender;
  class HeldLock;
  class Queue;
  using Files = std::map<std::string, std::shared_ptr<File>, std::less<>>;

  // The private ones want mutex_ held.
  Status CheckFree(std::string_view name) const;  // Busy when taken, Invalid when it is or has a prefix directory
  void Publish(std::string_view name, std::shared_ptr<File> file);
  Status Charge(uint64_t bytes, std::string_view name);  // NoSpace over the capacity

  const MemOptions options_;
  const BackendInfo info_;
  // Order of locks: mutex_, then File::mutex.
  mutable std::mutex mutex_;  // guards everything below
  Files files_;
  Files graveyard_;                                        // deleted, but the deletion is not durable yet
  std::map<std::string, std::string, std::less<>> locks_;  // name -> holder
  uint64_t used_ = 0;
  uint64_t capacity_ = UINT64_MAX;
};

}  // namespace tarn::test
