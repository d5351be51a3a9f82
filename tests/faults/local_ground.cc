// The ground on a disk: the real local backend over a real directory, where each system call can fail.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "backends/local/local_internal.h"
#include "tests/faults/faulty_file_ops.h"
#include "tests/faults/ground.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

bool Any(SysCall) { return true; }
bool Opens(SysCall call) {
  return call <= SysCall::kOpenLock || call == SysCall::kSyncDirectory || call == SysCall::kList;
}
bool Names(SysCall call) {
  return call <= SysCall::kOpenLock || (call >= SysCall::kRename && call <= SysCall::kMakeDirectory);
}
bool Changes(SysCall call) {
  return call == SysCall::kCreate || call == SysCall::kWrite || call == SysCall::kSync ||
         (call >= SysCall::kRename && call <= SysCall::kSyncDirectory);
}
bool TakesSpace(SysCall call) { return Changes(call) && call != SysCall::kUnlink; }
bool Moves(SysCall call) { return call == SysCall::kRead || call == SysCall::kWrite; }

struct Kind {
  std::string name;
  SystemFault fault;
  std::set<Code> codes;  // that may be reported; none: it is no error
};

const std::vector<Kind>& AllKinds() {
  constexpr Transfer kWhole = Transfer::kWhole;
  static const std::vector<Kind> kinds = {
      {"EIO once", {EIO, kWhole, false, false, &Any}, {Code::kIo}},
      {"EIO for ever", {EIO, kWhole, true, false, &Any}, {Code::kIo}},
      {"EIO although it happened", {EIO, kWhole, false, true, &Changes}, {Code::kIo}},
      {"NoSpace: ENOSPC once", {ENOSPC, kWhole, false, false, &TakesSpace}, {Code::kNoSpace}},
      {"NoSpace: ENOSPC for ever", {ENOSPC, kWhole, true, false, &TakesSpace}, {Code::kNoSpace}},
      {"EMFILE once", {EMFILE, kWhole, false, false, &Opens}, {Code::kIo}},
      {"EMFILE for ever", {EMFILE, kWhole, true, false, &Opens}, {Code::kIo}},
      {"EROFS for ever", {EROFS, kWhole, true, false, &Changes}, {Code::kInvalid}},
      {"EACCES once", {EACCES, kWhole, false, false, &Names}, {Code::kInvalid}},
      {"EINTR once", {EINTR, kWhole, false, false, &Any}, {Code::kUnavailable}},
      {"one byte once", {0, Transfer::kOneByte, false, false, &Moves}, {}},
      {"half for ever", {0, Transfer::kHalf, true, false, &Moves}, {}},
      {"nothing once", {0, Transfer::kNothing, false, false, &Moves}, {Code::kIo, Code::kCorruption}},
  };
  return kinds;
}

