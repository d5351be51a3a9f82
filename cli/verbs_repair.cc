// repair: what is readable of a damaged lake or store, in a fresh one. The work is tarn/repair.h and lake/mend.h.
//
// The target is built beside its place, as TARGET.incomplete, and takes its name at the end, when all of it is on the
// device: a target that is there is whole. An unfinished one can be told by its name, and is deleted by whoever reads
// the message that says so; after an error or Ctrl-C the verb removes it itself.
#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>

#include "cli/local_fs.h"
#include "cli/progress.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "lake/mend.h"
#include "lake/rows.h"
#include "tarn/repair.h"

namespace tarn::cli {
namespace {

constexpr const char* kUnfinished = ".incomplete";

struct Places {
  std::string source, target, unfinished;  // directories; the last is a sibling of the target
};

std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// Absolute, with all links followed; the last component need not be there.
Result<std::string> Resolved(const std::string& directory) {
  char resolved[PATH_MAX];
  if (realpath(directory.c_str(), resolved) != nullptr) return std::string(resolved);
  if (errno != ENOENT) return LocalError(errno, directory, "check the path");
  const size_t slash = directory.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : directory.substr(0, slash);
  if (realpath(parent.c_str(), resolved) == nullptr) {
    return LocalError(errno, parent, "make the directory around the target first");
  }
  const std::string around = resolved;
  return around + (around.ends_with('/') ? "" : "/") + directory.substr(slash == std::string::npos ? 0 : slash + 1);
}

Result<Places> FindPlaces(const Operands& operands) {
  Places places;
  TARN_ASSIGN(places.source, DirectoryOf(operands[0]));
  TARN_ASSIGN(places.target, DirectoryOf(operands[1]));
  places.source = WithoutSlashes(places.source);
  places.target = WithoutSlashes(places.target);
  TARN_ASSIGN(const Found source, LookAt(places.source));
  if (source == Found::kMissing) return LocalError(ENOENT, places.source, "name the directory of the damaged lake");
  if (source != Found::kStore) {
    return Status(Code::kNotFound,
                  fmt::format("{}: there is no lake and no store; name the directory of the damaged one",
                              Escape(places.source)),
                  ENOENT);
  }
  TARN_ASSIGN(const Found target, LookAt(places.target));
  if (target != Found::kMissing && target != Found::kEmpty) {
    return Status(Code::kInvalid,
                  fmt::format("{}: not empty; a repair writes into a new or empty directory, name another one",
                              Escape(places.target)),
                  ENOTEMPTY);
  }
  TARN_ASSIGN(const std::string from, Resolved(places.source));
  TARN_ASSIGN(const std::string to, Resolved(places.target));
  if (to == from || to.starts_with(from + "/")) {
    return Status(Code::kInvalid,
                  fmt::format("{}: lies in the damaged lake itself; name a directory outside of it", Escape(to)),
                  EINVAL);
  }
  places.target = to;
  places.unfinished = to + kUnfinished;
  TARN_ASSIGN(const Found unfinished, LookAt(places.unfinished));
  if (unfinished != Found::kMissing) {
    return Status(Code::kInvalid,
                  fmt::format("{}: a repair that did not finish left this; delete it and run again: rm -r {}",
                              Escape(places.unfinished), ShellQuote(places.unfinished)),
                  EEXIST);
  }
  return places;
}

struct Saved {
  RepairReport report;
  bool lake = false;
  std::vector<std::string> mended;  // a line each
};

Result<Saved> Save(Context& context, const Places& places) {
  Saved saved;
  TARN_ASSIGN(const auto damaged, OpenBackend(places.source));
  Components fresh;
  TARN_ASSIGN(fresh.backend, MakeBackend(places.unfinished));
  fresh.holder = context.caller.command;
  auto progress = std::make_unique<Progress>(context, "repair", 0, 0);
  uint64_t known_total = 0;
  RepairOptions options;
  options.progress = [&](uint64_t done, uint64_t total) -> Status {
    if (total > known_total) {
      progress = std::make_unique<Progress>(context, "repair", total, 0);
      known_total = total;
    }
    progress->Set(done, 0);
    return context.Check();
  };
  // The program makes no other families than a lake's, in this order.
  for (uint32_t i = 0; i < std::size(lake::kFamilyNames); ++i) options.family_names[i + 1] = lake::kFamilyNames[i];
  options.settle = [&](DB& db, std::string_view snapshot) -> Status {
    saved.lake = lake::HoldsLake(db);
    if (!saved.lake) return {};
    const std::string moment = snapshot.empty() ? "" : fmt::format("in snapshot {}: ", snapshot);
    const lake::MendHooks hooks{.tell = [&](const std::string& line) { saved.mended.push_back(moment + line); },
                                .check = [&] { return context.Check(); }};
    return lake::Mend(db, hooks).status();
  };
  TARN_ASSIGN(saved.report, Repair(*damaged, {}, fresh, options));
  return saved;
}

// The new lake opens, and its log tells where it came from.
Status LogTheRepair(Context& context, const Places& places, const Saved& saved) {
  TARN_ASSIGN(const auto lake, OpenLake(places.unfinished, Access::kWrite, context.caller.command));
  const Status logged = lake->AppendLog(context.LogRecordOf(saved.report.rows_written, 0)).status();
  const Status closed = lake->Close();
  return logged.ok() ? closed : logged;
}

Status Name(const Places& places) {
  if (rename(places.unfinished.c_str(), places.target.c_str()) != 0) {
    return LocalError(errno, places.target, "what was saved is whole, move it there yourself: " + places.unfinished);
  }
  const UniqueFd around =
      OpenAt(AT_FDCWD, std::filesystem::path(places.target).parent_path(), O_RDONLY | O_DIRECTORY);
  if (!around.ok() || fsync(around.get()) != 0) {
    return LocalError(errno, places.target, "everything is saved there, but its name may not survive a power cut");
  }
  return {};
}

Json LossJson(const RepairLoss& loss) {
  Json object;
  object["blob"] = loss.blob;
  object["offset"] = loss.offset;
  object["length"] = loss.length;
  object["reason"] = Escape(loss.reason);
  object["keys"] = loss.keys;
  if (!loss.keys) return object;
  if (!loss.any_family) SetName(&object, "family", loss.family_name);
  SetName(&object, "begin", loss.begin);
  SetName(&object, "end", loss.end);
  object["min_sequence"] = loss.min_sequence;
  object["max_sequence"] = loss.max_sequence;
  return object;
}

void PrintJson(Context& context, const Places& places, const Saved& saved) {
  const RepairReport& report = saved.report;
  Json object;
  SetName(&object, "target", places.target);
  object["lake"] = saved.lake;
  object["manifest_record"] = report.manifest_record;
  object["manifest_records_lost"] = report.manifest_records_lost;
  object["tables_read"] = report.tables_read;
  object["tables_lost"] = report.tables_lost;
  object["blocks_read"] = report.blocks_read;
  object["log_records_read"] = report.log_records_read;
  object["rows_written"] = report.rows_written;
  object["snapshots"] = Json::array();
  for (const std::string& name : report.snapshots) object["snapshots"].push_back(Escape(name));
  object["losses"] = Json::array();
  for (const RepairLoss& loss : report.losses) object["losses"].push_back(LossJson(loss));
  object["mended"] = Json::array();
  for (const std::string& line : saved.mended) object["mended"].push_back(Escape(line));
  context.out.Print("{}\n", Dump(object));
}

void PrintText(Context& context, const Places& places, const Saved& saved) {
  const RepairReport& report = saved.report;
  for (const RepairLoss& loss : report.losses) context.out.Print("lost: {}\n", EscapeControls(loss.ToString()));
  for (const std::string& line : saved.mended) context.out.Print("mended: {}\n", EscapeControls(line));
  if (context.quiet) return;
  if (report.manifest_record == 0) {
    context.out.Print("no manifest record is readable: tables and log spoke for themselves\n");
  } else {
    context.out.Print(
        "the shape is that of manifest record {}{}\n", report.manifest_record,
        report.manifest_records_lost == 0 ? "" : fmt::format(", {} lost", report.manifest_records_lost));
  }
  context.out.Print("saved {} from {} ({} lost) and {} of the log, {}, in {}\n",
                    Plural(report.rows_written, "row", "rows"), Plural(report.tables_read, "table", "tables"),
                    report.tables_lost, Plural(report.log_records_read, "record", "records"),
                    Plural(report.snapshots.size(), "snapshot", "snapshots"), Escape(places.target));
}

Status Run(Context& context, bool json, const Operands& operands) {
  TARN_ASSIGN(const Places places, FindPlaces(operands));
  auto saved = Save(context, places);
  Status status = saved.status();
  if (status.ok() && saved->lake) status = LogTheRepair(context, places, *saved);
  if (!status.ok()) {
    std::error_code ignored;  // the next repair finds it and says so
    std::filesystem::remove_all(places.unfinished, ignored);
    return At(operands[0], status);
  }
  TARN_TRY(Name(places));
  json ? PrintJson(context, places, *saved) : PrintText(context, places, *saved);
  const size_t losses = saved->report.losses.size() + saved->mended.size();
  if (losses == 0) return {};
  return Status::Corruption(
      fmt::format("{}: {} listed above; everything else is saved in {}; look at it with: "
                  "tarn --lake {} {}",
                  Escape(operands[0]), Plural(losses, "loss is", "losses are"), Escape(places.target),
                  ShellQuote(places.target), saved->lake ? "check --deep" : "kv scan"));
}

}  // namespace

void AddRepairVerb(CommandLine& line) {
  auto json = std::make_shared<bool>(false);
  line.Add({"Lake", "repair", "Save what is readable of a damaged lake into a fresh one", "SOURCE TARGET", 2, 2,
            Needs::kNothing,
            "tarn repair /srv/lake /srv/saved    # SOURCE is only read; TARGET is new or empty\n"
            "tarn repair --json /srv/lake /srv/saved | jq .losses\n"
            "tarn --lake /srv/saved check --deep"},
           [json](Context& context, const Operands& operands) { return Run(context, *json, operands); })
      .Flag("--json", json.get(), "one JSON object: what was saved and what was lost");
}

}  // namespace tarn::cli
