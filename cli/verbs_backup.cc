// backup, restore, clone: checkpoints of a lake or a store in a repository, and their ways back. The work is in
// include/tarn/backup.h; this file opens places and says what was done.
//
// A lake that is mounted is backed up by the process that has it, with that process's credentials.
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <climits>
#include <cstdlib>

#include "cli/progress.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "tarn/backup.h"

namespace tarn::cli {
namespace {

struct TransferFlags {
  std::string limit;
  uint64_t parallel = TransferOptions().parallel;
};

// "50MiB/s": bytes a second.
Result<uint64_t> ParseRate(const std::string& text) {
  if (text.empty()) return uint64_t{0};
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  std::string_view unit(at, static_cast<size_t>(end - at));
  if (unit.ends_with("/s")) unit.remove_suffix(2);
  uint64_t factor = 0;
  for (const auto& [name, bytes] : {std::pair<std::string_view, uint64_t>{"", 1},
                                    {"B", 1},
                                    {"KiB", 1ull << 10},
                                    {"MiB", 1ull << 20},
                                    {"GiB", 1ull << 30}}) {
    if (unit == name) factor = bytes;
  }
  if (error == std::errc() && factor != 0 && number != 0 && number <= UINT64_MAX / factor) return number * factor;
  return Status::Invalid(fmt::format("--limit {}: write bytes a second, like 50MiB/s or 800KiB/s", Escape(text)));
}

Result<uint32_t> ParseParallel(uint64_t number) {
  if (number < 1 || number > 64) return Status::Invalid("--parallel takes 1 to 64");
  return static_cast<uint32_t>(number);
}

// A path as the caller means it, also when the verb runs in the process that serves a mounted lake. Absolute: a clone
// has to find its repository from anywhere.
Result<std::string> Absolute(Context& context, const std::string& location) {
  if (location.empty()) return Status::Invalid("an empty name is no place; name a directory or an s3:// URL");
  if (IsBucket(location)) return location;
  TARN_ASSIGN(const std::string directory, DirectoryOf(location));
  if (directory.starts_with('/')) return directory;
  char around[PATH_MAX];
  if (context.caller.cwd_fd == AT_FDCWD) {
    if (getcwd(around, sizeof(around)) == nullptr) return LocalError(errno, directory, "write an absolute path");
    return fmt::format("{}/{}", around, directory);
  }
  const std::string link = fmt::format("/proc/self/fd/{}", context.caller.cwd_fd);
  const ssize_t n = readlink(link.c_str(), around, sizeof(around));
  if (n <= 0 || n == sizeof(around)) return LocalError(errno, directory, "write an absolute path");
  return fmt::format("{}/{}", std::string_view(around, static_cast<size_t>(n)), directory);
}

// The progress line of one transfer, and its end by Ctrl-C.
class Journey {
 public:
  Journey(Context& context, std::string verb) : context_(context), verb_(std::move(verb)) {}

  Result<TransferOptions> Options(const TransferFlags& flags) {
    TransferOptions options;
    TARN_ASSIGN(options.bytes_per_second, ParseRate(flags.limit));
    TARN_ASSIGN(options.parallel, ParseParallel(flags.parallel));
    options.progress = Callback();
    options.clock = context_.clock;
    return options;
  }
  std::function<Status(uint64_t, uint64_t)> Callback() {
    return [this](uint64_t done, uint64_t total) {
      if (progress_ == nullptr) progress_ = std::make_unique<Progress>(context_, verb_, total, 0);
      progress_->Set(done, 0);
      return context_.Check();
    };
  }
  // Takes the line off. An interruption is told as what it is here: a pause.
  Status End(const Status& status) {
    progress_.reset();
    if (status.os_error() != ECANCELED) return status;
    return {Code::kUnavailable, "interrupted: what was transferred stays; the same command goes on from there",
            ECANCELED};
  }

