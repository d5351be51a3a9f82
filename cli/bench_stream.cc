// Steps of one large file: streams by our own calls of 1 MiB, random I/O by fio.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/bench_content.h"
#include "cli/bench_program.h"
#include "cli/bench_steps.h"
#include "cli/local_fs.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr uint64_t kCallBytes = 1 << 20;
constexpr double kMiB = 1 << 20;
constexpr uint64_t kPageBytes = 4096;
// fio reports milliseconds: fewer calls than this would be over in too few of them.
constexpr uint64_t kFewestRandom = 1024;
constexpr int kLongestSeconds = 10;  // of one random step on a slow device

// Writes the file of this step; the seconds of the calls alone, without the making of the bytes.
Result<double> WriteTimed(const StepRun& run, const std::string& path) {
  const UniqueFd file = OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file.ok()) return LocalError(errno, path, "cannot make it");
  double seconds = 0;
  std::string bytes;
  for (uint64_t at = 0; at < run.plan.file_bytes; at += bytes.size()) {
    TARN_TRY(run.context.Check());
    bytes.resize(std::min(kCallBytes, run.plan.file_bytes - at));
    FillContent(run.seed, at, bytes);
    const Stopwatch watch(run.context);
    TARN_TRY(WriteAll(file.get(), bytes, at, path));
    seconds += watch.Seconds();
  }
  const Stopwatch watch(run.context);
  if (fsync(file.get()) != 0) return LocalError(errno, path, "cannot sync it");
  return seconds + watch.Seconds();
}

Result<double> ReadTimed(const StepRun& run, const std::string& path) {
  std::vector<char> buffer(kCallBytes);
  const Stopwatch watch(run.context);
  const UniqueFd file = OpenAt(AT_FDCWD, path, O_RDONLY);
  if (!file.ok()) return LocalError(errno, path, "it was just written");
  uint64_t done = 0;
  while (done < run.plan.file_bytes) {
    TARN_TRY(run.context.Check());
    const ssize_t n = ReadSome(file.get(), buffer, done);
    if (n < 0) return LocalError(errno, path, "cannot read it");
    if (n == 0) break;
    done += static_cast<uint64_t>(n);
  }
  const double seconds = watch.Seconds();
  if (done == run.plan.file_bytes) return seconds;
  return Status::Corruption(fmt::format("{}: {} bytes of {}", Escape(path), done, run.plan.file_bytes));
}

struct FioResult {
  double per_second = 0;
  uint64_t calls = 0;
};

// `side` is "read" or "write".
Result<FioResult> ReadReport(const std::string& report, const char* side) {
  const Json all = Json::parse(report, nullptr, false);
  const Json none = Json::object();
  const Json job = all.is_object() && all.contains("jobs") && all["jobs"].size() == 1 ? all["jobs"][0] : none;
  const Json part = job.contains(side) ? job[side] : none;
  FioResult result;
  result.calls = part.value("total_ios", uint64_t{0});
  result.per_second = part.value("iops", 0.0);
  const bool complete = job.value("error", 1) == 0 && result.calls > 0 && result.per_second > 0 &&
                        part.value("io_bytes", uint64_t{0}) == result.calls * kPageBytes;
  if (complete) return result;
  return Status::Io("fio: its report lacks calls that were made in measurable time; give it more with --files");
}

Result<FioResult> RunFio(const StepRun& run, const char* side) {
  const uint64_t calls = std::max(kFewestRandom, run.plan.files) / run.plan.threads;
  // Relative, because a colon in a path would separate files.
  std::vector<std::string> argv = {"fio",
                                   "--name=random",
                                   "--filename=file",
                                   fmt::format("--rw=rand{}", side),
                                   fmt::format("--bs={}", kPageBytes),
                                   "--ioengine=psync",
                                   fmt::format("--direct={}", run.direct ? 1 : 0),
                                   fmt::format("--size={}", run.plan.file_bytes),
                                   fmt::format("--io_size={}", calls * kPageBytes),
                                   fmt::format("--numjobs={}", run.plan.threads),
                                   "--thread",
                                   "--group_reporting",
                                   "--norandommap",
                                   fmt::format("--randseed={}", run.seed >> 1),
                                   "--refill_buffers",
                                   "--allow_file_create=0",
                                   "--fallocate=none",
                                   fmt::format("--runtime={}", kLongestSeconds),
                                   "--output-format=json"};
  // Native writes without it would only have reached the page cache, or the cache of the disk.
  if (std::strcmp(side, "write") == 0) argv.emplace_back("--end_fsync=1");
  TARN_ASSIGN(const std::string report, RunProgram(run.context, argv, run.directory, run.scratch));
  return ReadReport(report, side);
}

// How many pages of the file are no longer what WriteTimed wrote. Its size is the same.
Result<uint64_t> ChangedPages(const StepRun& run, const std::string& path) {
  const UniqueFd file = OpenAt(AT_FDCWD, path, O_RDONLY);
  struct stat st;
  if (!file.ok() || fstat(file.get(), &st) != 0) return LocalError(errno, path, "it was just written");
  if (static_cast<uint64_t>(st.st_size) != run.plan.file_bytes) {
    return Status::Corruption(fmt::format("{}: {} bytes of {}", Escape(path), st.st_size, run.plan.file_bytes));
  }
  std::vector<char> want(kPageBytes), got(kPageBytes);
  uint64_t changed = 0;
  for (uint64_t at = 0; at < run.plan.file_bytes; at += kPageBytes) {
    FillContent(run.seed, at, want);
    if (ReadSome(file.get(), got, at) != static_cast<ssize_t>(kPageBytes)) {
      return LocalError(EIO, path, "cannot read it back");
    }
    changed += want == got ? 0 : 1;
  }
  return changed;
}

}  // namespace

Result<double> BenchWrite(StepRun& run) {
  const std::string path = run.directory + "/file";
  TARN_ASSIGN(const double seconds, WriteTimed(run, path));
  TARN_TRY(CheckContent(path, run.seed, run.plan.file_bytes));
  return PerSecond(static_cast<double>(run.plan.file_bytes) / kMiB, seconds);
}

Result<double> BenchRead(StepRun& run) {
  const std::string path = run.directory + "/file";
  TARN_TRY(WriteTimed(run, path).status());
  TARN_TRY(run.chill(path));
  TARN_ASSIGN(const double seconds, ReadTimed(run, path));
  TARN_TRY(CheckContent(path, run.seed, run.plan.file_bytes));
  return PerSecond(static_cast<double>(run.plan.file_bytes) / kMiB, seconds);
}

Result<double> BenchRandomRead(StepRun& run) {
  const std::string path = run.directory + "/file";
  TARN_TRY(WriteTimed(run, path).status());
  TARN_TRY(run.chill(path));
  TARN_ASSIGN(const FioResult fio, RunFio(run, "read"));
  TARN_TRY(CheckContent(path, run.seed, run.plan.file_bytes));
  return fio.per_second;
}

Result<double> BenchRandomWrite(StepRun& run) {
  const std::string path = run.directory + "/file";
  TARN_TRY(WriteTimed(run, path).status());
  TARN_ASSIGN(const FioResult fio, RunFio(run, "write"));
  TARN_ASSIGN(const uint64_t changed, ChangedPages(run, path));
  if (changed > 0 && changed <= fio.calls) return fio.per_second;
  return Status::Corruption(
      fmt::format("{}: {} pages changed by {} writes of one page", Escape(path), changed, fio.calls));
}

}  // namespace tarn::cli
