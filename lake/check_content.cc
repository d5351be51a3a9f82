// The half of the check that looks at content: inline rows, extents, backrefs and chunks.

#include <algorithm>

#include "lake/checker.h"

namespace tarn::lake {
namespace {

constexpr size_t kReferencesPerLookup = 256;
constexpr const char* kRepair = "; restore the file from a snapshot or backup";

std::string Name(Ino ino) { return "inode " + std::to_string(ino); }

std::string BlockName(std::string_view extent_key) {
  return Name(DecodeBig64(extent_key.data())) + " block " + std::to_string(DecodeBig64(extent_key.data() + 8));
}

// A chunk's key as people write it; keys of another length only as far as they go.
std::string Hex(std::string_view key) {
  Digest digest;
  std::copy_n(key.begin(), std::min(key.size(), digest.bytes.size()), digest.bytes.begin());
  return digest.hex();
}

}  // namespace

Status Checker::CheckInline(Window* window) {
  return ScanWindow(rows_.families().content, '\0', *window, [&](std::string_view key, std::string_view value) {
    Seen* const seen = key.size() == 8 ? window->Find(DecodeBig64(key.data())) : nullptr;
    if (seen == nullptr || !seen->is_regular() || seen->size > kInlineBytes) {
      Problem("inline row '" + Printable(key) + "' belongs to no file of at most 65536 bytes" + kRepair);
      return Status::Ok();
    }
    if (value.empty() || value.size() > seen->size) {
      Problem(Name(seen->ino) + ": inline content of " + std::to_string(value.size()) + " bytes in a file of " +
              std::to_string(seen->size) + kRepair);
    }
    seen->stored_rows += value.size();
    report_.bytes += value.size();
    return Status::Ok();
  });
}

Status Checker::CheckExtents(Window* window) {
  return ScanWindow(
      rows_.families().extents, '\0', *window, [&](std::string_view key, std::string_view value) -> Status {
        Ino ino = 0;
        uint64_t block = 0;
        const bool parsed = ParseExtentKey(key, &ino, &block);
        Seen* const seen = parsed ? window->Find(ino) : nullptr;
        if (parsed) ++report_.blocks;  // it has a backref, whatever else is wrong
        if (seen == nullptr || !seen->is_regular()) {
          Problem("extent row '" + Printable(key) + "' belongs to no file" + kRepair);
          return Status::Ok();
        }
        Extent extent;
        TARN_TRY(Decode(key, value, &extent));
        seen->stored_rows += extent.length;
        report_.bytes += extent.length;
        if (seen->tail != 0 && block >= seen->tail - 1) return Status::Ok();
        const bool within = block <= INT64_MAX / kBlockBytes && block * kBlockBytes + extent.length <= seen->size;
        if (seen->size <= kInlineBytes || !within) {
          Problem(BlockName(key) + ": an extent of " + std::to_string(extent.length) +
                  " bytes does not fit a file of " + std::to_string(seen->size) + kRepair);
        }
        return Status::Ok();
      });
}

// Walks backrefs and (deep) chunks side by side, both in order of hash.
Status Checker::CheckReferences() {
  std::unique_ptr<Iterator> chunks;
  if (deep_) {
    chunks = rows_.Walk(rows_.families().chunks, {}, true);
    chunks->SeekToFirst();
  }
  bool found = false;   // the chunk of `digest`
  uint64_t length = 0;  // its length
  Digest digest;
  bool first = true;
  std::vector<Reference> batch;
  TARN_TRY(Scan(rows_.families().backrefs, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    Digest now;
    Ino ino;
    uint64_t block;
    if (!ParseBackrefKey(key, &now, &ino, &block) || !value.empty()) {
      Problem("backref row '" + Printable(key) + "' is malformed" + kRepair);
      return Status::Ok();
    }
    ++backrefs_;
    Tick();
    if (deep_ && (first || now != digest)) {
      for (; chunks->valid() && chunks->key() < now.view(); chunks->Next()) {
        CheckChunk(chunks->key(), chunks->value());
        Problem("chunk " + Hex(chunks->key()) + " is named by no file; its space is lost");
      }
      TARN_TRY(chunks->status());
      found = chunks->valid() && chunks->key() == now.view();
      if (found) {
        CheckChunk(chunks->key(), chunks->value());
        length = chunks->value().size();
        chunks->Next();
      } else {
        Problem(BlockName(key.substr(32)) + ": chunk " + now.hex() + " is missing" + kRepair);
      }
    }
    first = false;
    digest = now;
    batch.push_back({std::string(key.substr(32)), now, length, deep_ && found});
    return batch.size() < kReferencesPerLookup ? Status::Ok() : MatchExtents(&batch);
  }));
  TARN_TRY(MatchExtents(&batch));
  for (; deep_ && chunks->valid(); chunks->Next()) {
    CheckChunk(chunks->key(), chunks->value());
    Problem("chunk " + Hex(chunks->key()) + " is named by no file; its space is lost");
  }
  if (deep_) TARN_TRY(Survive(chunks->status()));
  // Each backref that matches does so with another extent. So equal counts mean that no extent lacks its backref.
  return backrefs_ - unmatched_ == report_.blocks ? Status::Ok() : FindLostBackrefs();
}

Status Checker::MatchExtents(std::vector<Reference>* references) {
  std::vector<std::string_view> keys;
  for (const Reference& reference : *references) keys.push_back(reference.extent_key);
  const auto found = rows_.FindExtentRows(keys);
  if (!found.ok()) {
    unmatched_ += references->size();
    references->clear();
    return Survive(found.status());
  }
  const auto& extents = *found;
  for (size_t i = 0; i < references->size(); ++i) {
    const Reference& reference = (*references)[i];
    if (!extents[i] || extents[i]->digest != reference.digest) {
      ++unmatched_;
      Problem(BlockName(reference.extent_key) + ": a backref of chunk " + reference.digest.hex() +
              " belongs to no extent; its space is lost");
    } else if (reference.chunk_known && reference.chunk_length != extents[i]->length) {
      Problem(BlockName(reference.extent_key) + ": chunk " + reference.digest.hex() + " has " +
              std::to_string(reference.chunk_length) + " bytes, the extent says " +
              std::to_string(extents[i]->length) + kRepair);
    }
  }
  references->clear();
  return Status::Ok();
}

// Names the extents that no backref keeps alive.
Status Checker::FindLostBackrefs() {
  return Scan(rows_.families().extents, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    uint64_t block;
    Extent extent;
    if (!ParseExtentKey(key, &ino, &block) || !Decode(key, value, &extent).ok()) return Status::Ok();  // told before
    TARN_ASSIGN(const bool kept, rows_.Has(rows_.families().backrefs, BackrefKey(extent.digest, ino, block)));
    if (kept) return Status::Ok();
    Problem(BlockName(key) + ": chunk " + extent.digest.hex() + " has no backref to this extent" + kRepair);
    return Status::Ok();
  });
}

void Checker::CheckChunk(std::string_view key, std::string_view bytes) {
  if (!bytes.empty() && bytes.size() <= kBlockBytes && Sha256(bytes).view() == key) return;
  Problem("chunk " + Hex(key) + ": its " + std::to_string(bytes.size()) + " bytes do not hash to its name" + kRepair);
}

}  // namespace tarn::lake
