// The local backend beyond the contract: opening, files that are not ours, leftovers, the ladder's first step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "backends/local/local.h"
#include "backends/local/uring.h"
#include "tests/local/deny_io_uring.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;
using local::OpenLocal;
using testing::HasSubstr;

std::shared_ptr<Backend> MustOpen(const std::string& path, const local::LocalOptions& options = {}) {
  auto backend = OpenLocal(path, options);
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  return backend.ok() ? *backend : nullptr;
}
void Touch(const fs::path& path, std::string_view bytes = "") { std::ofstream(path) << bytes; }
std::string Slurp(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(LocalOpen, MakesTheDirectoryAndTheOneAroundIt) {
  TempDirectory temp;
  MustOpen(temp.path() + "/a/b/");
  EXPECT_TRUE(fs::is_directory(temp.path() + "/a/b"));
  const Status deep = OpenLocal(temp.path() + "/x/y/z").status();
  EXPECT_EQ(deep.code(), Code::kNotFound) << "a typing error must not grow a tree: " << deep.ToString();
  EXPECT_FALSE(fs::exists(temp.path() + "/x"));
}

TEST(LocalOpen, ErrorsSayWhatToDo) {
  TempDirectory temp;
  for (const local::LocalOptions& options : {local::LocalOptions{.create = false}, {.read_only = true}}) {
    const Status missing = OpenLocal(temp.path() + "/none", options).status();
    EXPECT_EQ(missing.code(), Code::kNotFound);
    EXPECT_THAT(missing.ToString(), HasSubstr(temp.path() + "/none: check the path"));
    EXPECT_FALSE(fs::exists(temp.path() + "/none"));
  }
  Touch(temp.path() + "/file");
  const Status file = OpenLocal(temp.path() + "/file").status();
  EXPECT_EQ(file.code(), Code::kInvalid);
  EXPECT_THAT(file.ToString(), HasSubstr("/file is not a directory: name a directory"));
  EXPECT_EQ(OpenLocal(temp.path() + "/file/x").status().code(), Code::kInvalid);
  EXPECT_EQ(OpenLocal("").status().code(), Code::kInvalid);
}

// Root may do everything, so the child that looks is nobody.
TEST(LocalOpen, PermissionsAreCheckedAtOpen) {
  TempDirectory temp;
  fs::permissions(temp.path(), fs::perms(0755));
  fs::create_directory(temp.path() + "/theirs");
  fs::permissions(temp.path() + "/theirs", geteuid() == 0 ? fs::perms(0755) : fs::perms(0555));
  fs::create_directory(temp.path() + "/secret");
  fs::permissions(temp.path() + "/secret", fs::perms(geteuid() == 0 ? 0700 : 0000));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(9);
    const Status write = OpenLocal(temp.path() + "/theirs").status();
    if (write.code() != Code::kInvalid || write.message().find("permissions") == std::string_view::npos) _exit(1);
    if (!OpenLocal(temp.path() + "/theirs", {.read_only = true}).ok()) _exit(2);
    if (OpenLocal(temp.path() + "/secret", {.read_only = true}).status().code() != Code::kInvalid) _exit(3);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  fs::permissions(temp.path() + "/secret", fs::perms(0700));
}

TEST(LocalOpen, ReadOnlyChangesNothing) {
  TempDirectory temp;
  ASSERT_TRUE(MustOpen(temp.path())->PutIfAbsent("x", "1").ok());
  Touch(temp.path() + "/.TMP-1-1");
  const auto backend = MustOpen(temp.path(), {.read_only = true});
  EXPECT_EQ(backend->features().append, nullptr);
  ASSERT_NE(backend->features().locks, nullptr);
  EXPECT_TRUE(backend->features().locks->TryLock("lock", "reader").ok());
  EXPECT_FALSE(fs::exists(temp.path() + "/LOCK")) << "a reader makes no lock file";
  {
    const auto writer = MustOpen(temp.path());
    const auto held = writer->features().locks->TryLock("lock", "the writer").value();
    EXPECT_THAT(backend->features().locks->TryLock("lock", "reader").status().ToString(), HasSubstr("the writer"));
  }
  Touch(temp.path() + "/.TMP-1-1");  // the writer has swept
  const auto kept = backend->features().locks->TryLock("lock", "reader").value();
  EXPECT_EQ(MustOpen(temp.path())->features().locks->TryLock("lock", "late").status().code(), Code::kBusy);
  EXPECT_EQ(Slurp(temp.path() + "/LOCK"), "the writer\n") << "a reader leaves no line";
  EXPECT_NE(backend->features().queues, nullptr);
  EXPECT_TRUE(backend->Open("x").ok());
  EXPECT_EQ(backend->Create("y").status().code(), Code::kInvalid);
  EXPECT_EQ(backend->PutIfAbsent("y", "1").status().code(), Code::kInvalid);
  EXPECT_EQ(backend->Delete("x").code(), Code::kInvalid);
  EXPECT_THAT(backend->Delete("x").ToString(), HasSubstr("read-only"));
  EXPECT_TRUE(fs::exists(temp.path() + "/.TMP-1-1"));
}

TEST(LocalOpen, StaysWhereItWasOpenedWhenTheProcessMovesOn) {
  TempDirectory temp;
  const fs::path before = fs::current_path();
  fs::current_path(temp.path());
  const auto backend = MustOpen("store");
  fs::current_path("/");
  EXPECT_TRUE(backend->PutIfAbsent("x", "1").ok());
  EXPECT_EQ(Slurp(temp.path() + "/store/x"), "1");
  fs::current_path(before);
}

TEST(LocalNames, NeverAFileAndADirectory) {
  TempDirectory temp;
  const auto backend = MustOpen(temp.path());
  ASSERT_TRUE(backend->PutIfAbsent("a/b", "1").ok());
  EXPECT_EQ(backend->PutIfAbsent("a", "1").status().code(), Code::kInvalid);
  EXPECT_EQ(backend->PutIfAbsent("a/b/c", "1").status().code(), Code::kInvalid);
  EXPECT_EQ(backend->features().append->CreateAppend("a").status().code(), Code::kInvalid);
  EXPECT_EQ(backend->Delete("a").code(), Code::kInvalid);
  EXPECT_EQ(backend->Open("a").status().code(), Code::kInvalid);
  EXPECT_EQ(backend->Open("a/b/c").status().code(), Code::kNotFound);
  EXPECT_EQ(backend->Delete("a/b/c").code(), Code::kNotFound);
}

TEST(LocalNames, WhatIsNotOursIsNotListed) {
  TempDirectory temp;
  const auto backend = MustOpen(temp.path());
  ASSERT_TRUE(backend->PutIfAbsent("ours", "1").ok());
  auto lock = backend->features().locks->TryLock("lock", "me");
  auto other = backend->features().locks->TryLock("a/b", "me");
  ASSERT_TRUE(lock.ok() && other.ok());
  Touch(temp.path() + "/README.TXT");
  fs::create_directory(temp.path() + "/lost+found");
  Touch(temp.path() + "/lost+found/x");
  fs::create_symlink("ours", temp.path() + "/link");
  ASSERT_EQ(mkfifo((temp.path() + "/fifo").c_str(), 0600), 0);
  const auto page = backend->List("", "", 10);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->blobs.size(), 1u);
  EXPECT_EQ(page->blobs[0].name, "ours");
  EXPECT_EQ(backend->Open("fifo").status().code(), Code::kInvalid) << "and it does not hang";
}

