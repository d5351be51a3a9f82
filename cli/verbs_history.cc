// log, snapshot: what was done to the lake, and moments of it that are kept.
#include "cli/mount_session.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace tarn::cli {
namespace {

constexpr size_t kPage = 500;
constexpr uint64_t kFollowCount = 10;  // records to begin with, as tail(1) has it
constexpr uint64_t kNapNanos = 200'000'000;

struct LogOptions {
  bool json = false, follow = false;
  uint64_t count = UINT64_MAX;
  uint64_t every = 0;  // seconds; 0: by the kind of place
};

Json LogJson(const lake::LogRecord& record) {
  Json object;
  object["id"] = record.id;
  object["sequence"] = record.sequence;
  object["time"] = TimeNanos(static_cast<int64_t>(record.wall_nanos));
  SetName(&object, "who", record.who);
  SetName(&object, "command", record.command);
  object["files"] = record.files;
  object["bytes"] = record.bytes;
  return object;
}

void PrintRecord(Context& context, const lake::LogRecord& record) {
  context.out.Print("{:>6}  {}  {}  {}", record.id, TimeText(static_cast<int64_t>(record.wall_nanos)),
                    Escape(record.who), EscapeControls(record.command));
  if (record.files > 0) {
    context.out.Print("  ({}, {})", Plural(record.files, "item", "items"), HumanBytes(record.bytes));
  }
  context.out.Write("\n");
}

// The records behind `last`, or the newest `most` if these are fewer; newest first.
Result<std::vector<lake::LogRecord>> RecordsBehind(Context& context, uint64_t last, uint64_t most) {
  std::vector<lake::LogRecord> found;
  for (uint64_t before = 0; found.size() < most;) {
    TARN_TRY(context.Check());
    TARN_ASSIGN(const auto page, context.lake->ReadLog(before, std::min<uint64_t>(most - found.size(), kPage)));
    for (const lake::LogRecord& record : page) {
      if (record.id <= last) return found;
      found.push_back(record);
    }
    if (page.empty()) break;
    before = page.back().id;
  }
  return found;
}

// False when the user gave up.
bool Nap(Context& context, uint64_t seconds) {
  for (uint64_t slept = 0; slept < seconds * 1'000'000'000; slept += kNapNanos) {
    if (!context.Check().ok()) return false;
    context.clock->SleepNanos(kNapNanos);
  }
  return context.Check().ok();
}

// Oldest first, and then what comes. Ctrl-C is its end, and no failure.
Status FollowLog(Context& context, const LogOptions& options) {
  const bool bucket = IsBucket(context.location);
  const uint64_t usual = bucket ? kFollowBucketSeconds : kFollowDirectorySeconds;
  uint64_t last = 0, most = options.count == UINT64_MAX ? kFollowCount : options.count;
  do {
    TARN_TRY(context.lake->CatchUp());
    TARN_ASSIGN(const auto records, RecordsBehind(context, last, most));
    for (auto record = records.rbegin(); record != records.rend(); ++record) {
      if (options.json) {
        context.out.Print("{}\n", Dump(LogJson(*record)));
      } else {
        PrintRecord(context, *record);
      }
      last = record->id;
    }
    TARN_TRY(context.out.Flush());
    // Of a log that is empty, or of which nothing was asked for, all that comes is new.
    most = UINT64_MAX;
    if (last == 0) {
      TARN_ASSIGN(const auto newest, context.lake->ReadLog(0, 1));
      if (!newest.empty()) last = newest[0].id;
    }
  } while (Nap(context, options.every != 0 ? options.every : usual));
  return context.out.status();
}

Status Log(Context& context, const LogOptions& options) {
  if (options.follow) return FollowLog(context, options);
  if (options.every != 0) return Status::Invalid("--every goes with --follow");
  JsonArray array(context.out);
  uint64_t before = 0, left = options.count;
  while (left > 0) {
    TARN_TRY(context.Check());
    const size_t want = static_cast<size_t>(std::min<uint64_t>(left, kPage));
    TARN_ASSIGN(const auto records, context.lake->ReadLog(before, want));
    for (const lake::LogRecord& record : records) {
      if (options.json) {
        array.Add(LogJson(record));
        continue;
      }
      PrintRecord(context, record);
    }
    if (records.size() < want || records.back().id <= 1) break;
    before = records.back().id;
    left -= records.size();
  }
  if (options.json) array.Finish();
  return {};
}

Status SnapshotCreate(Context& context, const Operands& operands) {
  auto made = context.lake->CreateSnapshot(operands[0]);
  if (made.status().code() == Code::kBusy) {
    return {
        Code::kInvalid,
        fmt::format("{}: a snapshot of that name exists; choose another name, or drop it first", Escape(operands[0])),
        EEXIST};
  }
  TARN_TRY(At(operands[0], made.status()));
  TARN_TRY(context.Record(0, 0));
  if (!context.quiet) context.out.Print("snapshot {} holds the lake as it is now\n", Escape(made->name));
  return {};
}

Json SnapshotJson(const lake::SnapshotInfo& snapshot) {
  Json object;
  SetName(&object, "name", snapshot.name);
  object["sequence"] = snapshot.sequence;
  object["time"] = TimeNanos(static_cast<int64_t>(snapshot.wall_nanos));
  return object;
}

Status SnapshotList(Context& context, bool json) {
  JsonArray array(context.out);
  for (const lake::SnapshotInfo& snapshot : context.lake->ListSnapshots()) {
    if (json) {
      array.Add(SnapshotJson(snapshot));
    } else {
      context.out.Print("{}  {}\n", TimeText(static_cast<int64_t>(snapshot.wall_nanos)), Escape(snapshot.name));
    }
  }
  if (json) array.Finish();
  return {};
}

Status SnapshotDrop(Context& context, bool dry_run, const Operands& operands) {
  const auto all = context.lake->ListSnapshots();
  for (const std::string& name : operands) {
    const bool known = std::any_of(all.begin(), all.end(), [&](const auto& s) { return s.name == name; });
    if (!known) {
      return {Code::kNotFound,
              fmt::format("no snapshot named '{}'; list them with: tarn snapshot list", Escape(name)), ENOENT};
    }
    if (dry_run) context.out.Print("would drop the snapshot {}\n", Escape(name));
  }
  if (dry_run) return {};
  for (const std::string& name : operands) TARN_TRY(At(name, context.lake->DropSnapshot(name)));
  return context.Record(0, 0);
}

}  // namespace

