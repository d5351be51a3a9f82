// System calls that a signal interrupts: a whole life of a store on the real local backend in a process where every
// second call fails with EINTR first. Nobody may notice.
//
// FileOps promises that EINTR never comes out of it, so the seam is below it: this program brings its own pread,
// pwrite, ... which the static libraries of Tarn bind to.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>

#include "backends/local/local.h"
#include "tests/kernel/sim_store.h"
#include "tests/local/temp_directory.h"

namespace {

std::atomic<bool> interrupting{false};

// One for each call that is replaced: every second time it is "interrupted".
struct Signal {
  std::atomic<uint64_t> calls{0};
  bool Comes() {
    if (!interrupting || calls++ % 2 != 0) return false;
    errno = EINTR;
    return true;
  }
};
Signal on_open, on_pread, on_pwrite, on_fdatasync, on_fsync, on_flock, on_rename, on_unlink;

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return on_open.Comes() ? -1 : static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
ssize_t pread(int fd, void* out, size_t n, off_t offset) {
  return on_pread.Comes() ? -1 : syscall(SYS_pread64, fd, out, n, offset);
}
ssize_t pwrite(int fd, const void* bytes, size_t n, off_t offset) {
  return on_pwrite.Comes() ? -1 : syscall(SYS_pwrite64, fd, bytes, n, offset);
}
int fdatasync(int fd) { return on_fdatasync.Comes() ? -1 : static_cast<int>(syscall(SYS_fdatasync, fd)); }
int fsync(int fd) { return on_fsync.Comes() ? -1 : static_cast<int>(syscall(SYS_fsync, fd)); }
int flock(int fd, int what) noexcept {
  return on_flock.Comes() ? -1 : static_cast<int>(syscall(SYS_flock, fd, what));
}
int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
  return on_rename.Comes() ? -1 : static_cast<int>(syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}
int unlink(const char* path) noexcept { return on_unlink.Comes() ? -1 : static_cast<int>(syscall(SYS_unlink, path)); }

}  // extern "C"

namespace tarn::test {
namespace {

void Live(const std::string& path) {
  for (int round = 0; round < 2; ++round) {
    auto backend = local::OpenLocal(path, {.allow_io_uring = false});
    ASSERT_TRUE(backend.ok()) << backend.status().ToString();
    auto opened = OpenSim(*backend);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    DB& db = **opened;
    for (uint64_t n = 0; n < 20; ++n) {
      const Status put = db.Put(NumberedKey(n), "round" + std::to_string(round), Durability::kPower);
      ASSERT_TRUE(put.ok()) << put.ToString();
    }
    const Status compacted = db.Compact();
    ASSERT_TRUE(compacted.ok()) << compacted.ToString();
    for (uint64_t n = 0; n < 20; ++n) {
      std::string value;
      const Status got = db.Get(NumberedKey(n), &value);
      ASSERT_TRUE(got.ok()) << got.ToString();
      EXPECT_EQ(value, "round" + std::to_string(round));
    }
    const Status verified = db.Verify();
    EXPECT_TRUE(verified.ok()) << verified.ToString();
    const Status closed = db.Close();
    EXPECT_TRUE(closed.ok()) << closed.ToString();
  }
}

TEST(Interrupted, EverySecondSystemCall) {
  TempDirectory directory;
  interrupting = true;
  Live(directory.path() + "/store");
  interrupting = false;
  for (const Signal* signal :
       {&on_open, &on_pread, &on_pwrite, &on_fdatasync, &on_fsync, &on_flock, &on_rename, &on_unlink}) {
    EXPECT_GE(signal->calls, 2u) << "call " << signal - &on_open << " of the list was not replaced";
  }
}

}  // namespace
}  // namespace tarn::test
