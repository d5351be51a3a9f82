// What the public calls of include/tarn/backup.h share.
//
// The order of a backup, and why it is safe: docs/formats/backup.md.
#pragma once

#include "kernel/repository.h"
#include "tarn/backup.h"

namespace tarn::kernel {

// With the system's clock and entropy where none was given.
TransferOptions Completed(TransferOptions options);

// Ships `state`, whose tables are in `source` and stay there meanwhile. `options` are complete.
Result<BackupInfo> ShipBackup(Backend& source, const ManifestRecord& state, Backend& repository,
                              const BackupOptions& options);

}  // namespace tarn::kernel