TEST(LocalLock, FileHoldsTheHoldersLineAndStays) {
  TempDirectory temp;
  const auto backend = MustOpen(temp.path());
  {
    auto lock = backend->features().locks->TryLock("lock", "pid 71 (tarn mount /mnt/x)");
    ASSERT_TRUE(lock.ok());
    EXPECT_EQ(Slurp(temp.path() + "/LOCK"), "pid 71 (tarn mount /mnt/x)\n");
    EXPECT_THAT(MustOpen(temp.path())->features().locks->TryLock("lock", "b").status().ToString(),
                HasSubstr("held by pid 71 (tarn mount /mnt/x): close it there first"));
  }
  EXPECT_TRUE(fs::exists(temp.path() + "/LOCK"));
  auto evil = backend->features().locks->TryLock("lock", "two\nlines");
  ASSERT_TRUE(evil.ok());
  const std::string refused = MustOpen(temp.path())->features().locks->TryLock("lock", "b").status().ToString();
  EXPECT_EQ(refused.find('\n'), std::string::npos);
}

TEST(LocalLock, DiesWithItsProcess) {
  TempDirectory temp;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto backend = OpenLocal(temp.path());
    auto lock = (*backend)->features().locks->TryLock("lock", "the child");
    if (write(ready[1], lock.ok() ? "y" : "n", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char got = 0;
  ASSERT_EQ(read(ready[0], &got, 1), 1);
  EXPECT_EQ(got, 'y');
  const auto backend = MustOpen(temp.path());
  EXPECT_THAT(backend->features().locks->TryLock("lock", "me").status().ToString(), HasSubstr("the child"));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(backend->features().locks->TryLock("lock", "me").ok());
  close(ready[0]);
  close(ready[1]);
}

TEST(LocalLeftovers, AreRemovedWhenTheLockIsTaken) {
  TempDirectory temp;
  const auto backend = MustOpen(temp.path());
  ASSERT_TRUE(backend->PutIfAbsent("dir/x", "1").ok());
  Touch(temp.path() + "/.TMP-1-1", "dead");
  Touch(temp.path() + "/dir/.TMP-1-2", "dead");
  {
    auto live = backend->Create("dir/y");
    ASSERT_TRUE(live.ok());
    auto lock = backend->features().locks->TryLock("lock", "me");
    ASSERT_TRUE(lock.ok());
    ASSERT_TRUE((*live)->Finish().ok()) << "a temporary of our own in use is not swept away";
    EXPECT_EQ(MustOpen(temp.path())->features().locks->TryLock("lock", "b").status().code(), Code::kBusy);
    EXPECT_TRUE(fs::exists(temp.path() + "/dir/.TMP-1-2"));
  }
  ASSERT_TRUE(MustOpen(temp.path())->features().locks->TryLock("lock", "me").ok());
  EXPECT_FALSE(fs::exists(temp.path() + "/.TMP-1-1"));
  EXPECT_FALSE(fs::exists(temp.path() + "/dir/.TMP-1-2"));
  EXPECT_TRUE(backend->Open("dir/x").ok());
}

TEST(LocalReader, BlobThatShrankIsCorruption) {
  TempDirectory temp;
  for (const bool io_uring : {false, true}) {
    const auto backend = MustOpen(temp.path(), {.allow_io_uring = io_uring});
    ASSERT_TRUE(backend->PutIfAbsent("x" + std::to_string(io_uring), std::string(10'000, 'x')).ok());
    auto reader = backend->Open("x" + std::to_string(io_uring));
    fs::resize_file(temp.path() + "/x" + std::to_string(io_uring), 5000);
    std::string out(10'000, '?');
    EXPECT_EQ((*reader)->Read(0, out).code(), Code::kCorruption);
    auto queue = backend->features().queues->NewReadQueue();
    if (queue == nullptr) continue;
    ReadRequest request{reader->get(), 0, out};
    queue->Submit(&request);
    ASSERT_EQ(queue->Wait().size(), 1u);
    EXPECT_EQ(request.status.code(), Code::kCorruption) << request.status.ToString();
    EXPECT_THAT(request.status.ToString(), HasSubstr("ends at byte 5000"));
  }
}

// Each reason for the lower rung is said; the filter binds the thread that opens.
TEST(LocalLadder, SaysWhyNot) {
  TempDirectory temp;
  std::thread([&] {
    ASSERT_TRUE(DenyIoUring(ENOSYS));
    const auto backend = MustOpen(temp.path());
    EXPECT_EQ(backend->info().read_engine, "pread (io_uring: Function not implemented)");
    EXPECT_EQ(backend->features().queues->NewReadQueue(), nullptr);
  }).join();
  const auto off = MustOpen(temp.path(), {.allow_io_uring = false});
  EXPECT_EQ(off->info().read_engine, "pread (io_uring: switched off by the caller)");
  EXPECT_EQ(off->features().queues->NewReadQueue(), nullptr);
  const std::string why_not = local::WhyNoUring();
  const auto on = MustOpen(temp.path());
  EXPECT_EQ(on->info().read_engine, why_not.empty() ? "io_uring" : "pread (io_uring: " + why_not + ")");
  EXPECT_EQ(on->features().queues->NewReadQueue() != nullptr, why_not.empty());
}

}  // namespace
}  // namespace tarn::test
