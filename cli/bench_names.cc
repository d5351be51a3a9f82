// Steps of names: each thread has a directory of its own with its share of the files, opened before the clock starts.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include "cli/bench_content.h"
#include "cli/bench_steps.h"
#include "cli/local_fs.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

// Looking is a hundred times faster than creating; once over the files would be over before it is measured.
constexpr uint64_t kPasses = 8;
constexpr uint64_t kCheckEvery = 64;       // a user who gives up waits for this many calls
constexpr uint64_t kFilesForOneSync = 16;  // a sync takes that much longer than a create
constexpr size_t kSyncBytes = 4096;

// One thread's part.
struct Share {
  uint64_t thread = 0, count = 0;
  std::string path;
  UniqueFd dir;
};

Result<std::vector<Share>> MakeShares(const StepRun& run, uint64_t total) {
  std::vector<Share> shares(run.plan.threads);
  for (uint64_t t = 0; t < shares.size(); ++t) {
    Share& share = shares[t];
    share.thread = t;
    share.count = total * (t + 1) / shares.size() - total * t / shares.size();
    share.path = fmt::format("{}/d{}", run.directory, t);
    if (mkdir(share.path.c_str(), 0755) != 0) return LocalError(errno, share.path, "cannot make it");
    share.dir = OpenAt(AT_FDCWD, share.path, O_RDONLY | O_DIRECTORY);
    if (!share.dir.ok()) return LocalError(errno, share.path, "cannot open it");
  }
  return shares;
}

// Runs `work` on every share, each in a thread of its own; the seconds from the first to the last.
template <typename Work>
Result<double> OnEach(const StepRun& run, std::vector<Share>& shares, const Work& work) {
  std::vector<Status> ends(shares.size());
  const Stopwatch watch(run.context);
  std::vector<std::thread> threads;
  for (size_t i = 1; i < shares.size(); ++i) threads.emplace_back([&, i] { ends[i] = work(shares[i]); });
  ends[0] = work(shares[0]);
  for (std::thread& thread : threads) thread.join();
  const double seconds = watch.Seconds();
  for (const Status& end : ends) TARN_TRY(end);
  return seconds;
}

// `call` for each of the share's numbers; it returns what the system call does.
template <typename Call>
Status Repeat(const StepRun& run, const Share& share, const char* what, const Call& call) {
  for (uint64_t i = 0; i < share.count; ++i) {
    if (i % kCheckEvery == 0) TARN_TRY(run.context.Check());
    if (call(i) != 0) {
      return LocalError(errno, fmt::format("{}: {} {} of {}", share.path, what, i + 1, share.count), "it must work");
    }
  }
  return {};
}

std::string Name(char kind, uint64_t i) { return fmt::format("{}{}", kind, i); }

int CreateFile(const Share& share, uint64_t i) {
  const UniqueFd file = OpenAt(share.dir.get(), Name('f', i), O_WRONLY | O_CREAT | O_EXCL, 0644);
  return file.ok() ? 0 : -1;
}

int MakeOne(const Share& share, uint64_t i) { return mkdirat(share.dir.get(), Name('s', i).c_str(), 0755); }

// The names in a directory that start with `kind`; others are an error, and so is another number than the share's.
Status Expect(const Share& share, char kind, uint64_t count) {
  TARN_ASSIGN(const auto names, ListDirectory(share.dir.get(), share.path));
  const bool all = std::all_of(names.begin(), names.end(), [kind](const auto& name) { return name[0] == kind; });
  if (all && names.size() == count) return {};
  return Status::Corruption(fmt::format("{}: {} names where {} were left; the file system did not do what it said",
                                        Escape(share.path), names.size(), count));
}

// The whole of one step: prepare each number of each share, run and time, expect what is left.
struct NameStep {
  const char* what;
  int (*prepare)(const Share&, uint64_t);  // null: nothing
  int (*call)(const Share&, uint64_t);
  char left;   // the first letter of the names that are left
  bool empty;  // or nothing is
};

Result<double> RunNames(StepRun& run, const NameStep& step) {
  TARN_ASSIGN(auto shares, MakeShares(run, run.plan.files));
  if (step.prepare != nullptr) {
    TARN_TRY(OnEach(run, shares, [&](const Share& share) {
               return Repeat(run, share, "preparing", [&](uint64_t i) { return step.prepare(share, i); });
             }).status());
  }
  TARN_ASSIGN(const double seconds, OnEach(run, shares, [&](const Share& share) {
                return Repeat(run, share, step.what, [&](uint64_t i) { return step.call(share, i); });
              }));
  for (const Share& share : shares) TARN_TRY(Expect(share, step.left, step.empty ? 0 : share.count));
  return PerSecond(static_cast<double>(run.plan.files), seconds);
}

