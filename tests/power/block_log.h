// BlockLog: a block device in memory that logs each write, with its data, and each flush that reaches it, so that
// every image which a power cut could leave can be made afterwards; and that fails a write or a flush when it is told
// to.
//
// A child process serves it as the one file of a FUSE mount; LoopImage puts a loop device and a filesystem on that
// file, and a flush of the device comes as fsync. One thread answers, so the log is the order in which requests
// reached the device. Requests are counted in Ledger::requests before they are answered: what the store was told is
// not later in the log than the count that it sees then.
//
// The model of a device: a flush makes durable every write that was logged before it; of later writes any may be on
// the medium, in any order, torn at sectors. (A device that answers a write while a flush is on its way may still
// lose it; here such a write counts as flushed.)
//
// Threads: one at a time, in the process that made it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/status.h"
#include "tests/kill/child.h"
#include "tests/kill/ledger.h"

namespace tarn::test {

constexpr uint64_t kDeviceBytes = 48 << 20;
constexpr uint64_t kDeviceLogBytes = 768 << 20;  // only what is used takes memory

// What the serving process and its supervisor share.
struct Device {
  std::atomic<uint64_t> log_used;
  std::atomic<uint32_t> fail_write;  // 1: the next write that holds `marker` fails
  std::atomic<uint32_t> fail_flush;  // 1: the next flush fails
  std::atomic<uint64_t> failures;    // requests that were failed because of these
  std::array<char, 32> marker;
  std::array<char, kDeviceBytes> bytes;
  std::array<char, kDeviceLogBytes> log;
};

struct DeviceRequest {
  bool flush;
  uint64_t offset;
  std::span<const char> bytes;  // in the log
};

class BlockLog {
 public:
  // Mounts it at `directory`, which is made.
  BlockLog(std::string directory, std::atomic<uint64_t>& requests);
  ~BlockLog();

  Status Start();
  // Everything above it is unmounted. The log can still be read.
  Status Stop();
  // A descriptor for LoopImage; the caller closes it before Stop.
  int OpenDevice() const;
  void FailWriteWith(std::string_view marker);
  void FailFlush();
  uint64_t failures() { return device_->failures; }
  std::vector<DeviceRequest> Requests();

 private:
  int Serve(int word);

  const std::string directory_;
  std::atomic<uint64_t>& requests_;
  Shared<Device> device_;
  std::unique_ptr<Child> server_;
};

}  // namespace tarn::test
