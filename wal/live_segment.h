// LiveSegment: a segment as it was when it was opened, also when its writer ends it meanwhile. A file that is written
// is longer than what was appended, by space that was taken ahead, which reads as zeros (tarn/sdk/backend.h); at its
// seal that space is given back. Who had opened it before would be told that bytes are missing.
//
// Threads: as the blob.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "tarn/sdk/backend.h"

namespace tarn::wal {

class LiveSegment final : public BlobReader {
 public:
  // The backend outlives it.
  LiveSegment(Backend& backend, std::string name, std::unique_ptr<BlobReader> blob)
      : backend_(backend), name_(std::move(name)), blob_(std::move(blob)) {}

  uint64_t size() const override { return blob_->size(); }
  Status Read(uint64_t offset, std::span<char> out) const override {
    const Status read = blob_->Read(offset, out);
    if (read.code() != Code::kCorruption || offset + out.size() > size()) return read;
    const auto now = backend_.Open(name_);
    if (!now.ok() || (*now)->size() >= size()) return read;  // it is not shorter: that was no seal
    const size_t there = std::min<uint64_t>(out.size(), (*now)->size() - std::min(offset, (*now)->size()));
    if (there > 0) TARN_TRY((*now)->Read(offset, out.first(there)));
    std::fill(out.begin() + static_cast<ptrdiff_t>(there), out.end(), '\0');
    return {};
  }

 private:
  Backend& backend_;
  const std::string name_;
  const std::unique_ptr<BlobReader> blob_;
};

}  // namespace tarn::wal
