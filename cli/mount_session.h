// A mount session: one process that holds a lake, serves it at a mountpoint, and serves other commands through its
// socket until it is unmounted or told to stop. verbs_mount.cc starts it, in the background or in front.
#pragma once

#include <functional>
#include <string>

#include "cli/context.h"
#include "fuse/mount.h"

namespace tarn::cli {

struct SessionPlan {
  std::string location;        // the lake, as the user named it
  std::string lake_directory;  // absolute
  fuse::MountOptions mount;    // absolute mountpoint
};

// Opens the lake, mounts, calls `ready`, serves to the end, logs the session, closes the lake. Never returns before
// everything is released.
Status RunSession(Context& context, const SessionPlan& plan, const std::function<void()>& ready);

// Runs `session` in a child that has left the terminal; its output goes to `log`. Returns in the parent when the
// child reports that it is ready (OK, with its pid) or why it is not.
Result<pid_t> Daemonize(const std::string& log,
                        const std::function<Status(const std::function<void()>& ready)>& session);

}  // namespace tarn::cli
