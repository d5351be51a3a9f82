// The blobs of a backup repository besides its tables. Bytes and rules: docs/formats/backup.md.
//
// A record says which tables a checkpoint is made of. The same bytes are a backup (backup/<number>), the intent of
// one that is under way (intent/<id>) and the registration of a clone (clone/<id>): each keeps its tables. What
// people ask for first, the summary, stands in front and has a checksum of its own, so that a list of backups reads a
// kilobyte of each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/manifest_record.h"
#include "tarn/backup.h"

namespace tarn {

struct BackupRecord {
  BackupInfo info;
  ManifestRecord state;  // full, number 1, without a log: what a restored store begins with
};

inline constexpr size_t kMaxBackupText = 255;        // bytes of a label or writer
inline constexpr size_t kBackupSummaryBytes = 1024;  // the front of a record holds its summary
inline constexpr std::string_view kRepositoryBlob = "repository";

std::string BackupBlobName(uint64_t number);  // "backup/0000000000000001"

// `name` is the blob's: a record under another one does not verify. REQUIRES: the summary's facts are those of
// `state`.
std::string EncodeBackupRecord(std::string_view name, const BackupRecord& record);
Result<BackupRecord> DecodeBackupRecord(std::string_view name, std::string_view bytes);
// From the first kBackupSummaryBytes of the blob, or all if it has less.
Result<BackupInfo> DecodeBackupSummary(std::string_view name, std::string_view front);

// The blob that makes a place a repository.
std::string EncodeRepository(std::string_view store_id);
Result<std::string> DecodeRepository(std::string_view bytes);  // the store id

// What the summary says about the tables of a state.
void DescribeTables(const ManifestRecord& state, BackupInfo* info);

}  // namespace tarn
