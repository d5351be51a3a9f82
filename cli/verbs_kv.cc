// kv: the bare key-value store. Works on a store of its own, not on a lake. Keys and values on the command line and
// in listings are escaped like names (\xNN for any byte), so binary data survives a shell and a text file.
//
// Reading opens a fixed view and may run beside a writer; writing takes the store's lock. What a writing verb reports
// as done survives power loss.
#include <fcntl.h>

#include "cli/local_fs.h"
#include "cli/progress.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"

namespace tarn::cli {
namespace {

constexpr size_t kLoadBytes = 1 << 20;     // one read of the input
constexpr size_t kBatchBytes = 256 << 10;  // one atomic batch of `load`
constexpr size_t kMaxLine = 64 << 20;      // a longer line in the input is a mistake

Status Get(Context& context, const Operands& operands) {
  TARN_ASSIGN(const std::string key, Unescape(operands[0]));
  TARN_ASSIGN(auto db, OpenStore(context.location, Access::kRead, context.caller.command));
  std::string value;
  const Status status = db->Get(key, &value);
  if (status.code() == Code::kNotFound) {
    return Status::NotFound(fmt::format("no key '{}' in {}; see what is there with: tarn kv scan", Escape(key),
                                        Escape(context.location)));
  }
  TARN_TRY(status);
  context.out.Write(value);
  if (context.out.terminal()) context.out.Write("\n");
  return {};
}

Status Put(Context& context, const Operands& operands) {
  TARN_ASSIGN(const std::string key, Unescape(operands[0]));
  TARN_ASSIGN(const std::string value, Unescape(operands[1]));
  TARN_ASSIGN(auto db, OpenStore(context.location, Access::kCreate, context.caller.command));
  TARN_TRY(db->Put(key, value, Durability::kPower));
  return db->Close();
}

Status Del(Context& context, bool dry_run, const Operands& operands) {
  std::vector<std::string> keys;
  for (const std::string& operand : operands) {
    TARN_ASSIGN(std::string key, Unescape(operand));
    keys.push_back(std::move(key));
  }
  TARN_ASSIGN(auto db, OpenStore(context.location, dry_run ? Access::kRead : Access::kWrite, context.caller.command));
  WriteBatch batch;
  for (const std::string& key : keys) {
    std::string value;
    const Status status = db->Get(key, &value);
    if (status.code() == Code::kNotFound) {
      return Status::NotFound(
          fmt::format("no key '{}' in {}; nothing was deleted", Escape(key), Escape(context.location)));
    }
    TARN_TRY(status);
    if (dry_run) context.out.Print("would delete {} ({})\n", Escape(key), HumanBytes(value.size()));
    batch.Delete(key);
  }
  if (dry_run) return {};
  TARN_TRY(db->Write(batch, Durability::kPower));
  return db->Close();
}

struct ScanOptions {
  std::string prefix;
  uint64_t limit = UINT64_MAX;
  bool reverse = false, json = false;
};

Status Scan(Context& context, const ScanOptions& options) {
  TARN_ASSIGN(const std::string prefix, Unescape(options.prefix));
  TARN_ASSIGN(auto db, OpenStore(context.location, Access::kRead, context.caller.command));
  ReadOptions read;
  read.prefix = prefix;
  read.fill_cache = false;
  const auto iterator = db->NewIterator(read);
  JsonArray array(context.out);
  uint64_t left = options.limit;
  options.reverse ? iterator->SeekToLast() : iterator->SeekToFirst();
  for (; left > 0 && iterator->valid(); options.reverse ? iterator->Prev() : iterator->Next(), --left) {
    TARN_TRY(context.Check());
    if (options.json) {
      Json object;
      SetName(&object, "key", iterator->key());
      SetName(&object, "value", iterator->value());
      array.Add(object);
    } else {
      context.out.Print("{}\t{}\n", Escape(iterator->key()), Escape(iterator->value()));
    }
  }
  TARN_TRY(iterator->status());
  if (options.json) array.Finish();
  return {};
}

struct CountOptions {
  std::string prefix;
  bool json = false;
};

Status Count(Context& context, const CountOptions& options) {
  TARN_ASSIGN(const std::string prefix, Unescape(options.prefix));
  TARN_ASSIGN(auto db, OpenStore(context.location, Access::kRead, context.caller.command));
  ReadOptions read;
  read.prefix = prefix;
  read.fill_cache = false;
  const auto iterator = db->NewIterator(read);
  uint64_t keys = 0, bytes = 0;
  for (iterator->SeekToFirst(); iterator->valid(); iterator->Next()) {
    TARN_TRY(context.Check());
    ++keys;
    bytes += iterator->key().size() + iterator->value().size();
  }
  TARN_TRY(iterator->status());
  if (options.json) {
    Json object;
    object["keys"] = keys;
    object["bytes"] = bytes;
    context.out.Print("{}\n", Dump(object));
  } else {
    context.out.Print("{}\n", keys);
  }
  return {};
}

// Reads lines "KEY<tab>VALUE" into batches. Batches before a bad line stand; the error says where it is.
class Loader {
 public:
  Loader(Context& context, DB& db, Progress& progress, std::string shown)
      : context_(context), db_(db), progress_(progress), shown_(std::move(shown)) {}

