// A cache over stores in memory: what the tests of backends/cached stand on.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "backends/cached/cached.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {

// Calls `around` for each call, before its effect. An error that it returns is the caller's.
class WatchedBackend final : public WrappingBackend {
 public:
  using Watch = std::function<Status(const Call&)>;
  WatchedBackend(std::shared_ptr<Backend> inner, Watch watch)
      : WrappingBackend(std::move(inner)), watch_(std::move(watch)) {}

 private:
  Status Around(const Call& call, const Effect& effect) override {
    TARN_TRY(watch_(call));
    return effect();
  }
  const Watch watch_;
};

// Extents of 512 bytes, segments of 4 KiB, a limit of 64 KiB; background work is done by whoever causes it.
class CachedTest : public ::testing::Test {
 protected:
  CachedTest() {
    options.limit_bytes = 64 << 10;
    options.reserve_bytes = 0;
    options.extent_bytes = 512;
    options.segment_bytes = 4096;
    options.write_through_bytes = 0;
    options.background = false;
    remote = std::make_shared<WatchedBackend>(remote_memory, [this](const Call& call) {
      if (call.op == Op::kRead || call.op == Op::kSubmit) ++requests;
      return remote_watch ? remote_watch(call) : Status::Ok();
    });
    // The bound holds at each moment: also while a segment is being written.
    disk = std::make_shared<WatchedBackend>(disk_memory, [this](const Call& call) {
      if (call.op == Op::kBlobAppend) {
        EXPECT_LE(disk_memory->used_bytes() + call.bytes, options.limit_bytes) << call.name;
      }
      return disk_watch ? disk_watch(call) : Status::Ok();
    });
  }

  void Open() {
    cached.reset();
    auto opened = OpenWith(disk);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    cached = *opened;
  }
  Result<std::shared_ptr<Backend>> OpenWith(Result<std::shared_ptr<Backend>> on) {
    return cached::OpenCached(remote, std::move(on), options);
  }

  // A blob of the remote that the cache knows nothing of.
  std::string Put(const std::string& name, size_t bytes, uint64_t seed = 1) {
    SeededRandom random(seed);
    std::string content(bytes, '\0');
    for (char& c : content) c = static_cast<char>(random.Next());
    EXPECT_EQ(*remote_memory->PutIfAbsent(name, content), PutOutcome::kCreated);
    return content;
  }
  static std::string Read(Backend& backend, const std::string& name, uint64_t offset, size_t n) {
    auto reader = backend.Open(name);
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    return reader.ok() ? Read(**reader, offset, n) : std::string();
  }
  static std::string Read(const BlobReader& reader, uint64_t offset, size_t n) {
    std::string out(n, '?');
    const Status read = reader.Read(offset, out);
    EXPECT_TRUE(read.ok()) << read.ToString();
    return out;
  }
  // How many requests the remote sees while `work` is done.
  uint64_t Requests(const std::function<void()>& work) {
    const uint64_t before = requests;
    work();
    return requests - before;
  }
  static uint64_t MeterOf(Backend& backend, const std::string& name) {
    for (const Meter& meter : backend.features().meters->Meters()) {
      if (meter.name == name) return meter.value;
    }
    ADD_FAILURE() << "no meter " << name;
    return 0;
  }
  uint64_t MeterOf(const std::string& name) { return MeterOf(*cached, name); }

  cached::CacheOptions options;
  const std::shared_ptr<MemBackend> remote_memory = std::make_shared<MemBackend>();
  const std::shared_ptr<MemBackend> disk_memory = std::make_shared<MemBackend>();
  std::atomic<uint64_t> requests{0};
  WatchedBackend::Watch remote_watch, disk_watch;
  std::shared_ptr<Backend> remote, disk, cached;
};

}  // namespace tarn::test
