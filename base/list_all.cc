#include "base/list_all.h"

#include <iterator>

namespace tarn {

Result<std::vector<BlobInfo>> ListAll(Backend& backend, std::string_view prefix) {
  std::vector<BlobInfo> all;
  for (bool more = true; more;) {
    TARN_ASSIGN(ListPage page, backend.List(prefix, all.empty() ? "" : all.back().name, 1000));
    more = page.more && !page.blobs.empty();
    std::move(page.blobs.begin(), page.blobs.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace tarn
