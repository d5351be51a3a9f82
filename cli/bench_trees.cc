// Steps of whole trees, done by the programs that people use for them. What they read lies on the native file system
// in the scratch directory, in the page cache: the same for both sides.
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "cli/bench_content.h"
#include "cli/bench_program.h"
#include "cli/bench_steps.h"

namespace tarn::cli {
namespace {

namespace fs = std::filesystem;

bool Exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}

Status Delete(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? LocalError(error.value(), path, "cannot remove it") : Status();
}

Status Run(const StepRun& run, const std::vector<std::string>& argv, const std::string& directory) {
  return RunProgram(run.context, argv, directory, run.scratch).status();
}

struct Tarball {
  std::string tree, file;
};

// This round's tree and its tar. Other bytes in each round, or the lake would know them all by the second one; a
// tree of the user's is what it is.
Result<Tarball> MakeTarball(const StepRun& run) {
  const std::string id = run.plan.source.empty() ? fmt::format("{:016x}", run.seed) : "source";
  const std::string place = run.scratch + "/tar";
  const Tarball made = {run.plan.source.empty() ? place + "/tree" : run.plan.source, place + "/" + id + ".tar"};
  if (Exists(made.file)) return made;
  TARN_TRY(Delete(place));
  if (mkdir(place.c_str(), 0700) != 0) return LocalError(errno, place, "cannot make it");
  if (run.plan.source.empty()) TARN_TRY(MakeTree(run.context, made.tree, run.seed, run.plan.files));
  TARN_TRY(Run(run, {"tar", "--create", "--file", made.file, "--directory", made.tree, "."}, place));
  return made;
}

Status Extract(const StepRun& run, const Tarball& tarball, const std::string& into) {
  if (mkdir(into.c_str(), 0755) != 0) return LocalError(errno, into, "cannot make it");
  return Run(run, {"tar", "--extract", "--file", tarball.file}, into);
}

// A repository with one commit, made once. Every clone of it is of the same bytes; a lake stores them once, as it
// would for a second clone of anything, but not in the same blocks: git packs them.
Result<std::string> MakeRepository(const StepRun& run) {
  std::string place = run.scratch + "/repository";
  if (Exists(place)) return place;
  const std::string making = place + ".new";
  TARN_TRY(Delete(making));
  TARN_TRY(MakeTree(run.context, making, 1, run.plan.files));
  TARN_TRY(Run(run, {"git", "init", "--quiet", "--template="}, making));
  TARN_TRY(Run(run, {"git", "add", "--all"}, making));
  TARN_TRY(Run(run,
               {"git", "-c", "user.name=tarn", "-c", "user.email=tarn@localhost", "-c", "gc.auto=0", "commit",
                "--quiet", "--no-gpg-sign", "--message=all"},
               making));
  TARN_TRY(Run(run, {"git", "repack", "-a", "-d", "--quiet"}, making));
  if (rename(making.c_str(), place.c_str()) != 0) return LocalError(errno, place, "cannot rename it");
  return place;
}

}  // namespace

Result<double> BenchUntar(StepRun& run) {
  TARN_ASSIGN(const Tarball tarball, MakeTarball(run));
  TARN_ASSIGN(const uint64_t names, CountTree(tarball.tree, ""));
  const std::string into = run.directory + "/tree";
  const Stopwatch watch(run.context);
  TARN_TRY(Extract(run, tarball, into));
  const double seconds = watch.Seconds();
  TARN_TRY(SameTree(run.context, tarball.tree, into, ""));
  return PerSecond(static_cast<double>(names), seconds);
}

Result<double> BenchClone(StepRun& run) {
  TARN_ASSIGN(const std::string repository, MakeRepository(run));
  TARN_ASSIGN(const uint64_t names, CountTree(repository, ".git"));
  const Stopwatch watch(run.context);
  // Not --local, which would make hard links of what lies on the same file system.
  TARN_TRY(Run(run, {"git", "clone", "--quiet", "--no-local", "--template=", repository, "clone"}, run.directory));
  const double seconds = watch.Seconds();
  TARN_TRY(SameTree(run.context, repository, run.directory + "/clone", ".git"));
  return PerSecond(static_cast<double>(names), seconds);
}

Result<double> BenchRemoveTree(StepRun& run) {
  TARN_ASSIGN(const Tarball tarball, MakeTarball(run));
  const std::string tree = run.directory + "/tree";
  TARN_TRY(Extract(run, tarball, tree));
  TARN_ASSIGN(const uint64_t names, CountTree(tree, ""));
  const Stopwatch watch(run.context);
  TARN_TRY(Run(run, {"rm", "-rf", "tree"}, run.directory));
  const double seconds = watch.Seconds();
  if (Exists(tree)) return Status::Corruption(fmt::format("{}: still there after rm -rf", tree));
  return PerSecond(static_cast<double>(names), seconds);
}

}  // namespace tarn::cli
