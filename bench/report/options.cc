// CLI11 parses; names that it does not know are explained with the nearest ones. A mistake ends with status 2 and one
// line, so that a script tells it from a row that failed (status 1).
#include "bench/report/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "bench/report/text.h"

namespace tarn::bench {
namespace {

struct Group {
  const char* name;
  const char* members;
  const char* help;
};
constexpr std::array<Group, 7> kGroups = {{
    {"quick", "fillseq,fillrandom,overwrite,readrandom,readseq,seekrandom", "the default"},
    {"write", "fillseq,fillrandom,overwrite,fillsync,fillsync16,deleterandom", "puts and deletes"},
    {"read", "readrandom,readmissing,readhot,readseq,readreverse,seekrandom,multireadrandom", "gets and scans"},
    {"cold", "readcold,multireadcold", "from the device"},
    {"mixed", "deleteseq+seek,readwhilewriting,mixgraph", "several kinds of operations at once"},
    {"ycsb", "ycsb-a,ycsb-b,ycsb-c,ycsb-d,ycsb-e,ycsb-f", "the six of YCSB"},
    {"large", "fill-4k,fill-64k,fill-1m,read-4k,read-64k,read-1m", "large values"},
}};

// The package that brings an engine that was not found when the build was configured.
struct Package {
  const char* engine;
  const char* package;
};
constexpr std::array<Package, 4> kPackages = {{{"rocksdb", "librocksdb-dev"},
                                               {"leveldb", "libleveldb-dev"},
                                               {"lmdb", "liblmdb-dev"},
                                               {"wiredtiger", "libwiredtiger-dev"}}};

constexpr const char* kFooter = R"(Examples:
  tarn-bench                                        a quick look: all engines, six workloads, three rounds
  tarn-bench --engines tarn,rocksdb --workloads all --json now.json --plot now.svg
  tarn-bench --workloads write,ycsb-a --durability power --seconds 10
  tarn-bench --workloads readrandom --keys 10000000 --memory-budget 256MiB --direct --dir /mnt/ssd/bench
  tarn-bench --list                                 every workload, group and engine

A row of the table is one workload on one engine. Each run of it is a process of its own, and the engines take turns
in every round, so that they share the good and the bad moments of the machine. A number is the median of the rounds.
Reading rows start from a data set that each engine loads once, in --dir; it needs room for two per engine.
Durability is what an acknowledged write survives: nothing, kill -9 (process), the loss of power (power).
Exit status: 0, 1 when a row failed (the table says why), 2 when the command is wrong, 130 after Ctrl-C.
)";

struct Words {
  std::string engines, workloads = "quick", durability = "process";
  std::string key_bytes = "16", value_bytes = "100", memory = "256MiB";
  bool list = false;
};

[[noreturn]] void Usage(const std::string& why) {
  fmt::print(stderr, "tarn-bench: {}\n", why);
  std::exit(2);
}

template <typename Number>
CLI::Validator Between(Number least, Number most) {
  return CLI::Validator(
      [=](std::string& text) {
        Number number{};
        const bool fits = CLI::detail::lexical_cast(text, number) && number >= least && number <= most;
        return fits ? std::string() : fmt::format("takes a number from {} to {}, not '{}'", least, most, text);
      },
      "");
}

uint64_t SizeOf(const std::string& flag, const std::string& text, uint64_t least, uint64_t most) {
  std::string number = text;
  uint64_t bytes = 0;
  bool fits = false;
  try {
    fits = CLI::AsSizeValue(false)(number).empty() && CLI::detail::lexical_cast(number, bytes);
  } catch (const CLI::ParseError&) {
    fits = false;  // an unknown unit, or more than 64 bits
  }
  if (fits && bytes >= least && bytes <= most) return bytes;
  Usage(fmt::format("{}: takes a size from {} to {}, like 4KiB or 256MiB, not '{}'", flag, HumanBytes(least),
                    HumanBytes(most), text));
}

void AddOptions(CLI::App* app, Words* words, Options* options) {
  RunSpec& run = options->run;
  app->set_help_flag("-h,--help", "this text");
  app->add_option("--engines", words->engines, "which, by commas (default: all that were compiled in; see --list)");
  app->add_option("--workloads", words->workloads, "names, groups or 'all', by commas (default: quick)");
  app->add_option("--keys", run.keys, "distinct keys of the data set (default: 1000000)")
      ->check(Between(uint64_t{1}, uint64_t{1} << 40));
  app->add_option("--key-size", words->key_bytes, "bytes of a key (default: 16)");
  app->add_option("--value-size", words->value_bytes, "bytes of a value (default: 100)");
  app->add_option("--threads", run.threads, "threads of a run, where the workload's name does not say (default: 1)")
      ->check(Between(1u, 256u));
  app->add_option("--memory-budget", words->memory, "memtables and caches together (default: 256MiB)");
  app->add_option("--durability", words->durability, "none, process or power (default: process)");
  app->add_option("--compressibility", run.compressibility, "size of the values after compression (default: 0.5)")
      ->check(Between(0.01, 1.0));
  app->add_option("--rounds", options->rounds, "runs of every row (default: 3)")->check(Between(1u, 1000u));
  app->add_option("--seconds", run.seconds, "a run ends then at the latest (default: 5)")
      ->check(Between(0.01, 86400.0));
  app->add_flag("--direct", run.config.direct_reads, "tables are read past the page cache, where the engine can");
  app->add_flag("--cold", run.cold, "the store is dropped from the page cache before the clock starts");
  app->add_option("--dir", options->dir, "where the stores live; absent or empty before and after");
  app->add_option("--json", options->json, "write a list of rows to FILE; '-': to standard output, and no table");
  app->add_option("--plot", options->plot, "draw ratios, latencies and throughput over time into FILE.svg");
  app->add_flag("--keep", options->keep, "leave the stores in --dir");
  app->add_flag("--list", words->list, "print workloads, groups and engines");
  app->footer(kFooter);
}

void PrintList() {
  fmt::print("workloads:\n");
  for (const WorkloadInfo& w : Workloads()) fmt::print("  {:<17} {} (one operation: {})\n", w.name, w.help, w.unit);
  fmt::print("groups:\n  {:<17} every workload above\n", "all");
  for (const Group& group : kGroups) fmt::print("  {:<17} {}: {}\n", group.name, group.help, group.members);
  fmt::print("engines:\n");
  for (const EngineKind& engine : EngineKinds()) fmt::print("  {:<17} {}\n", engine.name, engine.version);
  for (const Package& p : kPackages) {
    const auto& kinds = EngineKinds();
    const auto same = [&](const EngineKind& kind) { return kind.name == p.engine; };
    if (std::any_of(kinds.begin(), kinds.end(), same)) continue;
    fmt::print("  {:<17} not compiled in; needs {}\n", p.engine, p.package);
  }
}

std::vector<EngineKind> ChosenEngines(const std::string& words) {
  if (words.empty()) return EngineKinds();
  std::vector<EngineKind> chosen;
  std::vector<std::string> known;
  for (const EngineKind& kind : EngineKinds()) known.push_back(kind.name);
  for (const std::string& word : Split(words, ',')) {
    const auto same = [&](const EngineKind& kind) { return kind.name == word; };
    const auto found = std::find_if(EngineKinds().begin(), EngineKinds().end(), same);
    for (const Package& p : kPackages) {
      if (found != EngineKinds().end() || word != p.engine) continue;
      Usage(fmt::format("engine '{}' was not compiled in; apt-get install {}, then configure and build again", word,
                        p.package));
    }
    if (found == EngineKinds().end()) {
      const std::string near = DidYouMean(word, known);
      Usage(fmt::format("no engine '{}'{}", word, near.empty() ? "; there are " + Join(known, ", ") : near));
    }
    if (std::none_of(chosen.begin(), chosen.end(), same)) chosen.push_back(*found);
  }
  if (chosen.empty()) Usage("--engines names none; leave it out for all");
  return chosen;
}

const WorkloadInfo& WorkloadNamed(const std::string& name) {
  std::vector<std::string> known = {"all"};
  for (const Group& group : kGroups) known.emplace_back(group.name);
  for (const WorkloadInfo& info : Workloads()) {
    if (info.name == name) return info;
    known.push_back(info.name);
  }
  Usage(fmt::format("no workload or group '{}'{} (tarn-bench --list names all)", name, DidYouMean(name, known)));
}

std::vector<WorkloadInfo> ChosenWorkloads(const std::string& words) {
  std::vector<std::string> names;
  for (const std::string& word : Split(words, ',')) {
    const auto same = [&](const Group& group) { return word == group.name; };
    const auto group = std::find_if(kGroups.begin(), kGroups.end(), same);
    if (word == "all") {
      for (const WorkloadInfo& info : Workloads()) names.push_back(info.name);
    } else if (group != kGroups.end()) {
      for (const std::string& member : Split(group->members, ',')) names.push_back(member);
    } else {
      names.push_back(word);
    }
  }
  if (names.empty()) Usage("--workloads names none; leave it out for a quick look, or say 'all'");
  std::vector<WorkloadInfo> chosen;
  for (const std::string& name : names) {
    const auto same = [&](const WorkloadInfo& info) { return info.name == name; };
    if (std::none_of(chosen.begin(), chosen.end(), same)) chosen.push_back(WorkloadNamed(name));
  }
  return chosen;
}

Durability ParseDurability(const std::string& word) {
  const std::vector<std::string> names = {"none", "process", "power"};
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == word) return static_cast<Durability>(i);
  }
  Usage(fmt::format("--durability takes none, process or power, not '{}'", word));
}

