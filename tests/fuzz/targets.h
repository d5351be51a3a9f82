// The targets by file; targets.cc lists them with their limits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tarn::fuzz {

void RunCoding(std::string_view input);  // coding_targets.cc
void RunInternalKey(std::string_view input);
void RunPayload(std::string_view input);

void RunBlock(std::string_view input);  // format_targets.cc
void RunCompressed(std::string_view input);
void RunFilter(std::string_view input);
void RunProperties(std::string_view input);
void RunRanges(std::string_view input);

void RunTable(std::string_view input);  // table_target.cc
void RunTableParts(std::string_view input);
void ResealTable(std::string* input, uint64_t choice);

void RunWal(std::string_view input);  // wal_targets.cc
void RunWalDamage(std::string_view input);
void ResealWal(std::string* input, uint64_t choice);

void RunManifest(std::string_view input);  // manifest_target.cc
void ResealManifest(std::string* input, uint64_t choice);

void RunBackup(std::string_view input);  // backup_target.cc
void ResealBackup(std::string* input, uint64_t choice);

void RunLakeRows(std::string_view input);  // lake_targets.cc
void RunPaths(std::string_view input);

void RunText(std::string_view input);  // cli_targets.cc
void RunLocation(std::string_view input);
void RunWire(std::string_view input);
void RunWireArguments(std::string_view input);

void RunS3Answers(std::string_view input);  // s3_targets.cc
void RunS3Text(std::string_view input);

void RunStore(std::string_view input);   // store_target.cc
void RunRepair(std::string_view input);  // repair_target.cc

}  // namespace tarn::fuzz
