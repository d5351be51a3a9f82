// Invalidator: tells the kernel what others changed in the lake, from a thread of its own.
//
// The kernel takes locks of its own to forget an entry or an inode, which a request in progress may hold. So the
// telling is never done on a thread that serves requests, and no request ever waits for it; that is all that keeps
// this free of deadlock. Whoever changes the lake outside of the mount may wait: in Push when kMaxQueued changes
// await delivery, and in Settle.
//
// Changes of one inode that wait together are delivered once.
//
// Threads: any, but for Stop and Settle not the thread that delivers, nor one that serves requests.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

#include "lake/lake.h"

namespace tarn::fuse {

class Invalidator {
 public:
  explicit Invalidator(std::function<void(const lake::Change&)> deliver);
  ~Invalidator() { Stop(); }
  void Push(const lake::Change& change);
  // Returns when all that was pushed before was delivered.
  void Settle();
  // Delivers what is queued, then ends; later pushes are dropped. May be called more than once.
  void Stop();

 private:
  void Loop();

  const std::function<void(const lake::Change&)> deliver_;
  std::mutex mutex_;  // everything below
  std::condition_variable changed_;
  std::vector<lake::Change> queue_;
  std::unordered_set<lake::Ino> inodes_;  // those that queue_ holds as kInode
  uint64_t pushed_ = 0, delivered_ = 0;   // ever
  bool stopping_ = false;
  std::once_flag joined_;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace tarn::fuse
