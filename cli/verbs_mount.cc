// mount, umount: the lake as a directory, and its end. Both report success only when it is true: mount when the
// mountpoint has answered, umount when the process that held the lake is gone and its lock with it.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "cli/local_fs.h"
#include "cli/mount_session.h"
#include "cli/session_place.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/wire.h"

extern char** environ;

namespace tarn::cli {
namespace {

constexpr const char* kFilesystemType = "fuse.tarn";
// Requests that wait for the network at once; what waits for a disk is done with fewer (fuse/mount.h).
constexpr uint32_t kBucketThreads = 64;

// docs/s3.md has the whole of it.
constexpr const char* kMountNotes =
    "Of a lake in a directory, what was closed survives kill -9, and what was fsynced power loss. Of one in a "
    "bucket,\n"
    "what was fsynced survives everything; the rest is put there within 5 seconds, and a kill loses what was not.\n"
    "A mount of a bucket for writing takes the lake over from any writer elsewhere; ro, --at and --follow do not.\n"
    "--follow shows a change by others at most twice SECONDS after it was durable.";

struct MountFlags {
  bool foreground = false, follow = false;
  uint64_t every = 0;
  std::string options, at;
};

Status ParseOptions(const std::string& text, fuse::MountOptions* out) {
  std::stringstream in(text);
  for (std::string option; std::getline(in, option, ',');) {
    if (option == "ro") {
      out->read_only = true;
    } else if (option == "rw") {
      out->read_only = false;
    } else if (option == "allow_other") {
      out->allow_other = true;
    } else if (option.starts_with("at=")) {
      out->at_snapshot = option.substr(3);
    } else if (!option.empty()) {
      return {Code::kInvalid,
              fmt::format("-o {}: no such mount option; there are ro, rw, allow_other, at=SNAPSHOT", Escape(option)),
              EINVAL};
    }
  }
  if (!out->at_snapshot.empty()) out->read_only = true;
  return {};
}

// One line of /proc/self/mountinfo, as far as we need it.
struct MountedAt {
  std::string type, source;
};

// Fields are separated by blanks; blanks inside them are written \040.
std::string UnescapeField(const std::string& field) {
  auto plain = Unescape(field);
  return plain.ok() ? *plain : field;
}

std::optional<MountedAt> FindMount(const std::string& mountpoint) {
  std::ifstream in("/proc/self/mountinfo");
  std::optional<MountedAt> found;
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string word, at, type, source;
    for (int i = 0; i < 5 && fields >> at; ++i) {
    }
    while (fields >> word && word != "-") {
    }
    if (!(fields >> type >> source) || UnescapeField(at) != mountpoint) continue;
    found = MountedAt{type, UnescapeField(source)};  // the last one is on top
  }
  return found;
}

// Absolute without looking at the last component itself, which may be a mount whose process is dead.
Result<std::string> AbsoluteMountpoint(const Context& context, const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.ends_with('/')) trimmed.pop_back();
  const size_t slash = trimmed.find_last_of('/');
  const std::string above = slash == std::string::npos ? "." : trimmed.substr(0, slash + 1);
  const std::string last = trimmed.substr(slash == std::string::npos ? 0 : slash + 1);
  const bool dots = last.empty() || last == "." || last == "..";
  const UniqueFd fd = OpenAt(context.caller.cwd_fd, dots ? trimmed : above, O_PATH | O_DIRECTORY);
  if (!fd.ok()) return LocalError(errno, path, "name a directory that exists");
  const std::string directory = PathOf(fd.get());
  if (dots) return directory;
  const std::string joined = directory == "/" ? "/" + last : directory + "/" + last;
  if (FindMount(joined).has_value()) return joined;
  char resolved[PATH_MAX];
  if (realpath(joined.c_str(), resolved) == nullptr) {
    return LocalError(errno, path, errno == ENOENT ? "create the mountpoint with mkdir" : "check the mountpoint");
  }
  return std::string(resolved);
}

// The lake's own storage below the mountpoint, or around it, would be hidden or served by itself.
Status CheckApart(int point, const std::string& shown, const std::string& lake_directory) {
  const UniqueFd lake = OpenAt(AT_FDCWD, lake_directory, O_PATH | O_DIRECTORY);
  if (!lake.ok()) return LocalError(errno, lake_directory, "check the lake");
  TARN_ASSIGN(const bool inside, IsWithin(point, lake.get()));
  TARN_ASSIGN(const bool around, IsWithin(lake.get(), point));
  if (!inside && !around) return {};
  return {Code::kInvalid,
          fmt::format("{}: the mountpoint and the lake's own storage {} must lie apart; choose another mountpoint",
                      Escape(shown), Escape(lake_directory)),
          EINVAL};
}

