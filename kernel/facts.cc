// What the engine tells about itself: statistics for scripts, properties for people. docs/statistics.md.
#include <cstdio>

#include "kernel/engine.h"

namespace tarn::kernel {
namespace {

std::string Line(const char* format, auto... values) {
  char buffer[512];
  std::snprintf(buffer, sizeof(buffer), format, values...);
  return buffer;
}

unsigned long long Wide(uint64_t n) { return n; }

std::string LevelsText(const Version& version) {
  std::string text = "family            level      runs   tables        bytes      entries   tombstones\n";
  for (const auto& [id, family] : version.families) {
    const LevelsView view = family->View({});
    for (size_t level = 0; level < view.levels.size(); ++level) {
      RunView sum;
      for (const RunView& run : view.levels[level]) {
        sum.bytes += run.bytes;
        sum.tables += run.tables;
        sum.entries += run.entries;
        sum.tombstones += run.tombstones;
      }
      if (view.levels[level].empty()) continue;
      text +=
          Line("%-16s %6zu %9zu %8llu %12llu %12llu %12llu\n", family->name.c_str(), level, view.levels[level].size(),
               Wide(sum.tables), Wide(sum.bytes), Wide(sum.entries), Wide(sum.tombstones));
    }
  }
  return text;
}

}  // namespace

std::map<std::string, uint64_t> Engine::Statistics() {
  std::map<std::string, uint64_t> facts;
  for (size_t i = 0; i < static_cast<size_t>(Counter::kCount); ++i) {
    const auto counter = static_cast<Counter>(i);
    facts[std::string(kernel::Statistics::name(counter))] = store_->stats.Get(counter);
  }
  const Store::Pinned pinned = store_->Pin();
  uint64_t tables = 0, bytes = 0, debt = 0, memtables = 0;
  for (const auto& [id, family] : pinned.view->version->families) {
    debt += store_->parts.compaction->Debt(family->View({}));
    for (const RunRef& run : family->runs) {
      tables += run->tables.size();
      bytes += run->bytes;
    }
  }
  for (const auto& mem : pinned.view->mems) memtables += mem->memory_bytes();
  facts["tables.count"] = tables;
  facts["tables.bytes"] = bytes;
  facts["compaction.debt_bytes"] = debt;
  facts["memory.limit_bytes"] = store_->budget.limit();
  facts["memory.used_bytes"] = store_->budget.used();
  facts["memory.memtable_bytes"] = memtables;
  facts["memory.block_cache_bytes"] = store_->cache.bytes();
  facts["sequence.visible"] = pinned.sequence;
  facts["snapshots.open"] = store_->snapshot_count();
  facts["snapshots.named"] = store_->NamedSnapshots().size();
  facts["wal.live_bytes"] = writes_ == nullptr ? 0 : writes_->wal_bytes();
  if (MeterSource* const meters = store_->parts.backend->features().meters) {
    for (const Meter& meter : meters->Meters()) facts["backend." + meter.name] = meter.value;
  }
  return facts;
}

Result<std::string> Engine::Property(std::string_view name) {
  TARN_TRY(Usable());
  const std::shared_ptr<const ReadView> view = store_->Pin().view;
  if (name == "levels") return LevelsText(*view->version);
  if (name == "families") {
    std::string text;
    for (const auto& [id, family] : view->version->families) text += Line("%u %s\n", id, family->name.c_str());
    return text;
  }
  if (name == "summary") {
    const BackendInfo& info = store_->parts.backend->info();
    std::string text = "backend   " + info.name + ", reads by " + info.read_engine + "\n";
    text += "parts     memtable " + std::string(store_->parts.memtable->name()) + ", log " +
            std::string(store_->parts.wal->name()) + ", compaction " + std::string(store_->parts.compaction->name()) +
            "\n";
    const Status error = store_->error();
    text += "state     " + (error.ok() ? std::string("healthy") : error.ToString()) + "\n";
    return text;
  }
  return Status::Invalid("no property \"" + std::string(name) + "\"; there are: levels, families, summary");
}

}  // namespace tarn::kernel
