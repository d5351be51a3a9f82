#include "lake/chunk_refs.h"

namespace tarn::lake {

void ChunkRefs::Add(const Digest& digest, Ino ino, uint64_t block, std::string_view bytes) {
  Changes& changes = changes_[digest];
  changes.added.insert({ino, block});
  changes.bytes = bytes;
}

void ChunkRefs::Remove(const Digest& digest, Ino ino, uint64_t block) {
  changes_[digest].removed.insert({ino, block});
}

Status ChunkRefs::Resolve(const Rows& rows, WriteBatch* batch) {
  if (changes_.empty()) return Status::Ok();
  const Families& families = rows.families();
  const auto walk = rows.Walk(families.backrefs, {});
  for (const auto& [digest, changes] : changes_) {
    bool existed = false;  // has a backref before this batch
    bool remains = false;  // has one that this batch does not remove
    for (walk->Seek(digest.view()); walk->valid() && walk->key().starts_with(digest.view()); walk->Next()) {
      Digest same;
      Place place;
      if (!ParseBackrefKey(walk->key(), &same, &place.first, &place.second)) {
        return Status::Corruption("backref key '" + Printable(walk->key()) + "' is malformed; run `tarn check`");
      }
      existed = true;
      remains = !changes.removed.contains(place);
      if (remains) break;
    }
    TARN_TRY(walk->status());
    for (const auto& [ino, block] : changes.removed) {
      batch->Delete(families.backrefs, BackrefKey(digest, ino, block));
    }
    for (const auto& [ino, block] : changes.added) {
      batch->Put(families.backrefs, BackrefKey(digest, ino, block), {});
    }
    if (!changes.added.empty() && !existed) batch->Put(families.chunks, digest.view(), changes.bytes);
    if (changes.added.empty() && existed && !remains) batch->Delete(families.chunks, digest.view());
  }
  changes_.clear();
  return Status::Ok();
}

}  // namespace tarn::lake
