// What the kernel counts for this process, and what lies in a store's directory.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace tarn::bench {

// /proc/self/io: bytes that this process made the device read, and pages that it made dirty or wrote directly. A page
// fault on a mapped file counts as the read it caused. What a file that was deleted before its pages reached the
// device had saved (cancelled_write_bytes) is not taken off: it depends on when the kernel happens to write back.
struct DeviceBytes {
  uint64_t read = 0, written = 0;
};
DeviceBytes DeviceBytesNow();  // Die when the kernel does not say

double CpuSecondsNow();                        // user and system, all threads, dead ones too
uint64_t PeakRssBytes();                       // VmHWM
uint64_t DiskBytesOf(const std::string& dir);  // allocated blocks of all files below; holes do not count
// Writes back what is dirty in the files below, and drops their pages from the page cache; pages that somebody has
// mapped stay.
void DropPageCache(const std::string& dir);

// DiskBytesOf, taken each 250 ms on a thread of its own.
class SpaceSampler {
 public:
  explicit SpaceSampler(std::string dir);
  ~SpaceSampler() { Stop(); }
  uint64_t Stop();  // the highest value seen

 private:
  void Sample();

  const std::string dir_;
  std::mutex mutex_;  // guards stopped_
  std::condition_variable stop_;
  bool stopped_ = false;
  uint64_t highest_ = 0;  // of the thread until it is joined
  std::thread thread_;
};

}  // namespace tarn::bench
