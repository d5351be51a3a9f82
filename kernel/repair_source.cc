#include "kernel/repair_source.h"

#include <algorithm>

namespace tarn::kernel {
namespace {

// What a device loses at once, at the least.
constexpr uint64_t kSectorBytes = 4096;

class ZeroingReader final : public BlobReader {
 public:
  ZeroingReader(std::unique_ptr<BlobReader> blob, std::string_view name, RepairSource::Unreadable* unreadable)
      : blob_(std::move(blob)), name_(name), unreadable_(unreadable) {}
  uint64_t size() const override { return blob_->size(); }

  Status Read(uint64_t offset, std::span<char> out) const override {
    if (blob_->Read(offset, out).ok()) return {};
    while (!out.empty()) {
      const uint64_t bytes = std::min<uint64_t>(kSectorBytes - offset % kSectorBytes, out.size());
      if (!blob_->Read(offset, out.first(bytes)).ok()) {
        std::fill_n(out.begin(), bytes, '\0');
        (*unreadable_)[{name_, offset}] = bytes;
      }
      offset += bytes;
      out = out.subspan(bytes);
    }
    return {};
  }

 private:
  const std::unique_ptr<BlobReader> blob_;
  const std::string name_;
  RepairSource::Unreadable* const unreadable_;
};

}  // namespace

Result<std::unique_ptr<BlobReader>> RepairSource::Open(std::string_view name) {
  TARN_ASSIGN(auto blob, damaged_.Open(name));
  return std::unique_ptr<BlobReader>(std::make_unique<ZeroingReader>(std::move(blob), name, &unreadable_));
}

}  // namespace tarn::kernel
