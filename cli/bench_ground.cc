#include "cli/bench_ground.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/bench_program.h"
#include "cli/local_fs.h"
#include "cli/session_place.h"
#include "cli/store.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPrivate = 0700;

Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), kPrivate) == 0) return {};
  return LocalError(errno, path, "cannot make it");
}

Status DeleteTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? LocalError(error.value(), path, "cannot remove it; remove it by hand") : Status();
}

std::string LastLineOf(const std::string& path) {
  std::ifstream in(path);
  std::string last;
  for (std::string line; std::getline(in, line);) last = line;
  return last;
}

}  // namespace

Status DropFromCache(const std::string& file) {
  const UniqueFd fd = OpenAt(AT_FDCWD, file, O_RDONLY);
  if (!fd.ok()) return LocalError(errno, file, "cannot open it");
  const int error = posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  return error == 0 ? Status() : LocalError(error, file, "cannot drop it from the cache");
}

Result<std::unique_ptr<BenchGround>> BenchGround::Make(Context& context, const std::string& directory,
                                                       const std::string& lake_location) {
  std::unique_ptr<BenchGround> ground(new BenchGround(context));
  Status made = ground->MakeDirectories(directory, lake_location);
  if (made.ok()) made = ground->StartSession();
  if (!made.ok()) return made;
  return ground;
}

Status BenchGround::MakeDirectories(const std::string& directory, const std::string& lake_location) {
  const UniqueFd above = OpenAt(context_.caller.cwd_fd, directory, O_PATH | O_DIRECTORY);
  if (!above.ok()) return LocalError(errno, directory, "name a directory that exists with --dir");
  std::string path = PathOf(above.get()) + "/tarn-bench-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return LocalError(errno, directory, "name one that you may write with --dir");
  top_ = path;
  for (const std::string& made : {native(), mount(), scratch()}) TARN_TRY(MakeDirectory(made));
  TARN_ASSIGN(std::string lake,
              lake_location.empty() ? Result<std::string>(top_ + "/lake") : DirectoryOf(lake_location));
  TARN_ASSIGN(const Found found, LookAt(lake));
  if (found != Found::kMissing && found != Found::kEmpty) {
    return {Code::kInvalid,
            fmt::format("{}: something is there; name a directory that is missing or empty with --lake, or leave it "
                        "out: the lake is made for the measurement and removed",
                        Escape(lake)),
            ENOTEMPTY};
  }
  if (found == Found::kMissing) {
    if (mkdir(lake.c_str(), kPrivate) != 0)
      return LocalError(errno, lake, "make the directory above it, or leave --lake out");
    made_lake_directory_ = true;
  }
  char resolved[PATH_MAX];
  if (realpath(lake.c_str(), resolved) == nullptr) return LocalError(errno, lake, "check the path");
  plan_.location = plan_.lake_directory = plan_.place = plan_.mount.fsname = resolved;
  plan_.mount.mountpoint = mount();
  TARN_ASSIGN(const auto fresh, InitLake(plan_.location, context_.caller.command));
  return fresh->Close();
}

Status BenchGround::StartSession() {
  const pid_t parent = getpid();
  const auto serve = [&](const std::function<void()>& ready) -> Status {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return Status::Unavailable("the program that wanted the mount is gone");
    return RunSession(context_, plan_, ready);
  };
  TARN_ASSIGN(session_, Daemonize(LogIn(plan_.place), serve));
  struct stat st;
  if (stat(mount().c_str(), &st) == 0) return {};
  return LocalError(errno, mount(), "the mount ended at once");
}

// The session unmounts by itself when it is told to stop, also when a program is still in the mount.
Status BenchGround::EndSession() {
  if (session_ == 0) return {};
  const pid_t pid = std::exchange(session_, 0);
  kill(pid, SIGTERM);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  TARN_TRY(TakeMountAway());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string log = LastLineOf(plan_.lake_directory + "/mount.log");
  return Status::Io(fmt::format("the process of the mount failed ({} {}): {}",
                                WIFEXITED(status) ? "exit code" : "signal",
                                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), EscapeControls(log)));
}

// After the session there is a mount only if it died of a signal.
Status BenchGround::TakeMountAway() {
  if (rmdir(mount().c_str()) != 0) {
    if (umount2(mount().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      TARN_TRY(RunProgram(context_, {"fusermount3", "-u", "-z", "--", mount()}, scratch(), scratch()).status());
    }
    if (rmdir(mount().c_str()) != 0) return LocalError(errno, mount(), "unmount it by hand");
  }
  return MakeDirectory(mount());
}

Status BenchGround::MountCold() {
  TARN_TRY(EndSession());
  std::error_code error;
  for (fs::recursive_directory_iterator it(plan_.lake_directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_regular_file(error)) TARN_TRY(DropFromCache(it->path().string()));
  }
  if (error) return LocalError(error.value(), plan_.lake_directory, "cannot look for the lake's files");
  return StartSession();
}

Status BenchGround::Remove() {
  removed_ = true;
  if (top_.empty()) return {};
  const Status ended = EndSession();
  // With the mount still there, removing would go through it.
  if (rmdir(mount().c_str()) != 0 && errno != ENOENT) {
    return ended.ok() ? LocalError(errno, mount(), "unmount it by hand, then remove the directory") : ended;
  }
  if (!plan_.location.empty()) {
    std::error_code error;
    for (fs::directory_iterator it(plan_.location, error), end; !error && it != end; it.increment(error)) {
      TARN_TRY(DeleteTree(it->path().string()));
    }
    if (made_lake_directory_) TARN_TRY(DeleteTree(plan_.location));
  }
  TARN_TRY(DeleteTree(top_));
  return ended;
}

BenchGround::~BenchGround() {
  if (!removed_) static_cast<void>(Remove());  // there is an error already, which tells more
}

}  // namespace tarn::cli
