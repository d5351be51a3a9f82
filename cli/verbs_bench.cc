// bench mount: what a mounted lake costs, beside the native file system below it. Both sides run the same steps in
// the same run; they take turns within each round, and the side that begins changes with the round, so that a machine
// that is busy, or slows down, does so for both.
#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/hash.h"
#include "cli/bench_content.h"
#include "cli/bench_ground.h"
#include "cli/bench_program.h"
#include "cli/bench_steps.h"
#include "cli/local_fs.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "fuse/mount.h"

namespace tarn::cli {
namespace {

constexpr uint64_t kMostFiles = 10'000'000, kMostThreads = 256, kMostRounds = 1000;
constexpr uint64_t kLeastFileBytes = 64 << 10, kMostFileBytes = uint64_t{1} << 40, kPageBytes = 4096;

struct BenchFlags {
  BenchPlan plan;
  std::string dir = ".";
  std::string file_size = "64M";
  std::string steps;
  bool json = false;
};

struct Spread {
  double min = 0, median = 0, max = 0;
};

Spread SpreadOf(std::vector<double> figures) {
  std::sort(figures.begin(), figures.end());
  const size_t middle = figures.size() / 2;
  const double median = figures.size() % 2 == 1 ? figures[middle] : (figures[middle - 1] + figures[middle]) / 2;
  return {figures.front(), median, figures.back()};
}

struct Row {
  const BenchStep* step = nullptr;
  std::string skipped;  // why; empty: it runs
  std::vector<double> native, mount;
};

constexpr BenchStep kSteps[] = {
    {"create", "ops/s", "", "create empty files", BenchCreate},
    {"stat", "ops/s", "", "stat them, again and again", BenchStat},
    {"readdir", "names/s", "", "list their directories, again and again", BenchReadDir},
    {"rename", "ops/s", "", "rename them", BenchRename},
    {"unlink", "ops/s", "", "unlink them", BenchUnlink},
    {"mkdir", "ops/s", "", "make as many directories", BenchMkdir},
    {"rmdir", "ops/s", "", "remove them", BenchRmdir},
    {"sync-write", "ops/s", "", "append 4 KiB and fsync, one for each 16 files", BenchSyncWrite},
    {"untar", "files/s", "tar", "extract a tar of files of 0 to 16 KiB, or of --source", BenchUntar},
    {"clone", "files/s", "git", "git clone a repository of such files", BenchClone},
    {"rm-rf", "files/s", "tar", "rm -rf what untar extracts", BenchRemoveTree},
    {"write", "MiB/s", "", "write a file of --file-size in calls of 1 MiB, then fsync", BenchWrite},
    {"read", "MiB/s", "", "read it, cold, in calls of 1 MiB", BenchRead},
    {"rand-read", "ops/s", "fio", "read 4 KiB at random places of it, cold", BenchRandomRead},
    {"rand-write", "ops/s", "fio", "write 4 KiB at random places of it, fsync at the end", BenchRandomWrite},
};

std::string StepNames() {
  std::string out;
  for (const BenchStep& step : kSteps) out += (out.empty() ? "" : " ") + std::string(step.name);
  return out;
}

Result<std::vector<Row>> ChooseSteps(const std::string& list) {
  std::set<std::string> wanted;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');) {
    const bool known =
        std::any_of(std::begin(kSteps), std::end(kSteps), [&](const auto& s) { return s.name == name; });
    if (!known) {
      return Status::Invalid(fmt::format("--steps {}: no such step; there are {}", Escape(name), StepNames()));
    }
    wanted.insert(name);
  }
  std::vector<Row> rows;
  for (const BenchStep& step : kSteps) {
    if (!wanted.empty() && !wanted.contains(step.name)) continue;
    Row row;
    row.step = &step;
    if (*step.needs != '\0' && !HaveProgram(step.needs)) row.skipped = fmt::format("install {}", step.needs);
    rows.push_back(std::move(row));
  }
  return rows;
}

// "4096", "64M", "1G": powers of 1024.
std::optional<uint64_t> ParseSize(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, text.data() + text.size());
  if (error != std::errc()) return std::nullopt;
  static const auto* const kShifts = new std::map<std::string, unsigned>{
      {"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40}, {"TiB", 40}};
  const auto shift = kShifts->find(unit);
  if (shift == kShifts->end() || number > (UINT64_MAX >> shift->second)) return std::nullopt;
  return number << shift->second;
}

Status CheckNumber(const char* option, uint64_t value, uint64_t least, uint64_t most) {
  if (value >= least && value <= most) return {};
  return Status::Invalid(fmt::format("{} {}: a number from {} to {} is wanted", option, value, least, most));
}

Result<BenchPlan> PlanOf(const Context& context, const BenchFlags& flags) {
  BenchPlan plan = flags.plan;
  TARN_TRY(CheckNumber("--threads", plan.threads, 1, kMostThreads));
  TARN_TRY(CheckNumber("--files", plan.files, plan.threads, kMostFiles));
  TARN_TRY(CheckNumber("--rounds", plan.rounds, 1, kMostRounds));
  const auto bytes = ParseSize(flags.file_size);
  if (!bytes || *bytes < kLeastFileBytes || *bytes > kMostFileBytes || *bytes % kPageBytes != 0) {
    return Status::Invalid(
        fmt::format("--file-size {}: a size of whole 4 KiB pages from 64K to 1T is wanted, such as 256M",
                    Escape(flags.file_size)));
  }
  plan.file_bytes = *bytes;
  if (plan.source.empty()) return plan;
  const UniqueFd source = OpenAt(context.caller.cwd_fd, plan.source, O_PATH | O_DIRECTORY);
  if (!source.ok()) return LocalError(errno, plan.source, "name a directory with --source");
  plan.source = PathOf(source.get());
  return plan;
}

// Whether files there can be opened for direct I/O: tmpfs and some others refuse.
bool TakesDirect(const std::string& directory) {
  const std::string path = directory + "/direct";
  const bool takes = OpenAt(AT_FDCWD, path, O_RDWR | O_CREAT | O_DIRECT, 0600).ok();
  unlink(path.c_str());
  return takes;
}

class Measurement {
 public:
  Measurement(Context& context, const BenchPlan& plan, BenchGround& ground)
      : context_(context), plan_(plan), ground_(ground) {}

  Status Run(std::vector<Row>* rows) {
    direct_ = TakesDirect(ground_.native()) && TakesDirect(ground_.mount());
    const auto running =
        std::count_if(rows->begin(), rows->end(), [](const Row& row) { return row.skipped.empty(); });
    const uint64_t total = plan_.rounds * static_cast<uint64_t>(running) * 2;
    Progress progress(context_, "bench mount", 0, total);
    for (uint64_t round = 0; round < plan_.rounds; ++round) {
      for (Row& row : *rows) {
        if (!row.skipped.empty()) continue;
        for (const bool mount : {round % 2 == 1, round % 2 == 0}) {
          progress.Name(fmt::format("round {} of {}: {} on {}", round + 1, plan_.rounds, row.step->name,
                                    mount ? "the mount" : "native"));
          TARN_ASSIGN(const double figure, Once(*row.step, round, mount));
          (mount ? row.mount : row.native).push_back(figure);
          progress.Add(0, 1);
        }
      }
    }
    return {};
  }

  bool direct() const { return direct_; }

 private:
  Result<double> Once(const BenchStep& step, uint64_t round, bool mount) {
    TARN_TRY(context_.Check());
    StepRun run = {.context = context_,
                   .plan = plan_,
                   .directory = (mount ? ground_.mount() : ground_.native()) + "/" + step.name,
                   .scratch = ground_.scratch(),
                   .seed = SeedOf(round, Hash64(step.name)),
                   .direct = direct_,
                   .chill = [this, mount](const std::string& file) {
                     return mount ? ground_.MountCold() : DropFromCache(file);
                   }};
    std::error_code error;
    std::filesystem::create_directory(run.directory, error);
    if (error) return LocalError(error.value(), run.directory, "cannot make it");
    const auto figure = step.run(run);
    if (!figure.ok())
      return figure.status().Annotate(fmt::format("{} on {}", step.name, mount ? "the mount" : "native"));
    std::filesystem::remove_all(run.directory, error);
    if (error) return LocalError(error.value(), run.directory, "cannot remove it");
    return figure;
  }

  Context& context_;
  const BenchPlan& plan_;
  BenchGround& ground_;
  bool direct_ = false;
};

double Ratio(const Row& row) { return SpreadOf(row.mount).median / SpreadOf(row.native).median; }

// As many digits as mean something, and a number rather than 1.2e+06.
double Rounded(double figure) { return std::round(figure * 1000) / 1000; }

Json SpreadJson(const Spread& spread) {
  Json object;
  object["min"] = Rounded(spread.min);
  object["median"] = Rounded(spread.median);
  object["max"] = Rounded(spread.max);
  return object;
}

void PrintJson(Context& context, const std::vector<Row>& rows) {
  JsonArray array(context.out);
  for (const Row& row : rows) {
    Json object;
    object["step"] = row.step->name;
    object["unit"] = row.step->unit;
    if (row.skipped.empty()) {
      object["native"] = SpreadJson(SpreadOf(row.native));
      object["mount"] = SpreadJson(SpreadOf(row.mount));
      object["ratio"] = Rounded(Ratio(row));
    } else {
      object["skipped"] = row.skipped;
    }
    array.Add(object);
  }
  array.Finish();
}

std::string Columns(const Spread& spread) {
  const auto text = [](double figure) {
    return figure < 100 ? fmt::format("{:.1f}", figure) : Grouped(static_cast<uint64_t>(std::llround(figure)));
  };
  return fmt::format("{:>11}{:>11}{:>11}", text(spread.min), text(spread.median), text(spread.max));
}

void PrintTable(Context& context, const std::vector<Row>& rows) {
  context.out.Print("{:<11}{:<8}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}{:>8}\n", "step", "unit", "native min", "median",
                    "max", "mount min", "median", "max", "ratio");
  for (const Row& row : rows) {
    if (row.skipped.empty()) {
      context.out.Print("{:<11}{:<8}{}{}{:>8.2f}\n", row.step->name, row.step->unit, Columns(SpreadOf(row.native)),
                        Columns(SpreadOf(row.mount)), Ratio(row));
    } else {
      context.out.Print("{:<11}skipped: {}\n", row.step->name, row.skipped);
    }
  }
}

Status BenchMount(Context& context, const BenchFlags& flags) {
  TARN_ASSIGN(const BenchPlan plan, PlanOf(context, flags));
  TARN_ASSIGN(std::vector<Row> rows, ChooseSteps(flags.steps));
  if (std::none_of(rows.begin(), rows.end(), [](const Row& row) { return row.skipped.empty(); })) {
    return Status::Unsupported(
        fmt::format("{}: nothing is left to measure; {}", rows[0].step->name, rows[0].skipped));
  }
  TARN_TRY(fuse::FuseAvailable().status());
  TARN_ASSIGN(const auto ground,
              BenchGround::Make(context, flags.dir, context.lake_was_named ? context.location : std::string()));
  Measurement measurement(context, plan, *ground);
  const Status measured = measurement.Run(&rows);
  const Status removed = ground->Remove();
  if (!context.Check().ok()) {
    if (removed.ok()) return {Code::kUnavailable, "interrupted: what was made for it is removed", ECANCELED};
    return {Code::kUnavailable, "interrupted: " + std::string(removed.message()), ECANCELED};
  }
  TARN_TRY(measured);
  TARN_TRY(removed);
  if (flags.json) {
    PrintJson(context, rows);
    return {};
  }
  PrintTable(context, rows);
  if (context.quiet) return {};
  context.out.Print("\n{}, {} and one of {}, {}; fio: {}\n", Plural(plan.rounds, "round", "rounds"),
                    Plural(plan.files, "file", "files"), HumanBytes(plan.file_bytes),
                    Plural(plan.threads, "thread", "threads"), measurement.direct() ? "direct" : "buffered");
  return {};
}

std::string Notes() {
  std::string out =
      "Makes a lake in a temporary directory, mounts it, and runs each step in turn on the native file\n"
      "system and on the mount, --rounds times. Then it unmounts and removes everything, also after an\n"
      "error and after Ctrl-C. The ratio is that of the medians: 1 is as fast as native, 0.5 half so.\n"
      "\n"
      "Only the work itself is timed, and each step verifies what it did. All content is random: a lake\n"
      "gains nothing here by storing equal blocks once, or by compression, as it may with yours. stat and\n"
      "readdir find warm caches. \"Cold\" is: the file dropped from the page cache, and on the mount also\n"
      "the lake's files, with the lake opened anew. Give --dir on the device that you care about, and\n"
      "more --files and --rounds until the spread is small enough for your question.\n"
      "\n"
      "Steps:\n";
  for (const BenchStep& step : kSteps) out += fmt::format("  {:<11} {}\n", step.name, step.about);
  return out;
}

}  // namespace

void AddBenchVerb(CommandLine& line) {
  auto flags = std::make_shared<BenchFlags>();
  line.Add({"Lake", "bench mount", "Measure a mounted lake beside the native file system", "", 0, 0, Needs::kNothing,
            "tarn bench mount\n"
            "tarn bench mount --dir /data --files 20000 --threads 4 --rounds 5\n"
            "tarn bench mount --steps create,untar,write --file-size 1G --json",
            Notes()},
           [flags](Context& context, const Operands&) { return BenchMount(context, *flags); })
      .Option("--dir", &flags->dir, "DIR", "measure this file system (default: that of the current directory)")
      .Number("--files", &flags->plan.files, "N", "files in each step of names and trees (default: 2000)")
      .Option("--file-size", &flags->file_size, "SIZE", "of the one large file (default: 64M)")
      .Number("--threads", &flags->plan.threads, "T", "threads in steps of names, and in fio (default: 1)")
      .Number("--rounds", &flags->plan.rounds, "R", "turns of each side (default: 3)")
      .Option("--steps", &flags->steps, "LIST", "only these, separated by commas (default: all)")
      .Option("--source", &flags->plan.source, "TREE", "for untar and rm-rf: your files instead of random ones")
      .Flag("--json", &flags->json, "a JSON array of {step, unit, native, mount, ratio}");
}

}  // namespace tarn::cli
