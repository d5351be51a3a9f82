// The process `tarn`: sets up the world for one command line, finds out who holds the lake, and runs the verb here or
// there. Everything else is in the verbs.
//
// A first Ctrl-C asks the verb to stop at the next safe place; a second one ends the process (a lake survives that).
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "cli/app.h"
#include "cli/context.h"
#include "cli/forward.h"
#include "cli/run.h"
#include "cli/session_place.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/wire.h"

namespace tarn::cli {
namespace {

std::atomic<bool> g_cancelled{false};
static_assert(std::atomic<bool>::is_always_lock_free, "it is set in a signal handler");

extern "C" void OnStopSignal(int) { g_cancelled.store(true); }

void SetUpSignals() {
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write(2)
  struct sigaction action = {};
  action.sa_handler = OnStopSignal;
  action.sa_flags = SA_RESETHAND;  // the second one kills
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

// So that a file we open never becomes somebody's standard output.
void SetUpDescriptors() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
  if (fd >= 0) close(fd);
  // Trees are walked with one descriptor for each level.
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

Result<std::string> AbsoluteDirectory(const std::string& location) {
  TARN_ASSIGN(const std::string directory, DirectoryOf(location));
  TARN_ASSIGN(const Found found, LookAt(directory));
  if (found != Found::kStore) return NoLakeAt(location);
  char resolved[PATH_MAX];
  if (realpath(directory.c_str(), resolved) == nullptr) return LocalError(errno, directory, "check the path");
  return std::string(resolved);
}

Result<int> ForwardTo(Context& context, const std::string& place, const std::vector<std::string>& args) {
  TARN_ASSIGN(UniqueFd socket, ConnectTo(place));
  return Forward(std::move(socket), place, args, context.location, context.caller.cwd_fd, g_cancelled);
}

// Where the process would listen that holds the lake; sets the lake's directory, if it has one.
Result<std::string> FindPlace(Context& context) {
  if (IsBucket(context.location)) return WriterPlaceOf(context.location);
  TARN_ASSIGN(context.lake_directory, AbsoluteDirectory(context.location));
  return context.lake_directory;
}

int RunOnLake(Context& context, const Parsed& parsed, const std::vector<std::string>& args) {
  const Result<std::string> place = FindPlace(context);
  if (!place.ok() && !IsBucket(context.location)) return Conclude(context, parsed.verb, place.status());
  // Somebody without a home directory mounts no bucket, and works on one all the same.
  Result<int> forwarded = place.ok() ? ForwardTo(context, *place, args) : Status::NotFound("no place for a mount");
  if (forwarded.ok()) return *forwarded;
  if (forwarded.status().code() != Code::kNotFound) return Conclude(context, parsed.verb, forwarded.status());
  const Access access = parsed.invocation->needs == Needs::kLakeToRead ? Access::kRead : Access::kWrite;
  auto lake = OpenLake(context.location, access, context.caller.command);
  if (lake.status().code() == Code::kBusy && !IsBucket(context.location)) {
    // It may have been a mount that was just starting when we knocked.
    forwarded = ForwardTo(context, *place, args);
    if (forwarded.ok()) return *forwarded;
  }
  if (lake.ok()) context.lake = lake->get();
  // Closed before the verb's end is told: what is reported as done is on the device.
  Parsed closing = parsed;
  closing.invocation->run = [&](Context& inner) {
    TARN_TRY(lake.status());
    const Status done = parsed.invocation->run(inner);
    inner.DropViews();
    const Status closed = (*lake)->Close();
    return done.ok() ? closed : done;
  };
  return RunParsed(context, closing);
}

int Main(int argc, char** argv) {
  SetUpDescriptors();
  SetUpSignals();
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  Context context(STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, &g_cancelled, false);
  context.caller.uid = getuid();
  context.caller.gid = getgid();
  context.caller.who = WhoIs(getuid());
  context.caller.command = CommandText(args);
  context.caller.width = ColumnsOf(STDERR_FILENO);
  const UniqueFd cwd = OpenAt(AT_FDCWD, ".", O_PATH | O_DIRECTORY);
  // In a directory that is gone every relative path fails by itself; absolute ones work.
  context.caller.cwd_fd = cwd.ok() ? cwd.get() : AT_FDCWD;
  const Parsed parsed = CommandLine().Parse(args);
  const char* environment = getenv("TARN_LAKE");
  if (parsed.invocation.has_value()) {
    context.location = parsed.invocation->location;
    context.lake_was_named = !context.location.empty();
    if (context.location.empty() && environment != nullptr) context.location = environment;
    if (parsed.invocation->needs != Needs::kNothing) return RunOnLake(context, parsed, args);
  }
  return RunParsed(context, parsed);
}

}  // namespace
}  // namespace tarn::cli

int main(int argc, char** argv) { return tarn::cli::Main(argc, argv); }
