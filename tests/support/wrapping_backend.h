// A Backend around another one, with one place that every call passes through. For the wrappers of tests/support.
//
// Every call on the backend and on everything that it hands out becomes Around(call, effect): the derived class
// may count it, record it, refuse it, or run the effect and lie about the result. The objects handed out follow
// the contract also when Around lies: an AppendFile or BlobWriter that returned an error stays failed. A bulk delete
// is two calls, each for the half of the names that a hash chooses, so that a fault or a crash at either leaves some
// of them and takes others.
//
// Threads: as the backend inside; Around is called from any of them at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "tarn/sdk/backend.h"

namespace tarn::test {

enum class Op : uint8_t {
  kOpen,
  kRead,
  kSubmit,    // a read enters a queue
  kComplete,  // and comes back; the effect returns its status
  kList,
  kSpace,
  kLock,
  kCreate,
  kBlobAppend,
  kFinish,
  kPutIfAbsent,
  kDelete,
  kDeleteMany,  // the name is the first one's, bytes is how many there are
  kCreateAppend,
  kLogAppend,
  kLogSync,
};

// Whether the call may change what a crash leaves. (Create only opens a temporary.)
inline bool ChangesStore(Op op) { return op >= Op::kBlobAppend; }

struct Call {
  Op op;
  std::string_view name;  // of the blob, file or lock; the prefix of a list
  uint64_t offset = 0;    // of a read
  uint64_t bytes = 0;     // read or written
};

class WrappingBackend : public Backend,
                        public AppendStore,
                        public LockStore,
                        public ReadQueueSource,
                        public SpaceSource,
                        public BulkDelete {
 public:
  using Effect = std::function<Status()>;

  explicit WrappingBackend(std::shared_ptr<Backend> inner) : inner_(std::move(inner)) {}

  const BackendInfo& info() const override { return inner_->info(); }
  BackendFeatures features() override;
  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override;
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override;
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override;
  Status Delete(std::string_view name) override;
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Result<std::unique_ptr<AppendFile>> CreateAppend(std::string_view name) override;
  Result<std::unique_ptr<Lock>> TryLock(std::string_view name, std::string_view holder) override;
  std::unique_ptr<ReadQueue> NewReadQueue() override;
  bool MayMove() const override { return inner_->features().queues->MayMove(); }
  Result<SpaceInfo> Space() override;
  Status DeleteAll(std::span<const std::string> names) override;

 protected:
  // Runs the effect, or not, and returns what the caller shall see.
  virtual Status Around(const Call& call, const Effect& effect) = 0;

 private:
  class Reader;
  class Writer;
  class Appender;
  class Queue;

  const std::shared_ptr<Backend> inner_;
};

}  // namespace tarn::test