void AddHistoryVerbs(CommandLine& line) {
  auto log = std::make_shared<LogOptions>();
  line.Add({"History", "log", "What was done to the lake, newest first", "", 0, 0, Needs::kLakeToRead,
            "tarn log\ntarn log -n 5\ntarn log --json | jq '.[].command'\ntarn log --follow"},
           [log](Context& context, const Operands&) { return Log(context, *log); })
      .Number("-n,--count", &log->count, "N", "this many records at most")
      .Flag("--follow", &log->follow, "oldest first, the last 10 (or N), then each as it comes, until Ctrl-C")
      .Number("--every", &log->every, "SECONDS", "how often to look (1; in a bucket 5)")
      .Flag("--json", &log->json, "a JSON array; with --follow a line for each record");

  line.Add({"History", "snapshot create", "Keep the lake as it is now under a name", "NAME", 1, 1, Needs::kLake,
            "tarn snapshot create monday\ntarn ls --at monday /"},
           [](Context& context, const Operands& operands) { return SnapshotCreate(context, operands); });

  auto json = std::make_shared<bool>(false);
  line.Add({"History", "snapshot list", "List the snapshots", "", 0, 0, Needs::kLakeToRead, "tarn snapshot list"},
           [json](Context& context, const Operands&) { return SnapshotList(context, *json); })
      .Flag("--json", json.get(), "a JSON array");

  auto dry_run = std::make_shared<bool>(false);
  line.Add(
          {"History", "snapshot drop", "Let go of snapshots", "NAME...", 1, kMany, Needs::kLake,
           "tarn snapshot drop --dry-run monday\ntarn snapshot drop monday"},
          [dry_run](Context& context, const Operands& operands) { return SnapshotDrop(context, *dry_run, operands); })
      .Flag("--dry-run", dry_run.get(), "say what would be dropped and drop nothing");
}

}  // namespace tarn::cli