 private:
  Context& context_;
  const std::string verb_;
  std::unique_ptr<Progress> progress_;
};

double SecondsSince(Context& context, uint64_t started_ns) {
  return static_cast<double>(context.clock->MonotonicNanos() - started_ns) / 1e9;
}

Json InfoJson(const BackupInfo& info) {
  Json object;
  object["number"] = info.number;
  object["time"] = TimeNanos(static_cast<int64_t>(info.created_wall_nanos));
  SetName(&object, "label", info.label);
  SetName(&object, "by", info.writer);
  object["tables"] = info.tables;
  object["bytes"] = info.bytes;
  object["sent_tables"] = info.sent_tables;
  object["sent_bytes"] = info.sent_bytes;
  object["sequence"] = info.last_sequence;
  return object;
}

// With `text` for people.
void Report(Context& context, const BackupInfo& info, double seconds, bool json, const std::string& text) {
  if (json) {
    Json object = InfoJson(info);
    object["seconds"] = seconds;
    context.out.Print("{}\n", Dump(object));
  } else if (!context.quiet) {
    context.out.Print("{}\n", text);
  }
}

std::string TablesText(uint64_t tables, uint64_t bytes) {
  return fmt::format("{}, {}", Plural(tables, "table", "tables"), HumanBytes(bytes));
}

struct BackupFlags {
  TransferFlags transfer;
  std::string label;
  bool json = false;
};

Status Ship(Context& context, DB& db, const BackupFlags& flags, const std::string& url) {
  const uint64_t started = context.clock->MonotonicNanos();
  Journey journey(context, "backup");
  BackupOptions options;
  options.label = flags.label;
  options.writer = context.caller.who.substr(0, 255);
  TARN_ASSIGN(options.transfer, journey.Options(flags.transfer));
  TARN_ASSIGN(const std::string place, Absolute(context, url));
  TARN_ASSIGN(const auto repository, OpenPlace(place, Access::kCreate));
  const auto made = Backup(db, *repository, options);
  TARN_TRY(At(url, journey.End(made.status())));
  const double seconds = SecondsSince(context, started);
  Report(context, *made, seconds, flags.json,
         fmt::format("backup {} holds {}; sent {} {}", made->number, TablesText(made->tables, made->bytes),
                     TablesText(made->sent_tables, made->sent_bytes), RateText(made->sent_bytes, seconds)));
  return {};
}

Status BackupLake(Context& context, const BackupFlags& flags, const Operands& operands) {
  TARN_TRY(context.lake->SyncAll());  // what writers of a mount have not flushed
  return Ship(context, context.lake->db(), flags, operands[0]);
}

Status BackupStore(Context& context, const BackupFlags& flags, const Operands& operands) {
  TARN_ASSIGN(const auto db, OpenStore(context.location, Access::kWrite, context.caller.command));
  const Status shipped = Ship(context, *db, flags, operands[0]);
  const Status closed = db->Close();
  return shipped.ok() ? closed : shipped;
}

Status List(Context& context, bool json, const Operands& operands) {
  TARN_ASSIGN(const auto repository, OpenPlace(operands[0], Access::kRead));
  const auto backups = ListBackups(*repository);
  TARN_TRY(At(operands[0], backups.status()));
  const auto clones = ListClones(*repository);
  TARN_TRY(At(operands[0], clones.status()));
  if (json) {
    Json object;
    object["backups"] = Json::array();
    for (const BackupInfo& info : *backups) object["backups"].push_back(InfoJson(info));
    object["clones"] = Json::array();
    for (const CloneInfo& clone : *clones) {
      Json one;
      one["id"] = clone.id;
      one["backup"] = clone.backup.number;
      one["time"] = TimeNanos(static_cast<int64_t>(clone.backup.created_wall_nanos));
      SetName(&one, "location", clone.backup.label);
      object["clones"].push_back(std::move(one));
    }
    context.out.Print("{}\n", Dump(object));
    return {};
  }
  for (const BackupInfo& info : *backups) {
    context.out.Print("{:>6}  {}  {} (sent {})  {}{}{}\n", info.number,
                      TimeText(static_cast<int64_t>(info.created_wall_nanos)), TablesText(info.tables, info.bytes),
                      HumanBytes(info.sent_bytes), Escape(info.writer), info.label.empty() ? "" : "  ",
                      Escape(info.label));
  }
  for (const CloneInfo& clone : *clones) {
    context.out.Print("clone {} of backup {}  {}  {}\n", Escape(clone.id), clone.backup.number,
                      TimeText(static_cast<int64_t>(clone.backup.created_wall_nanos)), Escape(clone.backup.label));
  }
  return {};
}

struct VerifyFlags {
  uint64_t parallel = VerifyBackupsOptions().parallel;
  bool deep = false, json = false;
};

Status Verify(Context& context, const VerifyFlags& flags, const Operands& operands) {
  TARN_ASSIGN(const auto repository, OpenPlace(operands[0], Access::kRead));
  Journey journey(context, "verify");
  TARN_ASSIGN(const uint32_t parallel, ParseParallel(flags.parallel));
  const auto report =
      VerifyBackups(*repository, {.deep = flags.deep, .parallel = parallel, .progress = journey.Callback()});
  TARN_TRY(At(operands[0], journey.End(report.status())));
  if (flags.json) {
    Json object;
    object["ok"] = report->problems.empty();
    object["deep"] = flags.deep;
    object["backups"] = report->backups;
    object["tables"] = report->tables;
    object["bytes"] = report->bytes;
    object["unneeded_tables"] = report->unneeded_tables;
    object["unneeded_bytes"] = report->unneeded_bytes;
    object["problems"] = Json::array();
    for (const std::string& problem : report->problems) object["problems"].push_back(Escape(problem));
    context.out.Print("{}\n", Dump(object));
  } else {
    for (const std::string& problem : report->problems) context.out.Print("{}\n", EscapeControls(problem));
    context.out.Print("{} of {}: {}\n", Plural(report->backups, "backup", "backups"),
                      TablesText(report->tables, report->bytes),
                      !report->problems.empty() ? Plural(report->problems.size(), "problem", "problems")
                      : flags.deep              ? "every byte is as it was written"
                                                : "all are there with their sizes (--deep reads them too)");
    if (report->unneeded_tables > 0) {
      context.out.Print("{} needed by none: the next prune removes them\n",
                        TablesText(report->unneeded_tables, report->unneeded_bytes));
    }
  }
  if (report->problems.empty()) return {};
  return Status::Corruption(fmt::format("{}: {} listed above; other backups are whole: tarn restore --at N",
                                        Escape(operands[0]), Plural(report->problems.size(), "problem", "problems")));
}

struct PruneFlags {
  uint64_t keep = 0;
  std::string forget_clone;
  bool dry_run = false, force_stale = false, json = false;
};

Status Prune(Context& context, const PruneFlags& flags, const Operands& operands) {
  if (flags.keep == 0) return Status::Invalid("--keep N: say how many of the newest backups stay, at least 1");
  PruneOptions options;
  options.keep = flags.keep;
  options.dry_run = flags.dry_run;
  options.force_stale = flags.force_stale;
  if (!flags.forget_clone.empty()) options.forget_clones.push_back(flags.forget_clone);
  options.check = [&] { return context.Check(); };
  TARN_ASSIGN(const auto repository, OpenPlace(operands[0], flags.dry_run ? Access::kRead : Access::kWrite));
  const auto report = PruneBackups(*repository, options);
  TARN_TRY(At(operands[0], report.status()));
  if (flags.json) {
    Json object;
    object["dry_run"] = flags.dry_run;
    object["removed"] = report->removed;
    object["kept"] = report->kept;
    object["tables_removed"] = report->tables_removed;
    object["bytes_removed"] = report->bytes_removed;
    object["unfinished"] = report->unfinished;
    object["clones"] = report->clones;
    context.out.Print("{}\n", Dump(object));
    return {};
  }
  if (context.quiet && !flags.dry_run) return {};
  context.out.Print("{} {} and {}; kept {}{}\n", flags.dry_run ? "would delete" : "deleted",
                    Plural(report->removed.size(), "backup", "backups"),
                    TablesText(report->tables_removed, report->bytes_removed),
                    Plural(report->kept.size(), "backup", "backups"),
                    report->clones == 0 ? "" : " and what " + Plural(report->clones, "clone needs", "clones need"));
  if (report->unfinished > 0) {
    context.out.Print("kept the tables of {}: under way, or given up by a crash (then: --force-stale)\n",
                      Plural(report->unfinished, "unfinished backup", "unfinished backups"));
  }
  return {};
}

struct RestoreFlags {
  TransferFlags transfer;
  uint64_t at = 0;
  bool json = false, detach = false;
};

Status RestoreBackup(Context& context, const RestoreFlags& flags, const Operands& operands) {
  const uint64_t started = context.clock->MonotonicNanos();
  Journey journey(context, "restore");
  TARN_ASSIGN(const TransferOptions options, journey.Options(flags.transfer));
  TARN_ASSIGN(const auto repository, OpenPlace(operands[0], Access::kRead));
  // Looked for before the target is made.
  TARN_TRY(At(operands[0], FindBackup(*repository, flags.at).status()));
  TARN_ASSIGN(const auto target, OpenPlace(operands[1], Access::kCreate));
  const auto back = Restore(*repository, flags.at, *target, options);
  TARN_TRY(At(operands[0], journey.End(back.status())));
  const double seconds = SecondsSince(context, started);
  Report(context, *back, seconds, flags.json,
         fmt::format("restored backup {} of {} to {}: {} {}", back->number,
                     TimeText(static_cast<int64_t>(back->created_wall_nanos)), Escape(operands[1]),
                     TablesText(back->tables, back->bytes), RateText(back->sent_bytes, seconds)));
  return {};
}

Status Detach(Context& context, const RestoreFlags& flags, const std::string& place) {
  Journey journey(context, "detach");
  TARN_ASSIGN(const TransferOptions options, journey.Options(flags.transfer));
  TARN_ASSIGN(const auto target, OpenPlace(place, Access::kWrite));
  const auto open = [](const std::string& url) { return OpenPlace(url, Access::kWrite); };
  TARN_TRY(At(place, journey.End(DetachClone(*target, open, options))));
  if (!context.quiet) context.out.Print("{} stands alone\n", Escape(place));
  return {};
}

Status MakeClone(Context& context, const RestoreFlags& flags, const Operands& operands) {
  if (flags.detach) {
    if (operands.size() == 1) return Detach(context, flags, operands[0]);
    return Status::Invalid("--detach takes the clone alone: tarn clone --detach TARGET");
  }
  if (operands.size() != 2) return Status::Invalid("TARGET missing; usage: tarn clone URL TARGET");
  CloneOptions options;
  options.number = flags.at;
  options.transfer.clock = context.clock;
  TARN_ASSIGN(options.base_url, Absolute(context, operands[0]));
  TARN_ASSIGN(options.location, Absolute(context, operands[1]));
  TARN_ASSIGN(const auto repository, OpenPlace(operands[0], Access::kWrite));
  TARN_TRY(At(operands[0], FindBackup(*repository, flags.at).status()));
  TARN_ASSIGN(const auto target, OpenPlace(operands[1], Access::kCreate));
  const auto made = Clone(*repository, *target, options);
  TARN_TRY(At(operands[0], made.status()));
  if (flags.json) {
    context.out.Print("{}\n", Dump(InfoJson(*made)));
  } else if (!context.quiet) {
    context.out.Print("{} shows backup {}; it reads {} where they are\n", Escape(operands[1]), made->number,
                      TablesText(made->tables, made->bytes));
  }
  return {};
}

Verb& AddTransferFlags(Verb& verb, TransferFlags* flags) {
  return verb.Option("--limit", &flags->limit, "RATE", "at most so many bytes a second, like 50MiB/s")
      .Number("--parallel", &flags->parallel, "N", "tables under way at once (default 4)");
}

void AddBackupVerb(CommandLine& line, const char* group, const char* name, Needs needs, const char* about,
                   const char* examples, Status (*run)(Context&, const BackupFlags&, const Operands&)) {
  auto flags = std::make_shared<BackupFlags>();
  Verb& verb =
      line.Add({group, name, about, "URL", 1, 1, needs, examples},
               [flags, run](Context& context, const Operands& operands) { return run(context, *flags, operands); });
  AddTransferFlags(verb, &flags->transfer)
      .Option("--label", &flags->label, "TEXT", "a note that the list shows")
      .Flag("--json", &flags->json, "one JSON object");
}

void AddRepositoryVerbs(CommandLine& line) {
  auto list_json = std::make_shared<bool>(false);
  line.Add({"Backup", "backup list", "List the backups in a repository, oldest first, and its clones", "URL", 1, 1,
            Needs::kNothing, "tarn backup list s3://bucket/backups"},
           [list_json](Context& context, const Operands& operands) { return List(context, *list_json, operands); })
      .Flag("--json", list_json.get(), "one JSON object");

  auto verify = std::make_shared<VerifyFlags>();
  line.Add({"Backup", "backup verify", "See that every backup has all its tables", "URL", 1, 1, Needs::kNothing,
            "tarn backup verify s3://bucket/backups\ntarn backup verify --deep /mnt/backups    # reads every byte"},
           [verify](Context& context, const Operands& operands) { return Verify(context, *verify, operands); })
      .Flag("--deep", &verify->deep, "read and verify all bytes, not only names and sizes")
      .Number("--parallel", &verify->parallel, "N", "tables read at once (default 4)")
      .Flag("--json", &verify->json, "one JSON object");

  auto prune = std::make_shared<PruneFlags>();
  line.Add({"Backup", "backup prune", "Delete old backups and what only they needed", "URL", 1, 1, Needs::kNothing,
            "tarn backup prune --keep 14 --dry-run s3://bucket/backups\n"
            "tarn backup prune --keep 14 s3://bucket/backups"},
           [prune](Context& context, const Operands& operands) { return Prune(context, *prune, operands); })
      .Number("--keep", &prune->keep, "N", "the newest N stay")
      .Flag("--dry-run", &prune->dry_run, "say what would be deleted and delete nothing")
      .Flag("--force-stale", &prune->force_stale,
            "forget backups and prunes that a crash left unfinished; only while none is running")
      .Option("--forget-clone", &prune->forget_clone, "ID", "a clone that was deleted: keep nothing for it")
      .Flag("--json", &prune->json, "one JSON object");
}

}  // namespace

void AddBackupVerbs(CommandLine& line) {
  AddBackupVerb(line, "Backup", "backup", Needs::kLake, "Ship the lake as it is now to a repository of backups",
                "tarn backup s3://bucket/backups                # sends what is not there yet\n"
                "tarn backup --limit 50MiB/s --label nightly /mnt/backups",
                BackupLake);
  AddRepositoryVerbs(line);

  auto restore = std::make_shared<RestoreFlags>();
  Verb& back = line.Add(
      {"Backup", "restore", "Bring a backup back, to an empty place", "URL TARGET", 2, 2, Needs::kNothing,
       "tarn restore s3://bucket/backups /srv/lake      # the newest\n"
       "tarn restore --at 12 /mnt/backups s3://bucket/lake"},
      [restore](Context& context, const Operands& operands) { return RestoreBackup(context, *restore, operands); });
  AddTransferFlags(back, &restore->transfer)
      .Number("--at", &restore->at, "N", "this backup instead of the newest")
      .Flag("--json", &restore->json, "one JSON object");

  auto clone = std::make_shared<RestoreFlags>();
  Verb& made =
      line.Add({"Backup", "clone", "Open a backup at once as a lake of its own, without copying", "URL TARGET", 1, 2,
                Needs::kNothing,
                "tarn clone s3://bucket/backups /srv/trial\n"
                "tarn clone --detach /srv/trial                  # copies the rest and lets go"},
               [clone](Context& context, const Operands& operands) { return MakeClone(context, *clone, operands); });
  AddTransferFlags(made, &clone->transfer)
      .Number("--at", &clone->at, "N", "this backup instead of the newest")
      .Flag("--detach", &clone->detach, "make the clone TARGET independent of its repository")
      .Flag("--json", &clone->json, "one JSON object");
}

void AddStoreBackupVerb(CommandLine& line) {
  AddBackupVerb(line, "Key-value store", "kv backup", Needs::kNothing,
                "Ship the store as it is now to a repository of backups",
                "tarn --lake /tmp/store kv backup s3://bucket/backups", BackupStore);
}

}  // namespace tarn::cli
