// init, check, stats, df: the lake as a whole.
#include <map>
#include <optional>

#include "cli/progress.h"
#include "cli/spending.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace tarn::cli {
namespace {

Status Init(Context& context, const Operands& operands) {
  const std::string location = operands.empty() ? context.location : operands[0];
  TARN_ASSIGN(auto lake, InitLake(location, context.caller.command));
  // Who makes a lake owns its root, as with any new directory, and may write there through a mount.
  auto owned = lake->SetAttr(lake::kRootIno, {.uid = context.caller.uid, .gid = context.caller.gid});
  auto logged = lake->AppendLog(context.LogRecordOf(0, 0));
  const Status closed = lake->Close();
  TARN_TRY(owned.status());
  TARN_TRY(logged.status());
  TARN_TRY(closed);
  if (!context.quiet) context.out.Print("created a lake at {}\n", Escape(location));
  return {};
}

struct CheckOptions {
  bool deep = false, json = false;
};

void PrintReport(Context& context, const lake::CheckReport& report, const CheckOptions& options) {
  if (!options.json) {
    for (const std::string& problem : report.problems) context.out.Print("{}\n", EscapeControls(problem));
    context.out.Print(
        "checked {}, {}, {}, {}{}: {}\n", Plural(report.inodes, "inode", "inodes"),
        Plural(report.entries, "entry", "entries"), Plural(report.blocks, "block", "blocks"),
        HumanBytes(report.bytes), options.deep ? ", all content read" : "",
        report.problems.empty() ? "no problems" : Plural(report.problems.size(), "problem", "problems"));
    return;
  }
  Json object;
  object["ok"] = report.problems.empty();
  object["deep"] = options.deep;
  object["inodes"] = report.inodes;
  object["entries"] = report.entries;
  object["blocks"] = report.blocks;
  object["bytes"] = report.bytes;
  object["problems"] = Json::array();
  for (const std::string& problem : report.problems) object["problems"].push_back(Escape(problem));
  context.out.Print("{}\n", Dump(object));
}

Status Check(Context& context, const CheckOptions& options) {
  // The total is known once the check has begun, and grows when it goes deeper.
  std::unique_ptr<Progress> progress;
  uint64_t known_total = 0;
  auto report = context.lake->Check(options.deep, [&](uint64_t done, uint64_t total) {
    if (!progress || total != known_total) progress = std::make_unique<Progress>(context, "check", 0, total);
    known_total = total;
    progress->Set(0, done);
  });
  progress.reset();
  TARN_TRY(report.status());
  const Status tables = options.deep ? context.lake->db().Verify() : Status();
  if (!tables.ok() && tables.code() != Code::kCorruption) return tables;
  if (!tables.ok()) report->problems.emplace_back(tables.message());
  PrintReport(context, *report, options);
  if (report->problems.empty()) return {};
  return Status::Corruption(fmt::format("{}: {} found; run: tarn repair SOURCE TARGET", Escape(context.location),
                                        Plural(report->problems.size(), "problem", "problems")));
}

// What the store costs, where its backend has prices (docs/s3.md): the requests of this process, and a month of what
// its tables and log hold.
struct StoreCost {
  double requests = 0, transfer = 0, storage_a_month = 0;
};
std::optional<StoreCost> CostOf(const std::map<std::string, uint64_t>& statistics) {
  const auto price = statistics.find("backend.s3.cost.gb_month_billionths");
  if (price == statistics.end()) return std::nullopt;
  const auto money = [&](const char* name) { return static_cast<double>(statistics.at(name)) / 1e9; };
  const uint64_t held = statistics.at("tables.bytes") + statistics.at("wal.live_bytes");
  return StoreCost{money("backend.s3.cost.requests_billionths"), money("backend.s3.cost.transfer_billionths"),
                   s3::StorageCost(held, {.storage = static_cast<double>(price->second) / 1e9})};
}

void PrintCost(Context& context, const StoreCost& cost) {
  context.out.Print("cost      requests {}, transfer {} since the store was opened; storage {} a month\n",
                    MoneyText(cost.requests), MoneyText(cost.transfer), MoneyText(cost.storage_a_month));
}

Status Stats(Context& context, bool json) {
  DB& db = context.lake->db();
  const auto statistics = db.Statistics();
  const std::optional<StoreCost> cost = CostOf(statistics);
  if (json) {
    Json object;
    for (const auto& [name, value] : statistics) object[name] = value;
    if (cost.has_value()) {
      object["cost.requests"] = cost->requests;
      object["cost.transfer"] = cost->transfer;
      object["cost.storage_a_month"] = cost->storage_a_month;
    }
    context.out.Print("{}\n", Dump(object));
    return {};
  }
  for (const char* name : {"summary", "levels"}) {
    TARN_ASSIGN(const std::string text, db.Property(name));
    context.out.Print("{}{}", text, text.ends_with('\n') ? "\n" : "\n\n");
  }
  if (cost.has_value()) PrintCost(context, *cost);
  for (const auto& [name, value] : statistics) context.out.Print("{:<40} {:>20}\n", name, value);
  return {};
}

struct DfOptions {
  bool human = false, json = false;
};

Status Df(Context& context, const DfOptions& options) {
  TARN_ASSIGN(const lake::Usage usage, context.lake->Head().GetUsage());
  if (options.json) {
    Json object;
    SetName(&object, "lake", context.lake_directory);
    object["inodes"] = usage.inodes;
    object["logical_bytes"] = usage.logical_bytes;
    object["device_total_bytes"] = usage.total_bytes;
    object["device_free_bytes"] = usage.free_bytes;
    context.out.Print("{}\n", Dump(object));
    return {};
  }
  const auto size = [&](uint64_t bytes) {
    return options.human ? ShortBytes(bytes) : fmt::format("{}", (bytes + 1023) / 1024);
  };
  context.out.Print("{:>14} {:>14} {:>14} {:>12}  {}\n", options.human ? "Files" : "Files (KiB)", "Device", "Free",
                    "Inodes", "Lake");
  context.out.Print("{:>14} {:>14} {:>14} {:>12}  {}\n", size(usage.logical_bytes), size(usage.total_bytes),
                    size(usage.free_bytes), usage.inodes, Escape(context.lake_directory));
  return {};
}

}  // namespace

