// doctor: what this machine and this lake can do, and why not. Every line is found out when asked: nothing is
// remembered or assumed. Exits 1 when something that a lake needs is missing.
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include <climits>
#include <map>

#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/wire.h"
#include "fuse/mount.h"

namespace tarn::cli {
namespace {

constexpr uint64_t kFewDescriptors = 1024;
constexpr uint64_t kLittleSpace = 1 << 30;

enum class Verdict : uint8_t { kGood, kNote, kBad };

struct Finding {
  std::string what;
  Verdict verdict;
  std::string detail;
};

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood: return "ok";
    case Verdict::kNote: return "note";
    case Verdict::kBad: return "bad";
  }
  return "bad";
}

std::string FilesystemName(long type) {
  static const auto* const kNames = new std::map<long, std::string>{
      {0xef53, "ext4"},        {0x58465342, "xfs"},  {0x9123683e, "btrfs"}, {0x01021994, "tmpfs"},
      {0x794c7630, "overlay"}, {0x6969, "nfs"},      {0x2fc12fc1, "zfs"},   {0x65735546, "fuse"},
      {0x01021997, "9p"},      {0xff534d42, "cifs"}, {0xf2f52010, "f2fs"}};
  const auto found = kNames->find(type);
  return found != kNames->end() ? found->second : fmt::format("type {:#x}", type);
}

class Doctor {
 public:
  explicit Doctor(Context& context) : context_(context) {}

  std::vector<Finding> Examine() {
    Kernel();
    Descriptors();
    Reading();
    Fuse();
    if (!context_.location.empty()) Lake();
    return std::move(findings_);
  }

 private:
  void Add(std::string what, Verdict verdict, std::string detail) {
    findings_.push_back({std::move(what), verdict, std::move(detail)});
  }

  void Kernel() {
    struct utsname name;
    if (uname(&name) != 0) return Add("kernel", Verdict::kBad, "uname fails");
    Add("kernel", Verdict::kGood, fmt::format("{} {} {}", name.sysname, name.release, name.machine));
  }

  void Descriptors() {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Add("open files", Verdict::kBad, "getrlimit fails");
    const bool few = limit.rlim_max <= kFewDescriptors;
    Add("open files", few ? Verdict::kNote : Verdict::kGood,
        fmt::format("{} now, {} at most{}", limit.rlim_cur, limit.rlim_max, few ? "; raise it with ulimit -Hn" : ""));
  }

  // The backend itself says how it reads and why; "/" serves when there is no lake to ask about.
  void Reading() {
    auto directory =
        context_.location.empty() ? Result<std::string>(std::string("/")) : DirectoryOf(context_.location);
    auto backend = directory.ok() ? OpenBackend(*directory) : directory.status();
    if (!backend.ok()) backend = OpenBackend("/");
    if (!backend.ok()) return Add("reads", Verdict::kBad, std::string(backend.status().message()));
    const std::string engine = (*backend)->info().read_engine;
    Add("reads", engine.starts_with("io_uring") ? Verdict::kGood : Verdict::kNote, engine);
  }

  void Fuse() {
    auto fuse = fuse::FuseAvailable();
    Add("mount", fuse.ok() ? Verdict::kGood : Verdict::kNote,
        fuse.ok() ? *fuse : std::string(fuse.status().message()));
  }

  void Lake() {
    auto directory = DirectoryOf(context_.location);
    auto found = directory.ok() ? LookAt(*directory) : directory.status();
    if (!found.ok()) return Add("lake", Verdict::kBad, std::string(found.status().message()));
    if (*found != Found::kStore)
      return Add("lake", Verdict::kBad, std::string(NoLakeAt(context_.location).message()));
    Space(*directory);
    Holder(*directory);
  }

  void Space(const std::string& directory) {
    struct statfs fs;
    if (statfs(directory.c_str(), &fs) != 0) return Add("file system", Verdict::kBad, "statfs fails");
    const uint64_t unit = static_cast<uint64_t>(fs.f_bsize);
    Add("file system", Verdict::kGood, FilesystemName(static_cast<long>(fs.f_type)));
    Add("free space", fs.f_bavail * unit < kLittleSpace ? Verdict::kNote : Verdict::kGood,
        fmt::format("{} of {}", HumanBytes(fs.f_bavail * unit), HumanBytes(fs.f_blocks * unit)));
  }

  // Opening is the test that matters: it takes the lock, reads the manifest and replays the log.
  void Holder(const std::string& directory) {
    auto socket = ConnectTo(directory);
    if (socket.ok()) {
      auto peer = PeerOf(socket->get());
      return Add("lake", Verdict::kGood,
                 peer.ok() ? fmt::format("served by pid {}; verbs go through it", peer->pid) : "served");
    }
    auto lake = OpenLake(context_.location, Access::kWrite, context_.caller.command);
    if (lake.ok()) {
      const Status closed = (*lake)->Close();
      return Add("lake", closed.ok() ? Verdict::kGood : Verdict::kBad,
                 closed.ok() ? "opens; nobody else holds it" : std::string(closed.message()));
    }
    Add("lake", lake.status().code() == Code::kBusy ? Verdict::kNote : Verdict::kBad,
        std::string(lake.status().message()));
  }

  Context& context_;
  std::vector<Finding> findings_;
};

Status RunDoctor(Context& context, bool json) {
  const std::vector<Finding> findings = Doctor(context).Examine();
  uint64_t bad = 0;
  JsonArray array(context.out);
  for (const Finding& finding : findings) {
    if (finding.verdict == Verdict::kBad) ++bad;
    if (json) {
      Json object;
      object["what"] = finding.what;
      object["verdict"] = VerdictName(finding.verdict);
      SetName(&object, "detail", finding.detail);
      array.Add(object);
    } else {
      context.out.Print("{:<12} {:<5} {}\n", finding.what, VerdictName(finding.verdict),
                        EscapeControls(finding.detail));
    }
  }
  if (json) array.Finish();
  if (bad == 0) return {};
  return Status::Io(fmt::format("{} found; see the lines marked bad", Plural(bad, "problem", "problems")));
}

}  // namespace

void AddDoctorVerb(CommandLine& line) {
  auto json = std::make_shared<bool>(false);
  line.Add({"Lake", "doctor", "What this machine and this lake can do, and why not", "", 0, 0, Needs::kNothing,
            "tarn doctor\ntarn --lake ~/lake doctor --json"},
           [json](Context& context, const Operands&) { return RunDoctor(context, *json); })
      .Flag("--json", json.get(), "a JSON array of findings");
}

}  // namespace tarn::cli
