// BenchGround: where `tarn bench mount` measures. One temporary directory with two places that the same steps run in:
// native/ on the file system itself, and mount/, a fresh lake whose storage is lake/ beside it (or elsewhere).
//
//   DIR/tarn-bench-XXXXXX/native    mount    lake    scratch
//
// The mount is served by a process of its own, made the way `tarn mount` makes it. It ends with this one, however
// that dies, so no mount outlives the verb; a SIGKILL leaves the directory.
//
// Invariants: 1. Remove() has unmounted before it deletes; 2. nothing is deleted that was not made here.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "cli/context.h"
#include "cli/mount_session.h"

namespace tarn::cli {

class BenchGround {
 public:
  // `lake_location` empty: the lake is made in the temporary directory. Else it names a directory that is missing or
  // empty.
  static Result<std::unique_ptr<BenchGround>> Make(Context& context, const std::string& directory,
                                                   const std::string& lake_location);
  ~BenchGround();
  BenchGround(const BenchGround&) = delete;
  BenchGround& operator=(const BenchGround&) = delete;

  const std::string& top() const { return top_; }
  std::string native() const { return top_ + "/native"; }
  std::string mount() const { return top_ + "/mount"; }
  std::string scratch() const { return top_ + "/scratch"; }
  // Unmounts and mounts again, with the lake's files dropped from the page cache between: what is read next comes
  // from the device. REQUIRES: nothing is open below mount().
  Status MountCold();
  // Unmounts and deletes everything. Called once; the destructor does it where an error prevents that.
  Status Remove();

 private:
  explicit BenchGround(Context& context) : context_(context) {}
  Status MakeDirectories(const std::string& directory, const std::string& lake_location);
  Status StartSession();
  Status EndSession();
  Status TakeMountAway();

  Context& context_;
  std::string top_;
  SessionPlan plan_;
  bool made_lake_directory_ = false;
  pid_t session_ = 0;  // 0: not mounted
  bool removed_ = false;
};

// Drops the pages of one file that are on the device from the cache.
Status DropFromCache(const std::string& file);

}  // namespace tarn::cli