void AddLakeVerbs(CommandLine& line) {
  line.Add({"Lake", "init", "Create a lake", "[PATH]", 0, 1, Needs::kNothing,
            "tarn --lake ~/lake init\ntarn init /srv/lake"},
           [](Context& context, const Operands& operands) { return Init(context, operands); });

  auto check = std::make_shared<CheckOptions>();
  line.Add({"Lake", "check", "Verify that the lake is whole", "", 0, 0, Needs::kLakeToRead,
            "tarn check\ntarn check --deep    # reads and verifies every byte"},
           [check](Context& context, const Operands&) { return Check(context, *check); })
      .Flag("--deep", &check->deep, "read and verify all content and every table too")
      .Flag("--json", &check->json, "one JSON object");

  auto stats = std::make_shared<bool>(false);
  line.Add({"Lake", "stats", "Counters and shape of the store below", "", 0, 0, Needs::kLakeToRead,
            "tarn stats\ntarn stats --json | jq '.\"wal.syncs\"'"},
           [stats](Context& context, const Operands&) { return Stats(context, *stats); })
      .Flag("--json", stats.get(), "one JSON object of counters");

  auto df = std::make_shared<DfOptions>();
  line.Add({"Lake", "df", "How full the lake and its device are", "", 0, 0, Needs::kLakeToRead, "tarn df -h"},
           [df](Context& context, const Operands&) { return Df(context, *df); })
      .Flag("-h,--human-readable", &df->human, "sizes like 1.5M")
      .Flag("--json", &df->json, "one JSON object, in bytes");
}

}  // namespace tarn::cli
