// A repository of backups: section 0 is the record of backup 1, section 1 the mark, section 2 the list of a clone
// (mutations are resealed). Each decodes to an error or to a value that encodes to the same bytes; and restoring,
// pruning and verifying what they make up ends in an error or in a store, never in a crash.
#include "backends/overlay/overlay.h"
#include "base/coding.h"
#include "base/hash.h"
#include "format/backup_record.h"
#include "tarn/backup.h"
#include "tests/fuzz/reseal.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::fuzz {
namespace {

constexpr size_t kSections = 3;

void CheckError(const Status& status) {
  MUST(status.code() == Code::kCorruption || status.code() == Code::kUnsupported, status.ToString());
}

void CheckSame(std::string_view bytes, const std::string& again) {
  MUST(again.size() <= bytes.size(), "the encoder needs more bytes than the decoder took");
  MUST(again.size() < bytes.size() || again == bytes, "encode(decode(x)) is not x");
}

void CheckRecord(const std::string& bytes) {
  const std::string name = BackupBlobName(1);
  const auto summary = DecodeBackupSummary(name, std::string_view(bytes).substr(0, kBackupSummaryBytes));
  const auto record = DecodeBackupRecord(name, bytes);
  if (!summary.ok()) CheckError(summary.status());
  if (!record.ok()) return CheckError(record.status());
  MUST(summary.ok() && summary->number == record->info.number, "a record without its summary");
  CheckSame(bytes, EncodeBackupRecord(name, *record));
}

void CheckRepository(const std::vector<std::string>& sections) {
  test::MemBackend repository;
  MUST(repository.PutIfAbsent(BackupBlobName(1), sections[0]).ok(), "memory does not take a blob");
  MUST(repository.PutIfAbsent(kRepositoryBlob, sections[1]).ok(), "memory does not take a blob");
  TransferOptions transfer;
  transfer.parallel = 1;
  transfer.clock = std::make_shared<test::VirtualClock>();
  transfer.entropy = std::make_shared<test::SeededEntropy>(1);
  test::MemBackend target;
  const auto restored = Restore(repository, 0, target, transfer);
  const auto verified = VerifyBackups(repository, {.deep = true});
  if (restored.ok()) MUST(verified.ok() && verified->problems.empty(), "what restores is not whole");
  PruneOptions prune;
  prune.keep = 1;
  prune.entropy = transfer.entropy;
  const auto pruned = PruneBackups(repository, prune);
  if (restored.ok()) MUST(pruned.ok(), "what restores is not pruned");
}

uint64_t NameChecksum(std::string_view name, std::string_view body) { return PlacedChecksum(body, Hash64(name), 0); }

void Store(std::string* bytes, size_t at, uint64_t value) {
  std::string fixed;
  PutFixed64(&fixed, value);
  bytes->replace(at, 8, fixed);
}

// Magic, version and, at the end, the checksum.
void ResealWhole(std::string_view magic, std::string_view name, std::string* bytes) {
  if (bytes->size() < 8 + 4 + 8) return;
  bytes->replace(0, 8, magic);
  bytes->replace(8, 4, std::string("\1\0\0\0", 4));
  const size_t body = bytes->size() - 8;
  Store(bytes, body, NameChecksum(name, std::string_view(*bytes).substr(0, body)));
}

void ResealBackupRecord(std::string* bytes) {
  if (bytes->size() < 16) return;
  const uint64_t summary = DecodeFixed32(bytes->data() + 12), body = 16 + summary;
  if (summary < 8 || summary > 900 || bytes->size() < body + 8) return;
  std::string state = bytes->substr(body + 8);
  ResealRecord(1, &state);
  bytes->replace(body + 8, std::string::npos, state);
  Store(bytes, body - 8, Hash64(state));  // the summary's last field
  bytes->replace(0, 8, "tarnbkup");
  bytes->replace(8, 4, std::string("\1\0\0\0", 4));
  Store(bytes, body, NameChecksum(BackupBlobName(1), std::string_view(*bytes).substr(0, body)));
}

}  // namespace

void RunBackup(std::string_view input) {
  std::vector<std::string> sections = SplitSections(input, kSections);
  sections.resize(kSections);
  CheckRecord(sections[0]);
  const auto mark = DecodeRepository(sections[1]);
  if (!mark.ok()) CheckError(mark.status());
  if (mark.ok()) MUST(EncodeRepository(*mark) == sections[1], "another mark");
  const auto base = overlay::DecodeBase(sections[2]);
  if (!base.ok()) CheckError(base.status());
  if (base.ok()) CheckSame(sections[2], overlay::EncodeBase(*base));
  CheckRepository(sections);
}

void ResealBackup(std::string* input, uint64_t choice) {
  std::vector<std::string> sections = SplitSections(*input, kSections);
  if (sections.size() > 0 && (choice & 3)) ResealBackupRecord(&sections[0]);
  if (sections.size() > 1 && (choice >> 2 & 3)) ResealWhole("tarnrepo", kRepositoryBlob, &sections[1]);
  if (sections.size() > 2 && (choice >> 4 & 3)) ResealWhole("tarnbase", "overlay/base", &sections[2]);
  *input = JoinSections(sections);
}

}  // namespace tarn::fuzz