Status CountOnce(const Share& share) {
  // Opened anew: a directory that is read again from the same open file may come from what that remembers.
  UniqueFd own = OpenAt(AT_FDCWD, share.path, O_RDONLY | O_DIRECTORY);
  DIR* const dir = own.ok() ? fdopendir(own.get()) : nullptr;
  if (dir == nullptr) return LocalError(errno, share.path, "cannot list it");
  static_cast<void>(own.release());
  uint64_t names = 0;
  errno = 0;
  while (const struct dirent* entry = readdir(dir)) names += entry->d_name[0] == 'f' ? 1 : 0;
  const int error = errno;
  closedir(dir);
  if (error != 0) return LocalError(error, share.path, "cannot list it");
  if (names == share.count) return {};
  return Status::Corruption(fmt::format("{}: lists {} names of {}", Escape(share.path), names, share.count));
}

Status StatAll(const StepRun& run, const Share& share) {
  return Repeat(run, share, "stat", [&](uint64_t i) {
    struct stat st;
    if (fstatat(share.dir.get(), Name('f', i).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    if (S_ISREG(st.st_mode) && st.st_size == 0 && st.st_nlink == 1) return 0;
    errno = EUCLEAN;
    return -1;
  });
}

// `look` at all files of a share, kPasses times.
template <typename Look>
Result<double> RunPasses(StepRun& run, const Look& look) {
  TARN_ASSIGN(auto shares, MakeShares(run, run.plan.files));
  TARN_TRY(OnEach(run, shares, [&](const Share& share) {
             return Repeat(run, share, "preparing", [&](uint64_t i) { return CreateFile(share, i); });
           }).status());
  TARN_ASSIGN(const double seconds, OnEach(run, shares, [&](const Share& share) {
                for (uint64_t pass = 0; pass < kPasses; ++pass) {
                  TARN_TRY(run.context.Check());
                  TARN_TRY(look(share));
                }
                return Status();
              }));
  return PerSecond(static_cast<double>(run.plan.files * kPasses), seconds);
}

uint64_t SyncSeed(const StepRun& run, const Share& share) { return SeedOf(run.seed, share.thread); }

Status SyncAll(const StepRun& run, const Share& share) {
  const UniqueFd file = OpenAt(share.dir.get(), "log", O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file.ok()) return LocalError(errno, share.path, "cannot make a file in it");
  std::string bytes(kSyncBytes, '\0');
  return Repeat(run, share, "write and fsync", [&](uint64_t i) {
    FillContent(SyncSeed(run, share), i * kSyncBytes, bytes);
    const ssize_t n = pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(i * kSyncBytes));
    return n == static_cast<ssize_t>(bytes.size()) ? fsync(file.get()) : -1;
  });
}

}  // namespace

double PerSecond(double amount, double seconds) { return amount / std::max(seconds, 1e-9); }

Result<double> BenchCreate(StepRun& run) { return RunNames(run, {"create", nullptr, CreateFile, 'f', false}); }

Result<double> BenchRename(StepRun& run) {
  const auto rename_one = [](const Share& share, uint64_t i) {
    return renameat(share.dir.get(), Name('f', i).c_str(), share.dir.get(), Name('g', i).c_str());
  };
  return RunNames(run, {"rename", CreateFile, rename_one, 'g', false});
}

Result<double> BenchUnlink(StepRun& run) {
  const auto unlink_one = [](const Share& share, uint64_t i) {
    return unlinkat(share.dir.get(), Name('f', i).c_str(), 0);
  };
  return RunNames(run, {"unlink", CreateFile, unlink_one, 'f', true});
}

Result<double> BenchMkdir(StepRun& run) { return RunNames(run, {"mkdir", nullptr, MakeOne, 's', false}); }

Result<double> BenchRmdir(StepRun& run) {
  const auto remove_one = [](const Share& share, uint64_t i) {
    return unlinkat(share.dir.get(), Name('s', i).c_str(), AT_REMOVEDIR);
  };
  return RunNames(run, {"rmdir", MakeOne, remove_one, 's', true});
}

Result<double> BenchStat(StepRun& run) {
  return RunPasses(run, [&](const Share& share) { return StatAll(run, share); });
}

Result<double> BenchReadDir(StepRun& run) {
  return RunPasses(run, [](const Share& share) { return CountOnce(share); });
}

Result<double> BenchSyncWrite(StepRun& run) {
  const uint64_t syncs = std::max(run.plan.threads, run.plan.files / kFilesForOneSync);
  TARN_ASSIGN(auto shares, MakeShares(run, syncs));
  TARN_ASSIGN(const double seconds, OnEach(run, shares, [&](const Share& share) { return SyncAll(run, share); }));
  for (const Share& share : shares) {
    TARN_TRY(CheckContent(share.path + "/log", SyncSeed(run, share), share.count * kSyncBytes));
  }
  return PerSecond(static_cast<double>(syncs), seconds);
}

}  // namespace tarn::cli
