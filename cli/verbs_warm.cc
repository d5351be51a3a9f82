// warm: reads files and trees of a lake in a bucket, so that the cache on this disk has them. What it reads counts as
// hot: it stays where a mere copy of the lake would push itself out again.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <unordered_set>

#include "cli/paths.h"
#include "cli/progress.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/walk.h"

namespace tarn::cli {
namespace {

constexpr uint64_t kPieceBytes = 4 << 20;  // one task; a large file is many
constexpr size_t kReadBytes = 1 << 20;
constexpr size_t kBatchPieces = 256;  // that are known ahead: trees may be large
constexpr size_t kThreads = 16;       // each waits for the bucket most of the time

struct WarmOptions {
  bool json = false;
  std::string at;
};

class Warmer {
 public:
  Warmer(Context& context, lake::View& view, Progress& progress)
      : context_(context), view_(view), progress_(progress) {}

  Status Add(const Node& start) {
    WalkHooks hooks;
    hooks.enter = [this](const Node& node) -> Result<bool> {
      if (S_ISREG(node.attr.mode) && seen_.insert(node.attr.ino).second) TARN_TRY(AddFile(node));
      return true;
    };
    return WalkLake(context_, view_, start, hooks);
  }

  // Reads what was added and not read yet.
  Status ReadAll() {
    std::vector<Status> ends(std::min(kThreads, pieces_.size()));
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (Status& end : ends) {
      threads.emplace_back([&] {
        std::vector<char> buffer(kReadBytes);
        for (size_t i = next++; i < pieces_.size() && end.ok(); i = next++) end = ReadPiece(pieces_[i], buffer);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Status& end : ends) TARN_TRY(end);
    for (const Piece& piece : pieces_) progress_.Add(piece.bytes, piece.offset == 0 ? 1 : 0);
    pieces_.clear();
    return {};
  }

 private:
  struct Piece {
    lake::Ino ino = 0;
    std::string path;
    uint64_t offset = 0, bytes = 0;
  };

  Status AddFile(const Node& node) {
    for (uint64_t at = 0; at == 0 || at < node.attr.size; at += kPieceBytes) {
      pieces_.push_back({node.attr.ino, node.path, at, std::min(kPieceBytes, node.attr.size - at)});
      if (pieces_.size() >= kBatchPieces) TARN_TRY(ReadAll());
    }
    return {};
  }

  Status ReadPiece(const Piece& piece, std::vector<char>& buffer) {
    for (uint64_t done = 0; done < piece.bytes;) {
      TARN_TRY(context_.Check());
      const size_t n = std::min<uint64_t>(buffer.size(), piece.bytes - done);
      const auto got = view_.Read(piece.ino, piece.offset + done, {buffer.data(), n});
      if (!got.ok()) return At(piece.path, got.status());
      if (*got == 0) return {};
      done += *got;
    }
    return {};
  }

  Context& context_;
  lake::View& view_;
  Progress& progress_;
  std::vector<Piece> pieces_;
  std::unordered_set<lake::Ino> seen_;  // a file with several names is read once
};

Status Report(Context& context, const WarmOptions& options, const Progress& progress, const CacheFacts& facts) {
  if (options.json) {
    Json object;
    object["files"] = progress.items();
    object["bytes"] = progress.bytes();
    object["cache_hits"] = facts.hits;
    object["cache_misses"] = facts.misses;
    object["seconds"] = progress.Seconds();
    context.out.Print("{}\n", object.dump(2));
  } else if (!context.quiet) {
    context.out.Print("{}, {} {}; {} of {} were in the cache\n", Plural(progress.items(), "file", "files"),
                      HumanBytes(progress.bytes()), RateText(progress.bytes(), progress.Seconds()),
                      Grouped(facts.hits), Plural(facts.hits + facts.misses, "read", "reads"));
  }
  if (progress.bytes() > facts.limit_bytes && !context.quiet) {
    context.err.Print("tarn warm: the cache holds {}, less than these files: raise cache_size, or name fewer\n",
                      HumanBytes(facts.limit_bytes));
  }
  return {};
}

Status Warm(Context& context, const WarmOptions& options, const Operands& operands) {
  if (context.location.empty()) return NoLocation();
  TARN_ASSIGN(WarmLake warm, OpenLakeToWarm(context.location, context.caller.command));
  context.lake = warm.lake.get();
  const auto work = [&]() -> Status {
    TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
    std::vector<Node> starts;
    for (const std::string& operand : operands) {
      TARN_ASSIGN(const LakePath path, ParseLakePath(operand));
      Node node;
      TARN_ASSIGN(node.attr, Find(*view, path, true));
      node.path = path.text();
      node.name = BaseName(path);
      starts.push_back(std::move(node));
    }
    Progress progress(context, "warm", 0, 0);
    Warmer warmer(context, *view, progress);
    for (const Node& start : starts) TARN_TRY(warmer.Add(start));
    TARN_TRY(warmer.ReadAll());
    return Report(context, options, progress, FactsOfCache(*warm.backend));
  };
  const Status done = work();
  context.DropViews();
  context.lake = nullptr;
  const Status closed = warm.lake->Close();
  return done.ok() ? closed : done;
}

}  // namespace

void AddWarmVerb(CommandLine& line) {
  auto options = std::make_shared<WarmOptions>();
  line.Add({"Lake", "warm", "Bring files of a lake in a bucket into the cache on this disk", "PATH...", 1, kMany,
            Needs::kNothing,
            "tarn warm /photos                     # with all that is below\n"
            "tarn --lake 's3://bucket/lake?cache=/var/cache/tarn' warm /"},
           [options](Context& context, const Operands& operands) { return Warm(context, *options, operands); })
      .Flag("--json", &options->json, "one JSON object")
      .Option("--at", &options->at, "SNAPSHOT", "as of a named snapshot");
}

}  // namespace tarn::cli
