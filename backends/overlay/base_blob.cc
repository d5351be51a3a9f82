// The blob overlay/base, and the markers beside it.
#include <algorithm>

#include "backends/overlay/names.h"
#include "backends/overlay/overlay.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/list_all.h"

namespace tarn::overlay {
namespace {

constexpr std::string_view kMagic = "tarnbase";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 8 + 4, kChecksumBytes = 8;
constexpr uint64_t kMostBytes = 1ull << 30;  // no list of ours comes near; hostile sizes allocate no more

uint64_t Checksum(std::string_view body) { return PlacedChecksum(body, Hash64(kBaseBlob), 0); }

Status Bad(const char* what) {
  return Status::Corruption(std::string(kBaseBlob) + ", byte 0: " + what +
                            "; make the clone again: tarn clone URL TARGET");
}

Status DeleteIfThere(Backend& backend, std::string_view name) {
  const Status deleted = backend.Delete(name);
  return deleted.code() == Code::kNotFound ? Status() : deleted;
}

}  // namespace

std::string EncodeBase(const Base& base) {
  std::string out(kMagic);
  PutFixed32(&out, kVersion);
  PutBytes(&out, base.url);
  PutBytes(&out, base.hold);
  PutVarint(&out, base.blobs.size());
  for (const BlobInfo& blob : base.blobs) {
    PutBytes(&out, blob.name);
    PutVarint(&out, blob.size);
  }
  PutFixed64(&out, Checksum(out));
  return out;
}

Result<Base> DecodeBase(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes + kChecksumBytes) return Bad("ends early");
  if (bytes.substr(0, kMagic.size()) != kMagic) return Bad("is not the list of a clone");
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (DecodeFixed64(bytes.data() + body.size()) != Checksum(body)) return Bad("its checksum is wrong");
  const uint32_t version = DecodeFixed32(bytes.data() + kMagic.size());
  if (version != kVersion) {
    return Status::Unsupported(std::string(kBaseBlob) + ": version " + std::to_string(version) +
                               " is unknown here, a newer Tarn wrote it; open the clone with that release");
  }
  std::string_view in = body.substr(kHeaderBytes), url, hold;
  uint64_t count;
  if (!GetBytes(&in, &url) || !GetBytes(&in, &hold) || !GetVarint(&in, &count)) return Bad("its fields end early");
  Base base{std::string(url), std::string(hold), {}};
  for (; count > 0; --count) {  // each takes bytes of `in`, so a hostile count ends
    std::string_view name;
    uint64_t size;
    if (!GetBytes(&in, &name) || !GetVarint(&in, &size)) return Bad("its list ends early");
    if (!base.blobs.empty() && name <= base.blobs.back().name) return Bad("its list is out of order");
    base.blobs.push_back({std::string(name), size});
  }
  if (!in.empty()) return Bad("has bytes left over");
  return base;
}

Status PutBase(Backend& top, const Base& base) {
  TARN_ASSIGN(const PutOutcome put, top.PutIfAbsent(kBaseBlob, EncodeBase(base)));
  return put == PutOutcome::kCreated ? Status() : Status::Busy("somebody made a clone here meanwhile");
}

Result<Base> ReadBase(Backend& top) {
  TARN_ASSIGN(const auto blob, top.Open(kBaseBlob));
  if (blob->size() > kMostBytes) return Bad("has an impossible size");
  std::string bytes(blob->size(), '\0');
  TARN_TRY(blob->Read(0, bytes));
  return DecodeBase(bytes);
}

Result<std::vector<BlobInfo>> BlobsOfBase(Backend& top, const Base& base) {
  TARN_ASSIGN(const std::vector<BlobInfo> markers, ListAll(top, kGone));
  std::vector<BlobInfo> blobs;
  std::set_difference(base.blobs.begin(), base.blobs.end(), markers.begin(), markers.end(), std::back_inserter(blobs),
                      [](const BlobInfo& a, const BlobInfo& b) { return Bare(a.name) < Bare(b.name); });
  return blobs;
}

Status RemoveBase(Backend& top) {
  TARN_TRY(DeleteIfThere(top, kBaseBlob));
  TARN_ASSIGN(const std::vector<BlobInfo> markers, ListAll(top, kGone));
  for (const BlobInfo& marker : markers) TARN_TRY(DeleteIfThere(top, marker.name));
  return {};
}

}  // namespace tarn::overlay
