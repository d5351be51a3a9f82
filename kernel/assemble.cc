#include "kernel/assemble.h"

#include "backends/location/location.h"
#include "base/system_effects.h"
#include "compaction/builtin.h"
#include "kernel/constants.h"
#include "memtable/builtin.h"
#include "wal/builtin.h"

namespace tarn::kernel {
namespace {

Status OutOfRange(const char* name, uint64_t value, const char* limits) {
  return Status::Invalid(std::string("Settings::") + name + " is " + std::to_string(value) + "; it must be " +
                         limits);
}

Status CheckSettings(const Settings& s) {
  if (s.memory_bytes < kMinMemoryBytes) return OutOfRange("memory_bytes", s.memory_bytes, "at least 8 MiB");
  if (s.background_threads < 1 || s.background_threads > 256) {
    return OutOfRange("background_threads", s.background_threads, "1 to 256");
  }
  if (s.filter_bits_per_key > 64) return OutOfRange("filter_bits_per_key", s.filter_bits_per_key, "0 to 64");
  if (s.block_bytes < 512 || s.block_bytes > (1u << 20))
    return OutOfRange("block_bytes", s.block_bytes, "512 to 1 MiB");
  if (s.table_bytes < (64u << 10)) return OutOfRange("table_bytes", s.table_bytes, "at least 64 KiB");
  if (s.memtable_bytes != 0 && (s.memtable_bytes < kMinMemtableBytes || s.memtable_bytes > s.memory_bytes / 2)) {
    return OutOfRange("memtable_bytes", s.memtable_bytes, "0, or 64 KiB to half of memory_bytes");
  }
  if (s.size_ratio < 2 || s.size_ratio > 32) return OutOfRange("size_ratio", s.size_ratio, "2 to 32");
  return {};
}

}  // namespace

Result<Components> Assemble(const Settings& settings, Components parts) {
  TARN_TRY(CheckSettings(settings));
  if (parts.backend == nullptr) return Status::Invalid("Components::backend is null; name a backend to open");
  if (parts.clock == nullptr) parts.clock = SystemClock();
  if (parts.entropy == nullptr) parts.entropy = SystemEntropy();
  if (parts.scheduler == nullptr) parts.scheduler = NewThreadScheduler(settings.background_threads);
  if (parts.memtable == nullptr) {
    uint64_t seed;
    parts.entropy->Fill({reinterpret_cast<char*>(&seed), sizeof(seed)});
    parts.memtable = NewSkipListStrategy(seed);
  }
  if (parts.wal == nullptr) parts.wal = NewSegmentedWal();
  if (parts.compaction == nullptr) {
    const uint64_t memtable = settings.memtable_bytes != 0 ? settings.memtable_bytes : settings.memory_bytes / 8;
    parts.compaction = NewTieredPolicy({.size_ratio = settings.size_ratio,
                                        .runs_per_level = settings.size_ratio - 1,
                                        .runs_last_level = 1,
                                        .first_level_bytes = memtable});
  }
  return parts;
}

Result<std::shared_ptr<Backend>> OpenLocation(Settings* settings, const std::string& location) {
  TARN_TRY(location::ApplyLocation(location, settings));
  location::LocationOptions options;
  options.create = settings->create_if_missing;
  options.read_only = settings->read_only;
  options.direct_reads = settings->direct_reads;
  return location::OpenLocation(location, options, SystemClock(), SystemEntropy());
}

}  // namespace tarn::kernel