[[noreturn]] void RefuseExtra(const CLI::App& app, const std::vector<std::string>& extras) {
  for (const std::string& word : extras) {
    if (!word.starts_with("-")) continue;
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) known.push_back(option->get_name());
    const std::string flag = word.substr(0, word.find('='));
    Usage(fmt::format("no option '{}'{} (tarn-bench --help lists all)", flag, DidYouMean(flag, known)));
  }
  Usage(fmt::format("'{}' belongs to no option; workloads are given as --workloads NAME,NAME", extras[0]));
}

}  // namespace

const char* DurabilityName(Durability durability) {
  constexpr std::array<const char*, 3> kNames = {"none", "process", "power"};
  return kNames[static_cast<size_t>(durability)];
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  Words words;
  CLI::App app("Runs the same workloads on Tarn and on its peers, in turns, and prints how they compare.",
               "tarn-bench");
  AddOptions(&app, &words, &options);
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    std::exit(0);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> lines = Split(error.what(), '\n');
    Usage(lines.empty() ? "the command line makes no sense; see tarn-bench --help" : Join(lines, " "));
  }
  if (!app.remaining().empty()) RefuseExtra(app, app.remaining());
  if (words.list) {
    PrintList();
    std::exit(0);
  }
  RunSpec& run = options.run;
  run.key_bytes = static_cast<uint32_t>(SizeOf("--key-size", words.key_bytes, 8, 1024));
  run.value_bytes = static_cast<uint32_t>(SizeOf("--value-size", words.value_bytes, 0, 64 << 20));
  run.config.memory_budget = SizeOf("--memory-budget", words.memory, 8 << 20, uint64_t{1} << 40);
  run.config.durability = ParseDurability(words.durability);
  options.engines = ChosenEngines(words.engines);
  options.workloads = ChosenWorkloads(words.workloads);
  if (!options.plot.empty() && !options.plot.ends_with(".svg")) Usage("--plot takes the name of an .svg file");
  return options;
}

}  // namespace tarn::bench
