#include "cli/mount_session.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/coding.h"
#include "cli/every.h"
#include "cli/local_fs.h"
#include "cli/serve.h"
#include "cli/session_place.h"
#include "cli/store.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

// What the child tells its parent through the pipe: one byte of code (0: ready), fixed32 errno, the message.
std::string Encode(const Status& status) {
  std::string out(1, static_cast<char>(status.code()));
  PutFixed32(&out, static_cast<uint32_t>(status.os_error()));
  return out.append(status.message());
}

void Tell(int fd, const Status& status) {
  const std::string bytes = Encode(status);
  // Less than PIPE_BUF in all but absurd cases; a parent that is gone needs nothing.
  static_cast<void>(write(fd, bytes.data(), bytes.size()) > 0);
}

Status ReadReport(int fd, const std::string& log) {
  std::string bytes(1 << 16, '\0');
  TARN_ASSIGN(const size_t n, ReadStream(fd, bytes, "pipe"));
  if (n < 5) return Status::Io("the background process ended without a word; see " + Escape(log));
  const auto code = static_cast<Code>(bytes[0]);
  return {code, bytes.substr(5, n - 5), static_cast<int>(DecodeFixed32(bytes.data() + 1))};
}

// In the child: away from the terminal, the working directory and the caller's descriptors.
void Detach(const std::string& log) {
  setsid();
  if (chdir("/") != 0) _exit(kExitFailed);
  const UniqueFd null = OpenAt(AT_FDCWD, "/dev/null", O_RDWR);
  const UniqueFd file = OpenAt(AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(null.get(), STDIN_FILENO);
  dup2(file.ok() ? file.get() : null.get(), STDOUT_FILENO);
  dup2(file.ok() ? file.get() : null.get(), STDERR_FILENO);
}

void LogLine(Context& context, const std::string& text) {
  context.err.Print("{} pid {}: {}\n", TimeText(static_cast<int64_t>(context.clock->WallNanos())), getpid(),
                    EscapeControls(text));
  static_cast<void>(context.err.Flush());  // a log on a full disk does not stop the mount
}

// Calls `work` every so many seconds; of a row of the same errors the first goes to the log. Null for 0 seconds.
std::unique_ptr<Every> EachTime(Context& context, uint64_t seconds, std::string what, std::function<Status()> work) {
  if (seconds == 0) return nullptr;
  const auto step = [&context, what = std::move(what), work = std::move(work), last = std::string()]() mutable {
    std::string now = work().ToString();
    if (now != last && now != Status().ToString()) LogLine(context, what + ": " + now);
    last = std::move(now);
  };
  return std::make_unique<Every>(std::chrono::seconds(seconds), step);
}

Status ServeUntilEnd(Context& context, lake::Lake& lake, const SessionPlan& plan,
                     const std::function<void()>& ready) {
  TARN_ASSIGN(const auto mount, fuse::Mount::Start(lake, plan.mount));
  Server::Hooks hooks = {[&mount] { mount->Stop(); }, [&mount] { mount->Settle(); }};
  TARN_ASSIGN(const auto server, Server::Start(lake, plan.place, plan.lake_directory, std::move(hooks)));
  const bool lazy = plan.lake_directory.empty() && !plan.reader;
  const auto commit =
      EachTime(context, lazy ? kCommitSeconds : 0, "cannot commit", [&lake] { return lake.SyncAll(); });
  const auto follow = EachTime(context, plan.follow_every, "cannot follow", [&lake] { return lake.CatchUp(); });
  ready();
  const Status ended = mount->Run();
  server->Stop();
  if (plan.mount.read_only) return ended;
  const Status logged = lake.AppendLog(context.LogRecordOf(0, 0)).status();
  return ended.ok() ? logged : ended;
}

// Where the store itself has no lock that keeps a second session of this machine away.
Result<UniqueFd> Hold(const SessionPlan& plan) {
  if (plan.place == plan.lake_directory) return UniqueFd();
  TARN_TRY(MakePlace(plan.place));
  auto hold = HoldPlace(plan.place);
  if (!hold.ok()) return hold.status().Annotate(Escape(plan.location));
  return hold;
}

}  // namespace

Status RunSession(Context& context, const SessionPlan& plan, const std::function<void()>& ready) {
  Server::BlockSignals();
  TARN_ASSIGN(const UniqueFd hold, Hold(plan));
  const Access access = plan.reader ? Access::kRead : Access::kWrite;
  TARN_ASSIGN(const auto lake, OpenLake(plan.location, access, context.caller.command));
  const Status served = ServeUntilEnd(context, *lake, plan, ready);
  const Status closed = lake->Close();
  return served.ok() ? closed : served;
}

Result<pid_t> Daemonize(const std::string& log,
                        const std::function<Status(const std::function<void()>& ready)>& session) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return LocalError(errno, "pipe", "cannot make one");
  UniqueFd from_child(ends[0]), to_parent(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return LocalError(errno, "fork", "cannot start a process");
  if (pid > 0) {
    to_parent.reset();
    const Status report = ReadReport(from_child.get(), log);
    if (report.ok()) return pid;
    waitpid(pid, nullptr, 0);
    return report;
  }
  from_child.reset();
  Detach(log);
  // A context of its own: the one of the parent holds the terminal's buffers.
  static std::atomic<bool> never_cancelled{false};
  Context own(STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, &never_cancelled, false);
  bool told = false;
  const Status ended = session([&] {
    Tell(to_parent.get(), Status());
    to_parent.reset();
    told = true;
    LogLine(own, "mounted");
  });
  if (!told) Tell(to_parent.get(), ended);
  if (told) LogLine(own, ended.ok() ? "unmounted" : ended.ToString());
  _exit(ExitCodeOf(ended));
}

}  // namespace tarn::cli
