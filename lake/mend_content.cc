// Content: inline rows, extents, references and chunks. A file's rows are told apart from a hole's only by their sum,
// which the inode states: where less is there than it says, something is lost.
#include <algorithm>

#include "lake/mender.h"

namespace tarn::lake {
namespace {

constexpr size_t kMaxRanges = 8;  // told of one file

}  // namespace

// Content whose inode is lost is a file again: of the size that its rows reach, and named as before where an entry
// still knows it.
Status Mender::ReviveFiles() {
  constexpr uint32_t kMode = 0100600;
  constexpr const char* kTold = "the file's attributes are lost; it belongs to root now, with mode 0600";
  InodeWalk of_inline(rows_), of_extents(rows_);
  const auto lost = [&](InodeWalk* inodes, Ino ino) -> Result<bool> {
    if (ino == 0 || ino >= kNeverGivenOut) return false;
    TARN_ASSIGN(const std::optional<Inode> inode, inodes->Find(ino));
    return !inode.has_value();
  };
  TARN_TRY(Scan(rows_.families().content, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    const Ino ino = key.size() == 8 ? DecodeBig64(key.data()) : 0;
    TARN_ASSIGN(const bool revive, lost(&of_inline, ino));
    if (!revive || value.size() > kInlineBytes) return {};
    TellInode(ino, kTold);
    return PutInode(ino, {.mode = kMode, .nlink = 1, .size = value.size(), .stored = value.size()});
  }));
  Ino file = 0;  // the one whose extents pass by; 0: none, or one that is there
  Inode revived;
  const auto finish = [&]() -> Status {
    if (file == 0) return {};
    TellInode(file, kTold);
    return PutInode(file, revived);
  };
  Ino before = 0;
  TARN_TRY(Scan(rows_.families().extents, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    uint64_t block;
    Extent extent;
    if (!ParseExtentKey(key, &ino, &block) || block > INT64_MAX / kBlockBytes - 1) return {};
    TARN_TRY(Decode(key, value, &extent));
    if (ino != before) {
      TARN_TRY(finish());
      before = ino;
      TARN_ASSIGN(const bool revive, lost(&of_extents, ino));
      file = revive ? ino : 0;
      revived = {.mode = kMode, .nlink = 1, .size = kInlineBytes + 1};
    }
    revived.size = std::max(revived.size, block * kBlockBytes + extent.length);
    revived.stored += extent.length;
    return {};
  }));
  return finish();
}

// What belongs to no file, or not to one of this size.
Status Mender::DropStrayContent(Window* window) {
  const ColumnFamily content = rows_.families().content, extents = rows_.families().extents;
  TARN_TRY(ScanWindow(content, '\0', *window, [&](std::string_view key, std::string_view value) -> Status {
    const Seen* const seen = key.size() == 8 ? window->Find(DecodeBig64(key.data())) : nullptr;
    const bool good = seen != nullptr && seen->inode.is_regular() && seen->inode.is_inline() && !value.empty();
    if (!good) return Drop(content, key);
    return value.size() <= seen->inode.size ? Status() : Put(content, key, value.substr(0, seen->inode.size));
  }));
  return ScanWindow(extents, '\0', *window, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino = 0;
    uint64_t block = 0;
    const Seen* const seen = ParseExtentKey(key, &ino, &block) ? window->Find(ino) : nullptr;
    if (seen == nullptr || !seen->inode.is_regular()) return Drop(extents, key);
    if (seen->inode.tail != 0 && block >= seen->inode.tail - 1) return {};
    Extent extent;
    TARN_TRY(Decode(key, value, &extent));
    const bool within = block <= INT64_MAX / kBlockBytes && block * kBlockBytes + extent.length <= seen->inode.size;
    return within && !seen->inode.is_inline() ? Status() : Drop(extents, key);
  });
}

// One reference for each extent, and none else.
Status Mender::MatchBackrefs() {
  const ColumnFamily backrefs = rows_.families().backrefs;
  TARN_TRY(Scan(backrefs, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    Digest digest;
    Ino ino;
    uint64_t block;
    if (!ParseBackrefKey(key, &digest, &ino, &block) || !value.empty()) return Drop(backrefs, key);
    TARN_ASSIGN(const auto extent, rows_.FindExtent(ino, block));
    return extent.has_value() && extent->digest == digest ? Status() : Drop(backrefs, key);
  }));
  TARN_TRY(Flush());  // what was dropped is not there any more
  return Scan(rows_.families().extents, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    uint64_t block;
    Extent extent;
    if (!ParseExtentKey(key, &ino, &block)) return {};
    TARN_TRY(Decode(key, value, &extent));
    const std::string backref = BackrefKey(extent.digest, ino, block);
    TARN_ASSIGN(const bool there, rows_.Has(backrefs, backref));
    return there ? Status() : Put(backrefs, backref, {});
  });
}

