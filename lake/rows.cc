#include "lake/rows.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tarn::lake {
namespace {

// Blocks fetched together by one read: 2 MiB of chunks in memory, enough to fill a device queue.
constexpr size_t kReadBlocks = 16;

}  // namespace

ReadOptions Rows::Options() const {
  ReadOptions options;
  options.snapshot = snapshot_;
  return options;
}

Result<Inode> Rows::FindInode(Ino ino) const {
  const std::string key = MetaKey(kInodeRow, ino);
  std::string value;
  const Status found = db_->Get(families_.meta, key, &value, Options());
  if (found.code() == Code::kNotFound) {
    return Status::FromErrno(ENOENT, "inode " + std::to_string(ino) + " does not exist; look its path up again");
  }
  TARN_TRY(found);
  Inode inode;
  TARN_TRY(Decode(key, value, &inode));
  return inode;
}

Result<std::optional<Entry>> Rows::FindEntry(Ino parent, std::string_view name) const {
  const std::string key = NameKey(kEntryRow, parent, name);
  std::string value;
  const Status found = db_->Get(families_.meta, key, &value, Options());
  if (found.code() == Code::kNotFound) return std::optional<Entry>();
  TARN_TRY(found);
  Entry entry;
  TARN_TRY(Decode(key, value, &entry));
  return std::optional(entry);
}

Result<std::optional<Extent>> Rows::FindExtent(Ino ino, uint64_t block) const {
  TARN_ASSIGN(const auto found, FindExtents(ino, {block}));
  return found[0];
}

Result<std::vector<std::optional<Extent>>> Rows::FindExtents(Ino ino, const std::vector<uint64_t>& blocks) const {
  std::vector<std::string> keys;
  for (const uint64_t block : blocks) keys.push_back(ExtentKey(ino, block));
  return FindExtentRows(std::vector<std::string_view>(keys.begin(), keys.end()));
}

Result<std::vector<std::optional<Extent>>> Rows::FindExtentRows(const std::vector<std::string_view>& keys) const {
  std::vector<std::string> values;
  const std::vector<Status> found = db_->MultiGet(families_.extents, keys, &values, Options());
  std::vector<std::optional<Extent>> extents(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (found[i].code() == Code::kNotFound) continue;
    TARN_TRY(found[i]);
    TARN_TRY(Decode(keys[i], values[i], &extents[i].emplace()));
  }
  return extents;
}

Result<std::string> Rows::InlineBytes(Ino ino) const {
  std::string bytes;
  const Status found = db_->Get(families_.content, InoKey(ino), &bytes, Options());
  if (found.code() == Code::kNotFound) return std::string();
  TARN_TRY(found);
  if (bytes.size() > kInlineBytes) {
    return Status::Corruption("inode " + std::to_string(ino) + ": inline content has " +
                              std::to_string(bytes.size()) + " bytes, at most " + std::to_string(kInlineBytes) +
                              " are possible; run `tarn check`");
  }
  return bytes;
}

Result<Superblock> Rows::ReadSuperblock() const {
  const std::string key(1, kSuperblockRow);
  std::string value;
  TARN_TRY(db_->Get(families_.meta, key, &value, Options()));
  Superblock superblock;
  TARN_TRY(Decode(key, value, &superblock));
  return superblock;
}

Result<bool> Rows::Has(ColumnFamily family, std::string_view key) const {
  std::string value;
  const Status found = db_->Get(family, key, &value, Options());
  if (found.code() == Code::kNotFound) return false;
  TARN_TRY(found);
  return true;
}

Result<std::vector<std::string>> Rows::ReadChunks(Ino ino, std::span<const Named> extents) const {
  std::vector<std::string_view> keys;
  for (const Named& named : extents) keys.push_back(named.extent.digest.view());
  std::vector<std::string> chunks;
  const std::vector<Status> found = db_->MultiGet(families_.chunks, keys, &chunks, Options());
  for (size_t i = 0; i < extents.size(); ++i) {
    const Extent& extent = extents[i].extent;
    if (!found[i].ok() && found[i].code() != Code::kNotFound) return found[i];
    if (found[i].ok() && chunks[i].size() == extent.length) continue;
    return Status::Corruption("inode " + std::to_string(ino) + " block " + std::to_string(extents[i].block) +
                              ": chunk " + extent.digest.hex() + " is " +
                              (found[i].ok() ? "of the wrong length" : "missing") +
                              "; run `tarn check --deep`, then restore the file from a snapshot or backup");
  }
  return chunks;
}

Result<std::string> Rows::ReadBlock(Ino ino, const Inode& inode, uint64_t block) const {
  if (inode.is_inline()) {
    if (block != 0) return std::string();
    return InlineBytes(ino);
  }
  TARN_ASSIGN(const auto extent, FindExtent(ino, block));
  if (!extent) return std::string();
  const Named named{block, *extent};
  TARN_ASSIGN(auto chunks, ReadChunks(ino, {&named, 1}));
  return std::move(chunks[0]);
}

Status Rows::ReadContent(Ino ino, const Inode& inode, uint64_t offset, std::span<char> out) const {
  std::fill(out.begin(), out.end(), '\0');
  const uint64_t end = std::min<uint64_t>(offset + out.size(), inode.size);
  if (offset >= end) return Status::Ok();
  // Copies what `bytes`, which are at home at file offset `at`, have of [offset, end).
  const auto copy = [&](uint64_t at, std::string_view bytes) {
    const uint64_t from = std::max(at, offset);
    const uint64_t to = std::min(at + bytes.size(), end);
    if (from < to) std::memcpy(out.data() + (from - offset), bytes.data() + (from - at), to - from);
  };
  if (inode.is_inline()) {
    TARN_ASSIGN(const std::string bytes, InlineBytes(ino));
    copy(0, bytes);
    return Status::Ok();
  }
  const auto walk =
      WalkRange(families_.extents, ExtentKey(ino, offset / kBlockBytes), ExtentKey(ino, (end - 1) / kBlockBytes + 1));
  std::vector<Named> group;
  const auto fetch = [&]() -> Status {
    TARN_ASSIGN(const auto chunks, ReadChunks(ino, group));
    for (size_t i = 0; i < group.size(); ++i) copy(group[i].block * kBlockBytes, chunks[i]);
    group.clear();
    return Status::Ok();
  };
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    Named named;
    Ino owner;
    if (!ParseExtentKey(walk->key(), &owner, &named.block)) {
      return Status::Corruption("extent key '" + Printable(walk->key()) + "' is malformed; run `tarn check`");
    }
    TARN_TRY(Decode(walk->key(), walk->value(), &named.extent));
    group.push_back(named);
    if (group.size() == kReadBlocks) TARN_TRY(fetch());
  }
  TARN_TRY(walk->status());
  return group.empty() ? Status::Ok() : fetch();
}

std::unique_ptr<Iterator> Rows::Walk(ColumnFamily family, std::string_view prefix, bool scan) const {
  ReadOptions options = Options();
  options.prefix = prefix;
  options.fill_cache = !scan;
  return db_->NewIterator(family, options);
}

std::unique_ptr<Iterator> Rows::WalkRange(ColumnFamily family, std::string_view begin, std::string_view end,
                                          bool scan) const {
  ReadOptions options = Options();
  options.fill_cache = !scan;
  options.lower_bound = begin;
  options.upper_bound = end;
  return db_->NewIterator(family, options);
}

}  // namespace tarn::lake
