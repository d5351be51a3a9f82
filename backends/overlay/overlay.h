// The overlay backend: a store of its own (`top`) that finds some of its blobs in another store (`base`), which it
// never changes. This is what a clone of a backup stands on (include/tarn/backup.h). For those who open locations.
//
// Invariants
//   1. Which blobs are base's is a list that was fixed when the clone was made, in the blob overlay/base of top.
//   Nothing
//      else of base is ever seen: what base's owner adds later may bear the names that top gives out itself.
//   2. A listed name is base's until it is deleted here; then the marker overlay/gone/<name> in top says that it is
//      top's from now on, where it may be absent or written anew.
//   3. All else is top's: writes, log, lock, space. Names below overlay/ are not seen through the overlay.
//
// Deleting a name of base costs one put in top. Reads wait in threads: reads of two stores do not share a queue.
//
// Threads: any, as Backend.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tarn/sdk/backend.h"

namespace tarn::overlay {

// The blob overlay/base. Bytes: docs/formats/backup.md.
struct Base {
  std::string url;              // of base, for the function below; without secrets
  std::string hold;             // the blob in base that keeps the listed ones from being pruned
  std::vector<BlobInfo> blobs;  // in order of name, each once
};
std::string EncodeBase(const Base& base);
Result<Base> DecodeBase(std::string_view bytes);  // Corruption, Unsupported

// Makes `top` an overlay for those who open it from now on. Busy when it is one.
Status PutBase(Backend& top, const Base& base);
// NotFound when `top` is no overlay.
Result<Base> ReadBase(Backend& top);

using OpenUrl = std::function<Result<std::shared_ptr<Backend>>(const std::string& url)>;
// `top` itself when it is no overlay (one look-up), else the overlay over what `open` makes of the base's URL,
// read-only.
Result<std::shared_ptr<Backend>> OpenClone(std::shared_ptr<Backend> top, const OpenUrl& open);
// With the base at hand.
Result<std::shared_ptr<Backend>> OpenOverlay(std::shared_ptr<Backend> top, std::shared_ptr<Backend> base,
                                             const std::vector<BlobInfo>& blobs);

// What top still reads from base: the listed blobs that have no marker.
Result<std::vector<BlobInfo>> BlobsOfBase(Backend& top, const Base& base);
// Makes top a store that stands alone. REQUIRES: BlobsOfBase is empty.
Status RemoveBase(Backend& top);

}  // namespace tarn::overlay
