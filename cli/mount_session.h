// A mount session: one process that holds a lake, serves it at a mountpoint, and serves other commands through its
// socket until it is unmounted or told to stop. verbs_mount.cc starts it, in the background or in front.
#pragma once

#include <functional>
#include <string>

#include "cli/context.h"
#include "fuse/mount.h"

namespace tarn::cli {

struct SessionPlan {
  std::string location;           // the lake, as the user named it
  std::string lake_directory;     // absolute; empty: it is in a bucket
  std::string place;              // where socket and log are (session_place.h)
  bool reader = false;            // opens the lake for reading, beside whoever holds it
  uint64_t follow_every = 0;      // seconds; a reader that shows what the writer does. 0: the view is fixed
  fuse::MountOptions mount = {};  // absolute mountpoint
};

// Opens the lake, mounts, calls `ready`, serves to the end, logs the session, closes the lake. Never returns before
// everything is released. What a writer's session changes in a bucket it makes durable every kCommitSeconds, and
// when somebody asks (fsync).
inline constexpr uint64_t kCommitSeconds = 5;  // as ext4 has it
// How often a reader looks where it was not told: a look at a bucket is two requests.
inline constexpr uint64_t kFollowDirectorySeconds = 1, kFollowBucketSeconds = 5;
Status RunSession(Context& context, const SessionPlan& plan, const std::function<void()>& ready);

// Runs `session` in a child that has left the terminal; its output goes to `log`. Returns in the parent when the
// child reports that it is ready (OK, with its pid) or why it is not.
Result<pid_t> Daemonize(const std::string& log,
                        const std::function<Status(const std::function<void()>& ready)>& session);

}  // namespace tarn::cli
