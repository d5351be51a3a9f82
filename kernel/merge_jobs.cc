#include "kernel/merge_jobs.h"

namespace tarn::kernel {

MergeSpec NewMergeSpec(Store& store, uint32_t family, bool bottom, bool last_level) {
  MergeSpec spec;
  const std::shared_ptr<const ReadView> view = store.Pin().view;
  const FamilyVersion* const owner = view->version->Find(family);
  spec.retained = store.Retained();
  spec.bottom = bottom;
  spec.store_id = store.store_id();
  spec.table = store.TableOptionsFor(last_level);
  // Dropped meanwhile: nothing of the job will be published.
  spec.table.owner = {family, owner == nullptr ? std::string() : owner->name};
  spec.table_bytes = store.settings.table_bytes;
  spec.new_table_number = [&store] { return store.NewTableNumber(); };
  return spec;
}

std::unique_ptr<MergeJob> NewFlushJob(Store& store, uint32_t family, const FamilyMem& mem, bool bottom) {
  MergeSpec spec = NewMergeSpec(store, family, bottom, false);
  spec.inputs.push_back(mem.table().NewCursor());
  spec.tombstones = mem.all_tombstones();
  return std::make_unique<MergeJob>(*store.parts.backend, std::move(spec));
}

}  // namespace tarn::kernel
