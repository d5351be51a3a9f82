// Mount: a lake as a directory of the running system, through FUSE. For the CLI and for embedders.
//
//   auto mount = tarn::fuse::Mount::Start(*lake, {.mountpoint = "/mnt/x"});
//   if (!mount.ok()) return mount.status();
//   tarn::Status s = (*mount)->Run();   // until `umount /mnt/x`, or Stop() from another thread
//
// The kernel checks permissions (default_permissions); Mount translates calls and nothing more. It subscribes to
// the lake's changes (Lake::Subscribe), so that what other users of the same Lake object change is seen at once.
//
// What it does not do: it installs no signal handlers, does not fork, writes nothing to standard output or
// standard error, and does not close the lake. Those are the face's business. (For users who are not root, libfuse
// runs fusermount3 to mount and unmount, which writes its errors to standard error.)
//
// Durability is that of the lake: write(2) reaches the lake's memory, close(2) its store (LakeOptions::durability; as
// a rule it survives kill -9), fsync(2) the device. A call that waits for storage is given up when its program is
// being killed or interrupted from the terminal (interrupts.h), and ends with storage's own deadline otherwise.
// Device nodes and setuid bits are kept but have no effect (nodev, nosuid); reading changes no times (noatime).
//
// A process must not map (mmap) files of a mount that it serves itself: the kernel waits for a mapping's pages with
// the process's memory locked, which the serving threads need.
//
// Threads: Start, Run and the destructor belong to one thread; Stop and Settle may be called from any other, at any
// time between Start and the destructor, but not from a signal handler. The lake outlives the mount.
#pragma once

#include <memory>
#include <string>

#include "lake/lake.h"

namespace tarn::fuse {

struct MountOptions {
  std::string mountpoint;    // an existing directory; absolute, or relative to the current directory
  std::string at_snapshot;   // not empty: serves the lake as of this snapshot; implies read_only
  bool read_only = false;    // every change is EROFS
  bool allow_other = false;  // other users may enter (non-root needs user_allow_other in /etc/fuse.conf)
  // Not 0: the lake is a reader that catches up with its writer this often, so the kernel remembers nothing for
  // longer, and an open file shows its pages of before. Implies read_only.
  uint64_t follow_seconds = 0;
  // Requests served at once; more wait. Each has buffers of about 2 MiB once it was needed. 16 is enough for all that
  // wait for a disk.
  uint32_t threads = 16;
  // The source shown by mount(8) and /proc/self/mountinfo (the CLI passes the lake's absolute directory). The
  // file system type is always "fuse.tarn".
  std::string fsname = "tarn";
};

// "available" facts in one line for people (for instance "/dev/fuse, fusermount3 3.14.0") when this process could
// mount now; otherwise Unsupported, whose message says what is missing and how to get it.
Result<std::string> FuseAvailable();

class Mount {
 public:
  // Mounts. When it returns OK the mountpoint is in place; calls of other processes wait until Run() serves them.
  // Errors, each naming the mountpoint: NotFound (no such directory, or no such snapshot), Invalid (not a
  // directory, not allowed), Unsupported (no FUSE here), Busy (already a mountpoint that cannot be covered).
  static Result<std::unique_ptr<Mount>> Start(lake::Lake& lake, const MountOptions& options);
  virtual ~Mount() = default;  // unmounts if that has not happened yet

  // Serves until the file system is unmounted by anyone, or Stop() is called; unmounted when it returns. OK for
  // both of these ends; else the error that ended the session. Called once.
  virtual Status Run() = 0;
  // Makes Run() return soon, after the calls in progress were answered. Before Run(): Run() returns at once.
  virtual void Stop() = 0;
  // Returns when the mount shows every change that was made through the Lake before this call. Whoever changes the
  // lake for somebody else calls it before telling them that it is done. Not while a lake call is in progress on
  // this thread, and not from the lake's subscriber.
  virtual void Settle() = 0;
};

}  // namespace tarn::fuse