// Walks references and chunks side by side, both in order of hash.
Status Mender::MatchChunks() {
  const ColumnFamily chunk_family = rows_.families().chunks, extents = rows_.families().extents;
  const auto chunks = rows_.Walk(chunk_family, {}, true);
  chunks->SeekToFirst();
  Digest digest;
  bool first = true, found = false, kept = false;  // the chunk of `digest`
  uint64_t length = 0;
  const auto leave = [&] { return found && !kept ? Drop(chunk_family, digest.view()) : Status(); };
  TARN_TRY(Scan(rows_.families().backrefs, {}, {}, [&](std::string_view key, std::string_view) -> Status {
    Digest now;
    Ino ino;
    uint64_t block;
    if (!ParseBackrefKey(key, &now, &ino, &block)) return {};
    if (first || now != digest) {
      TARN_TRY(leave());
      kept = false;
      for (; chunks->valid() && chunks->key() < now.view(); chunks->Next()) {
        TARN_TRY(Drop(chunk_family, chunks->key()));
      }
      TARN_TRY(chunks->status());
      found = chunks->valid() && chunks->key() == now.view();
      if (found) {
        length = chunks->value().size();
        chunks->Next();
      }
    }
    first = false;
    digest = now;
    TARN_ASSIGN(const auto extent, rows_.FindExtent(ino, block));
    if (found && extent.has_value() && extent->length == length) {
      kept = true;
      return {};
    }
    TARN_TRY(Drop(extents, ExtentKey(ino, block)));
    return Drop(rows_.families().backrefs, key);
  }));
  TARN_TRY(leave());
  for (; chunks->valid(); chunks->Next()) TARN_TRY(Drop(chunk_family, chunks->key()));
  return chunks->status();
}

Status Mender::CountContent(Window* window) {
  TARN_TRY(ScanWindow(rows_.families().content, '\0', *window, [&](std::string_view key, std::string_view value) {
    Seen* const seen = window->Find(DecodeBig64(key.data()));
    if (seen != nullptr) seen->stored_rows += value.size();
    return Status();
  }));
  TARN_TRY(ScanWindow(rows_.families().extents, '\0', *window, [&](std::string_view key, std::string_view value) {
    Extent extent;
    Seen* const seen = window->Find(DecodeBig64(key.data()));
    if (seen != nullptr && Decode(key, value, &extent).ok()) seen->stored_rows += extent.length;
    return Status();
  }));
  for (const Seen& seen : window->inodes) {
    if (seen.stored_rows == seen.inode.stored) continue;
    if (seen.stored_rows < seen.inode.stored) {
      TARN_ASSIGN(const std::string missing, MissingBytes(seen.ino, seen.inode));
      TellInode(seen.ino, std::to_string(seen.inode.stored - seen.stored_rows) + " of " +
                              std::to_string(seen.inode.stored) + " bytes are lost" + missing);
    } else {
      TellInode(seen.ino, "its content and its attributes are of different times; look at it");
    }
    Inode inode = seen.inode;
    inode.stored = seen.stored_rows;
    TARN_TRY(PutInode(seen.ino, inode));
  }
  return TellPending();
}

// ", and read as zeros: bytes 0 to 131072, ...": everything of the file without a row. Some of it may always have
// been a hole.
Result<std::string> Mender::MissingBytes(Ino ino, const Inode& inode) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  uint64_t at = 0;
  const auto gap = [&](uint64_t end) {
    if (end > at) ranges.emplace_back(at, end);
  };
  if (inode.is_inline()) {
    TARN_ASSIGN(const std::string bytes, rows_.InlineBytes(ino));
    at = bytes.size();
  } else {
    const auto walk = rows_.Walk(rows_.families().extents, InoKey(ino), true);
    for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
      const uint64_t begin = DecodeBig64(walk->key().data() + 8) * kBlockBytes;
      if (begin >= inode.size) continue;
      gap(begin);
      // The rest of a block behind its extent was zeros.
      at = std::max(at, begin + kBlockBytes);
    }
    TARN_TRY(walk->status());
  }
  gap(inode.size);
  std::string text;
  for (size_t i = 0; i < ranges.size() && i < kMaxRanges; ++i) {
    text += (i == 0 ? " and read as zeros: bytes " : ", ") + std::to_string(ranges[i].first) + " to " +
            std::to_string(ranges[i].second);
  }
  if (ranges.size() > kMaxRanges) text += " and " + std::to_string(ranges.size() - kMaxRanges) + " ranges more";
  return text;
}

}  // namespace tarn::lake
