#include "fuse/invalidator.h"

#include "base/system_effects.h"

namespace tarn::fuse {
namespace {

// About 10 MiB of names at worst; delivering as many takes well below a second.
constexpr size_t kMaxQueued = 1 << 15;

}  // namespace

Invalidator::Invalidator(std::function<void(const lake::Change&)> deliver)
    : deliver_(std::move(deliver)), thread_([this] { Loop(); }) {}

void Invalidator::Push(const lake::Change& change) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || queue_.size() < kMaxQueued; });
  if (stopping_) return;
  if (change.what == lake::Change::What::kInode && !inodes_.insert(change.ino).second) return;
  queue_.push_back(change);
  ++pushed_;
  changed_.notify_all();
}

void Invalidator::Settle() {
  std::unique_lock lock(mutex_);
  const uint64_t upto = pushed_;
  changed_.wait(lock, [this, upto] { return delivered_ >= upto; });
}

void Invalidator::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  std::call_once(joined_, [this] { thread_.join(); });
}

void Invalidator::Loop() {
  NameThisThread("tarn-inval");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::vector<lake::Change> batch;
    batch.swap(queue_);
    inodes_.clear();
    lock.unlock();
    for (const lake::Change& change : batch) deliver_(change);
    lock.lock();
    delivered_ += batch.size();
    changed_.notify_all();
  }
}

}  // namespace tarn::fuse