// `lake_directory` is empty for a lake in a bucket, which lies apart from everything here.
Status CheckMountpoint(const std::string& mountpoint, const std::string& shown, const std::string& lake_directory) {
  const auto there = FindMount(mountpoint);
  if (there.has_value() && there->type == kFilesystemType) {
    return {
        Code::kBusy,
        fmt::format("{}: a lake is mounted there; unmount it with: tarn umount {}", Escape(shown), ShellQuote(shown)),
        EBUSY};
  }
  const UniqueFd point = OpenAt(AT_FDCWD, mountpoint, O_RDONLY | O_DIRECTORY);
  if (!point.ok()) return LocalError(errno, shown, "the mountpoint is a directory that you may read");
  TARN_ASSIGN(const auto names, ListDirectory(point.get(), shown));
  if (!names.empty()) return LocalError(ENOTEMPTY, shown, "mount over an empty directory, so that nothing is hidden");
  return lake_directory.empty() ? Status() : CheckApart(point.get(), shown, lake_directory);
}

Status PlanReading(const MountFlags& flags, bool bucket, SessionPlan* plan) {
  if (!flags.follow && flags.every != 0) return Status::Invalid("--every goes with --follow");
  if (flags.follow && !plan->mount.at_snapshot.empty())
    return Status::Invalid("--follow goes with no snapshot: a snapshot does not change");
  if (flags.follow) {
    plan->follow_every = flags.every != 0 ? flags.every : bucket ? kFollowBucketSeconds : kFollowDirectorySeconds;
    plan->mount.read_only = true;
    plan->mount.follow_seconds = plan->follow_every;
  }
  // A bucket has no lock: opening it for writing would take it away from its writer.
  plan->reader = flags.follow || (bucket && plan->mount.read_only);
  return {};
}

// Everything that can be found out before the lake is opened.
Result<SessionPlan> PlanMount(Context& context, const MountFlags& flags, const std::string& mountpoint) {
  SessionPlan plan;
  TARN_TRY(ParseOptions(flags.options, &plan.mount));
  if (!flags.at.empty()) {
    plan.mount.at_snapshot = flags.at;
    plan.mount.read_only = true;
  }
  const bool bucket = IsBucket(context.location);
  TARN_TRY(PlanReading(flags, bucket, &plan));
  if (bucket) {
    // Whether a lake is there the session finds out: libcurl's thread would not come along into its process.
    plan.location = plan.mount.fsname = context.location;
    plan.mount.threads = kBucketThreads;
  } else {
    TARN_ASSIGN(const std::string directory, DirectoryOf(context.location));
    TARN_ASSIGN(const Found found, LookAt(directory));
    if (found != Found::kStore) return NoLakeAt(context.location);
    char resolved[PATH_MAX];
    if (realpath(directory.c_str(), resolved) == nullptr) return LocalError(errno, directory, "check the path");
    plan.location = plan.lake_directory = plan.place = plan.mount.fsname = resolved;
  }
  TARN_ASSIGN(plan.mount.mountpoint, AbsoluteMountpoint(context, mountpoint));
  TARN_TRY(CheckMountpoint(plan.mount.mountpoint, mountpoint, plan.lake_directory));
  if (plan.reader) {
    TARN_ASSIGN(plan.place, ReaderPlaceOf(plan.mount.mountpoint));
  } else if (bucket) {
    TARN_ASSIGN(plan.place, WriterPlaceOf(context.location));
  }
  if (plan.place != plan.lake_directory) TARN_TRY(MakePlace(plan.place));
  return plan;
}

Status Mount(Context& context, const MountFlags& flags, const Operands& operands) {
  TARN_ASSIGN(const SessionPlan plan, PlanMount(context, flags, operands[0]));
  const std::string what = fmt::format("mounted {} at {}", Escape(plan.location), Escape(plan.mount.mountpoint));
  if (flags.foreground) {
    return RunSession(context, plan, [&] {
      if (!context.quiet) context.out.Print("{}\n", what);
      static_cast<void>(context.out.Flush());  // its error shows when the session ends
    });
  }
  const std::string log = LogIn(plan.place);
  TARN_ASSIGN(const pid_t pid,
              Daemonize(log, [&](const std::function<void()>& ready) { return RunSession(context, plan, ready); }));
  // The kernel holds this call back until the session has answered it.
  struct stat st;
  if (stat(plan.mount.mountpoint.c_str(), &st) != 0) {
    return LocalError(errno, operands[0], "the mount ended at once; its reason is in " + Escape(log));
  }
  if (!context.quiet) context.out.Print("{} (pid {})\n", what, pid);
  return {};
}

