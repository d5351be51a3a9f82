// StoreView: a View over the rows as of now or of one snapshot.
//
// Reads that look at one row see the newest committed one; reads that need several rows to agree (content,
// and an entry whose inode is missing) fix a snapshot of their own. A fixed view reads through its snapshot.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lake/lake.h"
#include "lake/rows.h"

namespace tarn::lake {

class StoreView : public View {
 public:
  // `snapshot` null: the view follows the store. `space` (may be null) answers for the device below.
  StoreView(const Rows& rows, std::unique_ptr<Snapshot> snapshot, SpaceSource* space)
      : snapshot_(std::move(snapshot)), rows_(rows.At(snapshot_.get())), space_(space) {}

  Result<Attr> Lookup(Ino parent, std::string_view name) override;
  Result<Attr> GetAttr(Ino ino) override;
  Result<std::vector<DirEntry>> ReadDir(Ino dir, std::string_view after, size_t limit) override;
  Result<Ino> ParentOf(Ino dir) override;
  Result<size_t> Read(Ino ino, uint64_t offset, std::span<char> out) override;
  Result<uint64_t> SeekData(Ino ino, uint64_t offset) override;
  Result<uint64_t> SeekHole(Ino ino, uint64_t offset) override;
  Result<std::string> ReadLink(Ino ino) override;
  Result<std::string> GetXattr(Ino ino, std::string_view name) override;
  Result<std::vector<std::string>> ListXattr(Ino ino) override;
  Result<lake::Usage> GetUsage() override;

 protected:
  // The inode and the rows to read its content from, all as of one moment; `hold` keeps that moment alive.
  Result<Inode> OpenContent(Ino ino, Rows* rows, std::unique_ptr<Snapshot>* hold);
  // Adds what the device says to counters that are filled in already.
  Result<lake::Usage> WithSpace(lake::Usage usage);
  const Rows& rows() const { return rows_; }

 private:
  const std::unique_ptr<Snapshot> snapshot_;
  const Rows rows_;
  SpaceSource* const space_;
};

// Stops anything but regular files: EISDIR or EINVAL.
Status RequireRegular(Ino ino, const Inode& inode);

}  // namespace tarn::lake