uint64_t OpenDescriptors() {
  return static_cast<uint64_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// Without faults.
std::shared_ptr<Backend> Opened(const std::string& path) {
  auto opened = local::OpenLocalWith(std::make_shared<FaultyFileOps>(), path, {.allow_io_uring = false});
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  return opened.ok() ? *opened : nullptr;
}

class LocalGround final : public Ground {
 public:
  explicit LocalGround(const std::string& image) {
    fs::create_directory(Path(""));
    if (!image.empty()) fs::copy(image, Path("store"), fs::copy_options::recursive);
  }

  void Arm(size_t kind, uint64_t nth) override { ops_->Arm(&AllKinds()[kind].fault, nth); }
  void Disarm() override { ops_->Arm(nullptr, 0); }
  uint64_t calls() const override { return ops_->calls(); }
  uint64_t fired() const override { return ops_->fired(); }
  bool hit_log() const override { return ops_->hit_log(); }
  bool hit_publish() const override { return ops_->hit_publish(); }

  std::string Objection(size_t kind, const Status& error) const override {
    const Kind& wanted = AllKinds()[kind];
    if (wanted.codes.empty()) return "a short transfer is no error";
    if (!wanted.codes.contains(error.code())) return "a code that this errno does not mean";
    if (wanted.fault.error != 0 && error.os_error() != wanted.fault.error) return "the errno was lost";
    const std::string text(error.message());
    if (text.find(directory_.path()) == std::string::npos) return "no file is named";
    // FileError: "cannot <what> <path>: <why>: <next step>". PastTheEnd: "<path> ends ...: <next step>".
    const size_t path = text.find(directory_.path());
    const auto colons = std::count(text.begin() + static_cast<ptrdiff_t>(path), text.end(), ':');
    if (colons < (error.code() == Code::kCorruption ? 1 : 2)) return "no next step is told";
    return {};
  }

  Result<std::shared_ptr<Backend>> Store(bool read_only) override {
    return local::OpenLocalWith(ops_, Path("store"), {.read_only = read_only, .allow_io_uring = false});
  }
  Result<std::shared_ptr<Backend>> Target() override {
    target_ = Path("target" + std::to_string(targets_++));
    return local::OpenLocalWith(ops_, target_, {.allow_io_uring = false});
  }
  std::shared_ptr<Backend> After(Ending ending, uint64_t) override {
    if (ending == Ending::kDestroyed) return Opened(Path("store"));
    // A living process holds the lock of the directory; the one that comes after a kill finds its files.
    const std::string copy = Path("copy");
    fs::remove_all(copy);
    if (fs::exists(Path("store"))) fs::copy(Path("store"), copy, fs::copy_options::recursive);
    return Opened(copy);
  }
  std::shared_ptr<Backend> TargetAfter() override { return Opened(target_); }
  std::vector<Ending> endings() const override { return {Ending::kDestroyed, Ending::kKilled}; }

  std::string Leftovers() const override {
    std::string left;
    for (const auto& [fd, path] : ops_->open_files()) left += "open: " + path + "\n";
    if (OpenDescriptors() != descriptors_) left += "descriptors of unknown files\n";
    for (const std::string top : {"store", "copy"}) {
      if (!fs::exists(Path(top))) continue;
      for (const auto& entry : fs::recursive_directory_iterator(Path(top))) {
        const std::string name = entry.path().filename();
        if (name.starts_with(".TMP")) left += "temporary: " + entry.path().string() + "\n";
      }
    }
    return left;
  }

 private:
  // One level deeper than need be, because opening syncs the directories around a store and names them.
  std::string Path(const std::string& below) const { return directory_.path() + "/place/" + below; }

  const TempDirectory directory_;
  const uint64_t descriptors_ = OpenDescriptors();
  const std::shared_ptr<FaultyFileOps> ops_ = std::make_shared<FaultyFileOps>();
  std::string target_;
  uint64_t targets_ = 0;
};

// Where TempDirectory puts its directories: in memory if there is a place, because ext4 takes its time to make files
// where thousands were just deleted. Whoever sets TEST_TMPDIR has the last word.
bool PreferMemory() { return !fs::is_directory("/dev/shm") || setenv("TEST_TMPDIR", "/dev/shm", 0) == 0; }

class LocalGrounds final : public Grounds {
 public:
  LocalGrounds() {
    EXPECT_TRUE(in_memory_);
    for (const Kind& kind : AllKinds()) names_.push_back(kind.name);
  }
  const std::vector<std::string>& kinds() const override { return names_; }
  std::unique_ptr<Ground> Empty() override { return std::make_unique<LocalGround>(""); }
  std::unique_ptr<Ground> FromImage(const std::string& image) override {
    return std::make_unique<LocalGround>(directory_.path() + "/" + image);
  }
  std::shared_ptr<Backend> Workshop() override { return Opened(directory_.path() + "/workshop"); }
  void Keep(const std::string& image) override {
    fs::copy(directory_.path() + "/workshop", directory_.path() + "/" + image, fs::copy_options::recursive);
  }

 private:
  std::vector<std::string> names_;
  const bool in_memory_ = PreferMemory();  // before the directory
  const TempDirectory directory_;
};

}  // namespace

std::unique_ptr<Grounds> NewLocalGrounds() { return std::make_unique<LocalGrounds>(); }

}  // namespace tarn::test
