#include "format/backup_record.h"

#include <cstdio>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"

namespace tarn {
namespace {

constexpr std::string_view kRecordMagic = "tarnbkup", kRepositoryMagic = "tarnrepo";
constexpr uint32_t kVersion = 1;
constexpr size_t kStoreIdBytes = 16, kChecksumBytes = 8;
constexpr size_t kHeaderBytes = 8 + 4 + 4;  // magic, version, bytes of the summary
constexpr size_t kRepositoryBytes = 8 + 4 + kStoreIdBytes + kChecksumBytes;

uint64_t Checksum(std::string_view name, std::string_view body) { return PlacedChecksum(body, Hash64(name), 0); }

Status Bad(std::string_view name, size_t offset, const std::string& what) {
  return Status::Corruption(std::string(name) + ", byte " + std::to_string(offset) + ": " + what +
                            "; see which backups are whole: tarn backup verify URL");
}

Status TooNew(std::string_view name, uint32_t version) {
  return Status::Unsupported(std::string(name) + ", byte 8: version " + std::to_string(version) +
                             " is unknown here, a newer Tarn wrote it; use that release");
}

// Where the state is, and what it must hash to.
struct StateFacts {
  uint64_t offset = 0, bytes = 0, hash = 0;
};

bool GetText(std::string_view* in, std::string* text) {
  std::string_view bytes;
  if (!GetBytes(in, &bytes) || bytes.size() > kMaxBackupText) return false;
  text->assign(bytes);
  return true;
}

bool ReadSummary(std::string_view in, BackupInfo* info, StateFacts* state) {
  std::string_view id;
  if (!GetVarint(&in, &info->number) || !GetBytes(&in, &id) || id.size() != kStoreIdBytes) return false;
  info->store_id.assign(id);
  return GetVarint(&in, &info->created_wall_nanos) && GetText(&in, &info->label) && GetText(&in, &info->writer) &&
         GetVarint(&in, &info->tables) && GetVarint(&in, &info->bytes) && GetVarint(&in, &info->sent_tables) &&
         GetVarint(&in, &info->sent_bytes) && GetVarint(&in, &info->last_sequence) && GetVarint(&in, &state->bytes) &&
         GetFixed64(&in, &state->hash) && in.empty();
}

Status DecodeFront(std::string_view name, std::string_view front, BackupInfo* info, StateFacts* state) {
  if (front.size() < kHeaderBytes) return Bad(name, front.size(), "ends before its summary");
  if (front.substr(0, kRecordMagic.size()) != kRecordMagic) return Bad(name, 0, "is not a record of a backup");
  const size_t summary_bytes = DecodeFixed32(front.data() + 12);
  if (summary_bytes > kBackupSummaryBytes - kHeaderBytes - kChecksumBytes ||
      front.size() < kHeaderBytes + summary_bytes + kChecksumBytes) {
    return Bad(name, 12, "its summary does not fit");
  }
  const size_t body_bytes = kHeaderBytes + summary_bytes;
  if (DecodeFixed64(front.data() + body_bytes) != Checksum(name, front.substr(0, body_bytes))) {
    return Bad(name, body_bytes, "its checksum is wrong: the bytes changed, or belong under another name");
  }
  // The checksum is right, so an unknown version is not damage.
  const uint32_t version = DecodeFixed32(front.data() + 8);
  if (version != kVersion) return TooNew(name, version);
  if (!ReadSummary(front.substr(kHeaderBytes, summary_bytes), info, state)) {
    return Bad(name, kHeaderBytes, "its summary has bad fields");
  }
  state->offset = body_bytes + kChecksumBytes;
  return {};
}

const char* Disagreement(const BackupRecord& record) {
  const ManifestRecord& state = record.state;
  if (!state.full()) return "its state is not a full one";
  if (state.first_wal != 0) return "its state counts on a log";
  BackupInfo described;
  DescribeTables(state, &described);
  const BackupInfo& info = record.info;
  const bool agree = info.store_id == described.store_id && info.tables == described.tables &&
                     info.bytes == described.bytes && info.last_sequence == described.last_sequence;
  return agree ? nullptr : "its summary is not that of its state";
}

}  // namespace

std::string BackupBlobName(uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "backup/%016llx", static_cast<unsigned long long>(number));
  return name;
}