  Status Run(int fd) {
    std::string pending;
    std::vector<char> buffer(kLoadBytes);
    while (true) {
      TARN_TRY(context_.Check());
      TARN_ASSIGN(const size_t n, ReadStream(fd, buffer, shown_));
      pending.append(buffer.data(), n);
      size_t at = 0;
      for (size_t end; (end = pending.find('\n', at)) != std::string::npos; at = end + 1) {
        TARN_TRY(Line(std::string_view(pending).substr(at, end - at)));
      }
      pending.erase(0, at);
      progress_.Add(n, 0);
      if (n < buffer.size()) break;
      if (pending.size() > kMaxLine) return Bad(line_ + 1, "is longer than 64 MiB");
    }
    if (!pending.empty()) TARN_TRY(Line(pending));
    return Flush();
  }

 private:
  Status Bad(uint64_t line, std::string_view what) const {
    return Status::Invalid(fmt::format("{}: line {} {}; {} before it were loaded, mend it and run again", shown_,
                                       line, what, Plural(loaded_, "pair", "pairs")));
  }

  Status Line(std::string_view text) {
    ++line_;
    if (text.empty()) return {};
    const size_t tab = text.find('\t');
    if (tab == std::string_view::npos) return Fail("has no tab between key and value");
    auto key = Unescape(text.substr(0, tab));
    auto value = Unescape(text.substr(tab + 1));
    if (!key.ok() || !value.ok()) return Fail("has a bad escape (write \\\\ for a backslash)");
    batch_.Put(*key, *value);
    if (batch_.bytes().size() >= kBatchBytes) return Flush();
    return {};
  }

  Status Fail(std::string_view what) {
    TARN_TRY(Flush());
    TARN_TRY(db_.SyncWal());
    return Bad(line_, what);
  }

  Status Flush() {
    if (batch_.empty()) return {};
    TARN_TRY(db_.Write(batch_, Durability::kProcess));
    loaded_ += batch_.count();
    progress_.Add(0, batch_.count());
    batch_.Clear();
    return {};
  }

  Context& context_;
  DB& db_;
  Progress& progress_;
  std::string shown_;
  WriteBatch batch_;
  uint64_t line_ = 0, loaded_ = 0;
};

Status Load(Context& context, const Operands& operands) {
  UniqueFd file;
  int fd = context.caller.in_fd;
  struct stat st = {};
  std::string shown = "standard input";
  if (operands[0] != "-") {
    shown = Escape(operands[0]);
    file = OpenAt(context.caller.cwd_fd, operands[0], O_RDONLY);
    if (!file.ok()) return LocalError(errno, operands[0], "check the path");
    fd = file.get();
  }
  if (fstat(fd, &st) != 0) return LocalError(errno, shown, "cannot look at it");
  TARN_ASSIGN(auto db, OpenStore(context.location, Access::kCreate, context.caller.command));
  Progress progress(context, "load", S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0, 0);
  TARN_TRY(Loader(context, *db, progress, shown).Run(fd));
  TARN_TRY(db->SyncWal());
  TARN_TRY(db->Close());
  if (!context.quiet) {
    context.out.Print("loaded {}, {} {}\n", Plural(progress.items(), "pair", "pairs"), HumanBytes(progress.bytes()),
                      RateText(progress.bytes(), progress.Seconds()));
  }
  return {};
}

}  // namespace

void AddStoreVerbs(CommandLine& line) {
  const auto plain = [&line](const char* name, const char* about, const char* operands, size_t count,
                             const char* examples, Status (*run)(Context&, const Operands&)) {
    line.Add({"Key-value store", name, about, operands, count, count, Needs::kNothing, examples}, run);
  };
  plain("kv get", "Print the value of a key", "KEY", 1, "tarn --lake /tmp/store kv get user/1", Get);
  plain("kv put", "Set a key; makes the store when it is missing", "KEY VALUE", 2,
        "tarn --lake /tmp/store kv put user/1 Ada\ntarn --lake /tmp/store kv put '\\x00\\x01' 'a\\tb'", Put);

  auto dry_run = std::make_shared<bool>(false);
  line.Add({"Key-value store", "kv del", "Delete keys, all or none", "KEY...", 1, kMany, Needs::kNothing,
            "tarn --lake /tmp/store kv del --dry-run user/1\ntarn --lake /tmp/store kv del user/1"},
           [dry_run](Context& context, const Operands& operands) { return Del(context, *dry_run, operands); })
      .Flag("--dry-run", dry_run.get(), "say what would be deleted and delete nothing");

  auto scan = std::make_shared<ScanOptions>();
  line.Add({"Key-value store", "kv scan", "List pairs in order, KEY<tab>VALUE", "", 0, 0, Needs::kNothing,
            "tarn --lake /tmp/store kv scan --prefix user/ --limit 10\n"
            "tarn --lake /tmp/store kv scan --reverse --limit 1    # the last pair"},
           [scan](Context& context, const Operands&) { return Scan(context, *scan); })
      .Option("--prefix", &scan->prefix, "BYTES", "only keys that start with it")
      .Number("--limit", &scan->limit, "N", "this many at most")
      .Flag("--reverse", &scan->reverse, "from the last key to the first")
      .Flag("--json", &scan->json, "a JSON array");

  auto count = std::make_shared<CountOptions>();
  line.Add({"Key-value store", "kv count", "Count keys", "", 0, 0, Needs::kNothing,
            "tarn --lake /tmp/store kv count --prefix user/"},
           [count](Context& context, const Operands&) { return Count(context, *count); })
      .Option("--prefix", &count->prefix, "BYTES", "only keys that start with it")
      .Flag("--json", &count->json, "one JSON object, with bytes");

  plain("kv load", "Load lines KEY<tab>VALUE from a file, or - for standard input", "FILE", 1,
        "tarn --lake /tmp/store kv load pairs.tsv\ntarn --lake /tmp/old kv scan | tarn --lake /tmp/new kv load -",
        Load);
}

}  // namespace tarn::cli
