#include "base/delete_all.h"

namespace tarn {

Status DeleteAll(Backend& backend, std::span<const std::string> names) {
  if (names.empty()) return Status::Ok();
  if (BulkDelete* const bulk = backend.features().bulk) return bulk->DeleteAll(names);
  for (const std::string& name : names) {
    const Status deleted = backend.Delete(name);
    if (!deleted.ok() && deleted.code() != Code::kNotFound) return deleted;
  }
  return Status::Ok();
}

}  // namespace tarn
