// Words of the lake as words of the kernel: errors, attributes, entries. Pure functions.
#pragma once

#include "fuse/libfuse.h"
#include "lake/lake.h"

namespace tarn::fuse {

// The errno for an error. What was stored and cannot be read is EIO whatever the device called it, so that damage
// is never taken for absence; a lake that another writer took over is EROFS, as reading goes on.
int ErrnoOf(const Status& status);

// The same for an operation on an inode that the kernel names by number. One that is gone is ESTALE there: somebody
// removed it without this mount, and the kernel walks the path once more and finds what is there now, instead of
// telling the program ENOENT about a name that was replaced between its lookup and its open.
int ErrnoOfInode(const Status& status);

// `settled` is false while the file has bytes that are not in the store yet: which blocks hold data is then known
// only to the next flush, and the file counts as having no holes (tar takes a file of no blocks for an empty one).
struct stat StatOf(const lake::Attr& attr, bool settled);

}  // namespace tarn::fuse
