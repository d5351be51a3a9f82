// The engines that were compiled in, and the few lines that all adapters share.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/system_effects.h"
#include "bench/engines/adapter.h"

namespace tarn::bench {

// _Exit: engines have threads at work, and destructors of statics would run under them.
void Die(const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "tarn-bench: %s\n", why.c_str());
  std::_Exit(1);
}

void MakeDir(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) Die(fmt::format("cannot create the directory {}: {}; choose another", dir, error.message()));
}

void PauseBetweenPolls() { SystemClock()->SleepNanos(10'000'000); }

std::string Size(uint64_t bytes) {
  if (bytes != 0 && bytes % (1u << 30) == 0) return fmt::format("{} GiB", bytes >> 30);
  if (bytes != 0 && bytes % (1u << 20) == 0) return fmt::format("{} MiB", bytes >> 20);
  if (bytes != 0 && bytes % (1u << 10) == 0) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} B", bytes);
}

const std::vector<EngineKind>& EngineKinds() {
  static const std::vector<EngineKind> kinds = {
      TarnKind(),
#ifdef TARN_BENCH_ROCKSDB
      RocksdbKind(),
#endif
#ifdef TARN_BENCH_LEVELDB
      LeveldbKind(),
#endif
#ifdef TARN_BENCH_LMDB
      LmdbKind(),
#endif
#ifdef TARN_BENCH_WIREDTIGER
      WiredtigerKind(),
#endif
  };
  return kinds;
}

}  // namespace tarn::bench
