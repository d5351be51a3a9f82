#include "bench/workloads/usage.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <utility>

#include "bench/engine.h"

namespace tarn::bench {
namespace {

// The number behind `name` in a file of "name: number" lines.
uint64_t Field(const char* file, const std::string& name) {
  std::ifstream in(file);
  std::string word;
  uint64_t number = 0;
  while (in >> word) {
    if (word == name && in >> number) return number;
  }
  Die(std::string(file) + " has no number \"" + name + "\"; the measurements need a Linux kernel that counts it");
}

// Files come and go while a store runs: what has vanished between two looks is passed over.
template <typename Visit>
void EachFile(const std::string& dir, Visit visit) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(dir, error), end;
  while (!error && at != end) {
    visit(at->path());
    at.increment(error);
  }
}

}  // namespace

DeviceBytes DeviceBytesNow() {
  return {.read = Field("/proc/self/io", "read_bytes:"), .written = Field("/proc/self/io", "write_bytes:")};
}

double CpuSecondsNow() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

uint64_t PeakRssBytes() { return Field("/proc/self/status", "VmHWM:") * 1024; }

uint64_t DiskBytesOf(const std::string& dir) {
  uint64_t bytes = 0;
  EachFile(dir, [&bytes](const std::filesystem::path& path) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) bytes += static_cast<uint64_t>(st.st_blocks) * 512;
  });
  return bytes;
}

void DropPageCache(const std::string& dir) {
  EachFile(dir, [](const std::filesystem::path& path) {
    if (!std::filesystem::is_regular_file(path)) return;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::fsync(fd) != 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) {
      Die("cannot drop " + path.string() + " from the page cache, which a cold run needs; may it be read?");
    }
    ::close(fd);
  });
}

SpaceSampler::SpaceSampler(std::string dir) : dir_(std::move(dir)), thread_([this] { Sample(); }) {}

void SpaceSampler::Sample() {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    highest_ = std::max(highest_, DiskBytesOf(dir_));
    lock.lock();
  } while (!stop_.wait_for(lock, std::chrono::milliseconds(250), [this] { return stopped_; }));
}

uint64_t SpaceSampler::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  stop_.notify_one();
  if (thread_.joinable()) thread_.join();
  return highest_;
}

}  // namespace tarn::bench
