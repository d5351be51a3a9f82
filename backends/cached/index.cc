#include "backends/cached/index.h"

#include "base/hash.h"

namespace tarn::cached {
namespace {

uint64_t GhostOf(const BlobKey& blob, uint32_t extent) {
  const uint64_t hash = Hash64(blob.name, blob.identity + extent);
  return hash == 0 ? 1 : hash;
}

}  // namespace

IndexEntry EntryOf(const Segment& segment) {
  std::vector<ContentsEntry> entries;
  entries.reserve(segment.live);
  IndexEntry out;
  out.number = segment.name.number;
  for (const Entry& entry : segment.entries) {
    if (entry.blob == nullptr) continue;
    entries.push_back({entry.blob->key, entry.extent, entry.offset, entry.bytes, entry.checksum});
    out.hits += static_cast<char>(entry.hits);
  }
  out.contents = EncodeContents(entries);
  return out;
}

std::optional<Slot> Index::Find(const BlobKey& blob, uint32_t extent) const {
  const auto found = blobs_.find(blob);
  if (found == blobs_.end()) return std::nullopt;
  const auto slot = found->second.extents.find(extent);
  if (slot == found->second.extents.end()) return std::nullopt;
  return slot->second;
}

void Index::File(Segment* segment, const BlobKey& blob, Entry entry) {
  if (const auto older = Find(blob, entry.extent)) Unfile(*older);
  const auto home = blobs_.try_emplace(blob).first;
  home->second.key = blob;
  entry.blob = &home->second;
  home->second.extents[entry.extent] = {segment, static_cast<uint32_t>(segment->entries.size())};
  segment->entries.push_back(entry);
  ++segment->live;
  ++entries_;
}

void Index::Unfile(Slot slot) {
  CachedBlob* const blob = slot->blob;
  slot->blob = nullptr;
  --slot.segment->live;
  --entries_;
  blob->extents.erase(slot->extent);
  if (blob->extents.empty()) blobs_.erase(BlobKey(blob->key));
}

void Index::UnfileAll(Segment* segment) {
  for (uint32_t i = 0; i < segment->entries.size(); ++i) {
    if (segment->entries[i].blob != nullptr) Unfile({segment, i});
  }
}

void Index::UnfileBlob(const std::string& name, std::vector<SegmentName>* dead) {
  auto blob = blobs_.lower_bound({name, 0});
  while (blob != blobs_.end() && blob->first.name == name) {
    for (const auto& [extent, slot] : blob->second.extents) {
      slot->blob = nullptr;
      --entries_;
      if (--slot.segment->live == 0) dead->push_back(slot.segment->name);
    }
    blob = blobs_.erase(blob);
  }
}

void Index::Remember(const Entry& entry) {
  const uint64_t ghost = GhostOf(entry.blob->key, entry.extent);
  ghosts_[ghost % ghosts_.size()] = ghost;
}

bool Index::Remembers(const BlobKey& blob, uint32_t extent) const {
  const uint64_t ghost = GhostOf(blob, extent);
  return ghosts_[ghost % ghosts_.size()] == ghost;
}

}  // namespace tarn::cached
