// The verb families: each function describes its verbs to the command line. In the order of the help text.
#pragma once

#include "cli/app.h"

namespace tarn::cli {

void AddLakeVerbs(CommandLine& line);        // init check stats df
void AddRepairVerb(CommandLine& line);       // repair
void AddReadVerbs(CommandLine& line);        // ls stat cat
void AddTreeVerbs(CommandLine& line);        // tree du
void AddChangeVerbs(CommandLine& line);      // mkdir rm mv ln
void AddTransferVerbs(CommandLine& line);    // import export cp
void AddWarmVerb(CommandLine& line);         // warm
void AddHistoryVerbs(CommandLine& line);     // log snapshot
void AddBackupVerbs(CommandLine& line);      // backup restore clone
void AddMountVerbs(CommandLine& line);       // mount umount
void AddBenchVerb(CommandLine& line);        // bench mount
void AddStoreVerbs(CommandLine& line);       // kv
void AddStoreBackupVerb(CommandLine& line);  // kv backup
void AddDumpVerb(CommandLine& line);         // dump
void AddDoctorVerb(CommandLine& line);       // doctor
void AddCompletionVerb(CommandLine& line);   // completion version

}  // namespace tarn::cli