void DescribeTables(const ManifestRecord& state, BackupInfo* info) {
  info->store_id = state.store_id;
  info->last_sequence = state.last_sequence;
  info->tables = state.tables_added.size();
  info->bytes = 0;
  for (const ManifestTable& table : state.tables_added) info->bytes += table.meta.file_bytes;
}

std::string EncodeBackupRecord(std::string_view name, const BackupRecord& record) {
  if (const char* wrong = Disagreement(record)) CheckFailed(__FILE__, __LINE__, wrong);
  const BackupInfo& info = record.info;
  const std::string state = EncodeManifestRecord(record.state);
  std::string summary;
  PutVarint(&summary, info.number);
  PutBytes(&summary, info.store_id);
  PutVarint(&summary, info.created_wall_nanos);
  PutBytes(&summary, std::string_view(info.label).substr(0, kMaxBackupText));
  PutBytes(&summary, std::string_view(info.writer).substr(0, kMaxBackupText));
  for (const uint64_t n : {info.tables, info.bytes, info.sent_tables, info.sent_bytes, info.last_sequence}) {
    PutVarint(&summary, n);
  }
  PutVarint(&summary, state.size());
  PutFixed64(&summary, Hash64(state));

  std::string out(kRecordMagic);
  PutFixed32(&out, kVersion);
  PutFixed32(&out, static_cast<uint32_t>(summary.size()));
  out += summary;
  PutFixed64(&out, Checksum(name, out));
  return out + state;
}

Result<BackupInfo> DecodeBackupSummary(std::string_view name, std::string_view front) {
  BackupInfo info;
  StateFacts state;
  TARN_TRY(DecodeFront(name, front, &info, &state));
  return info;
}

Result<BackupRecord> DecodeBackupRecord(std::string_view name, std::string_view bytes) {
  BackupRecord record;
  StateFacts facts;
  TARN_TRY(DecodeFront(name, bytes, &record.info, &facts));
  const std::string_view state = bytes.substr(facts.offset);
  if (state.size() != facts.bytes) return Bad(name, bytes.size(), "ends early or has bytes left over");
  if (Hash64(state) != facts.hash) return Bad(name, facts.offset, "its state is not the one that was written");
  auto decoded = DecodeManifestRecord(state, 1);
  if (!decoded.ok()) return decoded.status().Annotate(name);
  record.state = std::move(*decoded);
  if (const char* wrong = Disagreement(record)) return Bad(name, facts.offset, wrong);
  return record;
}

std::string EncodeRepository(std::string_view store_id) {
  CHECK(store_id.size() == kStoreIdBytes);
  std::string out(kRepositoryMagic);
  PutFixed32(&out, kVersion);
  out += store_id;
  PutFixed64(&out, Checksum(kRepositoryBlob, out));
  return out;
}

Result<std::string> DecodeRepository(std::string_view bytes) {
  const size_t body_bytes = bytes.size() < kChecksumBytes ? 0 : bytes.size() - kChecksumBytes;
  if (body_bytes < 12 || bytes.substr(0, kRepositoryMagic.size()) != kRepositoryMagic) {
    return Bad(kRepositoryBlob, 0, "is not the mark of a repository");
  }
  if (DecodeFixed64(bytes.data() + body_bytes) != Checksum(kRepositoryBlob, bytes.substr(0, body_bytes))) {
    return Bad(kRepositoryBlob, body_bytes, "its checksum is wrong");
  }
  const uint32_t version = DecodeFixed32(bytes.data() + 8);
  if (version != kVersion) return TooNew(kRepositoryBlob, version);
  if (bytes.size() != kRepositoryBytes) return Bad(kRepositoryBlob, bytes.size(), "has a wrong size");
  return std::string(bytes.substr(12, kStoreIdBytes));
}

}  // namespace tarn