// Runs fusermount3 -u, the way for users who are not root; its own words become part of the error.
Status UnmountWithHelper(const std::string& mountpoint, const std::string& shown) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return LocalError(errno, "pipe", "cannot make one");
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to.get(), STDERR_FILENO);
  const char* argv[] = {"fusermount3", "-u", "--", mountpoint.c_str(), nullptr};
  pid_t pid;
  const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, const_cast<char**>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  to.reset();
  if (error != 0) return LocalError(error, "fusermount3", "install fuse3, or unmount as root");
  std::string words(4096, '\0');
  TARN_ASSIGN(const size_t n, ReadStream(from.get(), words, "fusermount3"));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  words.resize(n);
  while (!words.empty() && words.back() == '\n') words.pop_back();
  const bool busy = words.find("busy") != std::string::npos;
  return {busy ? Code::kBusy : Code::kInvalid,
          fmt::format("{}: {}; {}", Escape(shown), EscapeControls(words),
                      busy ? "close what is open below it and try again" : "check who mounted it"),
          busy ? EBUSY : EPERM};
}

// Returns when the process is gone, or the user gave up waiting.
Status AwaitEnd(const Context& context, int pidfd, pid_t pid) {
  while (true) {
    struct pollfd waiting = {pidfd, POLLIN, 0};
    if (poll(&waiting, 1, 200) > 0) return {};
    if (!context.Check().ok()) {
      return {Code::kUnavailable, fmt::format("interrupted: unmounted, but pid {} is still writing the lake", pid),
              ECANCELED};
    }
  }
}

// The process behind a mount. NotFound when none listens, as when it died.
Result<UniqueFd> ConnectToMount(const std::string& mountpoint, const MountedAt& mounted) {
  TARN_ASSIGN(const std::string reader, ReaderPlaceOf(mountpoint));
  if (auto socket = ConnectTo(reader); socket.ok()) return socket;
  if (!IsBucket(mounted.source)) return ConnectTo(mounted.source);
  TARN_ASSIGN(const std::string writer, WriterPlaceOf(mounted.source));
  return ConnectTo(writer);
}

Status Umount(Context& context, const Operands& operands) {
  const std::string& shown = operands[0];
  TARN_ASSIGN(const std::string mountpoint, AbsoluteMountpoint(context, shown));
  const auto mounted = FindMount(mountpoint);
  if (!mounted.has_value() || mounted->type != kFilesystemType) {
    return {Code::kInvalid,
            fmt::format("{}: no lake is mounted there; see: mount -t {}", Escape(shown), kFilesystemType), EINVAL};
  }
  // Found out before the unmount: afterwards the process is on its way out.
  UniqueFd process;
  Peer peer;
  auto socket = ConnectToMount(mountpoint, *mounted);
  if (socket.ok()) {
    TARN_ASSIGN(peer, PeerOf(socket->get()));
    process = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
    socket->reset();
  }
  if (geteuid() == 0) {
    if (umount2(mountpoint.c_str(), UMOUNT_NOFOLLOW) != 0) {
      return LocalError(errno, shown,
                        errno == EBUSY ? "close what is open below it and try again" : "cannot unmount");
    }
  } else {
    TARN_TRY(UnmountWithHelper(mountpoint, shown));
  }
  if (process.ok()) TARN_TRY(AwaitEnd(context, process.get(), peer.pid));
  if (!context.quiet) context.out.Print("unmounted {}\n", Escape(mountpoint));
  return {};
}

}  // namespace

void AddMountVerbs(CommandLine& line) {
  auto flags = std::make_shared<MountFlags>();
  line.Add({"Lake", "mount", "Make the lake a directory, through FUSE", "MOUNTPOINT", 1, 1, Needs::kNothing,
            "tarn mount /mnt/lake\ntarn mount --at monday /mnt/monday\ntarn mount -f -o ro,allow_other /mnt/lake\n"
            "tarn --lake s3://bucket/lake mount /mnt/lake\ntarn mount --follow --every 10 /mnt/lake",
            kMountNotes},
           [flags](Context& context, const Operands& operands) { return Mount(context, *flags, operands); })
      .Flag("-f,--foreground", &flags->foreground, "stay in front; Ctrl-C unmounts")
      .Option("-o", &flags->options, "LIST", "ro, rw, allow_other, at=SNAPSHOT, separated by commas")
      .Option("--at", &flags->at, "SNAPSHOT", "a named snapshot, read-only")
      .Flag("--follow", &flags->follow, "read-only, beside the lake's writer: show what it does")
      .Number("--every", &flags->every, "SECONDS", "how often to look (1; in a bucket 5)");

  line.Add({"Lake", "umount", "End a mount, and wait until the lake is released", "MOUNTPOINT", 1, 1, Needs::kNothing,
            "tarn umount /mnt/lake"},
           [](Context& context, const Operands& operands) { return Umount(context, operands); });
}

}  // namespace tarn::cli
