#include "kernel/merge_jobs.h"

namespace tarn::kernel {

MergeSpec NewMergeSpec(Store& store, uint32_t family, const MergePlace& place) {
  MergeSpec spec;
  const std::shared_ptr<const ReadView> view = store.Pin().view;
  const FamilyVersion* const owner = view->version->Find(family);
  spec.retained = store.Retained();
  spec.bottom = place.bottom;
  spec.store_id = store.store_id();
  spec.table = store.TableOptionsFor(place.last_level);
  // Dropped meanwhile: nothing of the job will be published.
  spec.table.owner = {family, owner == nullptr ? std::string() : owner->name};
  spec.table_bytes = store.settings.table_bytes;
  spec.new_table_number = [&store, place, name = spec.table.owner.name] {
    const uint64_t number = store.NewTableNumber();
    store.placer.BeforeCreate(number, name, place.level, place.newest, store.visible());
    return number;
  };
  return spec;
}

std::unique_ptr<MergeJob> NewFlushJob(Store& store, uint32_t family, const FamilyMem& mem, bool bottom) {
  MergeSpec spec = NewMergeSpec(store, family, {.bottom = bottom, .newest = store.visible()});
  spec.inputs.push_back(mem.table().NewCursor());
  spec.tombstones = mem.all_tombstones();
  return std::make_unique<MergeJob>(*store.parts.backend, std::move(spec));
}

}  // namespace tarn::kernel
