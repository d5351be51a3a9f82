#include "kernel/placement.h"

#include <algorithm>
#include <string>

namespace tarn::kernel {

Place PlaceOf(const Settings& settings, std::string_view family, uint32_t level, Sequence newest, Sequence now) {
  const auto own = settings.family_near_levels.find(std::string(family));
  const uint32_t levels = own != settings.family_near_levels.end() ? own->second : settings.near_levels;
  if (level >= levels) return Place::kFar;
  const bool old = settings.near_changes != 0 && now > newest && now - newest > settings.near_changes;
  return old ? Place::kFar : Place::kNear;
}

void Placer::BeforeCreate(uint64_t table, std::string_view family, uint32_t level, Sequence newest, Sequence now) {
  if (active()) Say({table, PlaceOf(settings_, family, level, newest, now)});
}

std::vector<Placer::Advice> Placer::Review(const Version& version, Sequence now) {
  std::vector<Advice> advice;
  if (!active()) return advice;
  std::map<uint64_t, Place> places;
  for (const auto& [id, family] : version.families) {
    for (const RunRef& run : family->runs) {
      for (const auto& table : run->tables) {
        const TableMeta& meta = table->meta();
        places[meta.number] = PlaceOf(settings_, family->name, run->level, meta.max_sequence, now);
      }
    }
  }
  MutexLock lock(mutex_);
  // Tables younger than those of the version are being written.
  const uint64_t youngest = places.empty() ? 0 : places.rbegin()->first;
  std::erase_if(said_, [&](const auto& said) { return said.first < youngest && !places.contains(said.first); });
  for (const auto& [table, place] : places) {
    const auto said = said_.find(table);
    if (said == said_.end() || said->second != place) advice.push_back({table, place});
  }
  std::sort(advice.begin(), advice.end(), [](const Advice& a, const Advice& b) {
    return a.place != b.place ? a.place == Place::kFar : a.table > b.table;
  });
  return advice;
}

void Placer::Say(const Advice& advice) {
  {
    MutexLock lock(mutex_);
    said_[advice.table] = advice.place;
  }
  placement_->Prefer(TableBlobName(advice.table), advice.place);
}

Placer::PastCopy::PastCopy(Placer& placer, uint64_t table) : placer_(placer), table_(table) {
  if (!placer.active()) return;
  {
    MutexLock lock(placer.mutex_);
    const auto said = placer.said_.find(table);
    near_ = said != placer.said_.end() && said->second == Place::kNear;
  }
  placer.placement_->Prefer(TableBlobName(table), Place::kFar);
}

Placer::PastCopy::~PastCopy() {
  if (near_) placer_.placement_->Prefer(TableBlobName(table_), Place::kNear);
}

}  // namespace tarn::kernel
