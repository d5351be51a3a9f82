// What makes a name durable is the order of system calls, so the order is pinned by golden traces; and each of
// the calls is failed in turn, to see that no error is swallowed and nothing half-done is left.
#include <gtest/gtest.h>

#include <filesystem>

#include "backends/local/local_internal.h"
#include "tests/local/recording_file_ops.h"
#include "tests/local/temp_directory.h"
#include "tests/support/golden.h"

namespace tarn::test {
namespace {

struct Rig {
  TempDirectory directory;
  std::shared_ptr<RecordingFileOps> ops = std::make_shared<RecordingFileOps>(directory.path());
  std::shared_ptr<Backend> backend;

  Rig() {
    auto opened = local::OpenLocalWith(ops, directory.path(), {.allow_io_uring = false});
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    backend = std::move(*opened);
    ops->Take();
  }
  bool HasTemporaries() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path())) {
      if (entry.path().filename().string().starts_with(".TMP")) return true;
    }
    return false;
  }
};

Status WriteBlob(Backend& backend, std::string_view name) {
  TARN_ASSIGN(auto writer, backend.Create(name));
  TARN_TRY(writer->Append("12345"));
  TARN_TRY(writer->Append("678"));
  return writer->Finish();
}

TEST(LocalDurability, BlobTrace) {
  Rig s;
  std::string trace = "# the first blob in a new directory\n";
  ASSERT_TRUE(WriteBlob(*s.backend, "a/b/first").ok());
  trace += s.ops->Take() + "# the next blob there\n";
  ASSERT_TRUE(WriteBlob(*s.backend, "a/b/second").ok());
  trace += s.ops->Take() + "# a name that is taken\n";
  ASSERT_EQ(WriteBlob(*s.backend, "a/b/first").code(), Code::kBusy);
  trace += s.ops->Take() + "# given up before Finish\n";
  ASSERT_TRUE(s.backend->Create("a/b/third").ok());
  trace += s.ops->Take() + "# put-if-absent, free\n";
  ASSERT_TRUE(s.backend->PutIfAbsent("top", "1").ok());
  trace += s.ops->Take() + "# put-if-absent, taken\n";
  ASSERT_TRUE(s.backend->PutIfAbsent("top", "1").ok());
  trace += s.ops->Take() + "# delete\n";
  ASSERT_TRUE(s.backend->Delete("top").ok());
  trace += s.ops->Take() + "# a filesystem without RENAME_NOREPLACE\n";
  s.ops->RefuseRename(EINVAL);
  ASSERT_TRUE(WriteBlob(*s.backend, "a/b/linked").ok());
  trace += s.ops->Take() + "# and a name that is taken there\n";
  ASSERT_EQ(WriteBlob(*s.backend, "a/b/linked").code(), Code::kBusy);
  trace += s.ops->Take();
  EXPECT_EQ(GoldenMismatch("local_blob.txt", trace), "");
  EXPECT_FALSE(s.HasTemporaries());
}

TEST(LocalDurability, LogAndLockTrace) {
  Rig s;
  std::string trace = "# lock\n";
  auto lock = s.backend->features().locks->TryLock("lock", "pid 71");
  ASSERT_TRUE(lock.ok());
  trace += s.ops->Take() + "# log\n";
  auto log = s.backend->features().append->CreateAppend("wal/1");
  ASSERT_TRUE(log.ok());
  trace += s.ops->Take() + "# append, append, sync\n";
  ASSERT_TRUE((*log)->Append("12345").ok());
  ASSERT_TRUE((*log)->Append("678").ok());
  ASSERT_TRUE((*log)->Sync().ok());
  trace += s.ops->Take() + "# append beyond the window, sync, close\n";
  for (int i = 0; i < 2; ++i) ASSERT_TRUE((*log)->Append(std::string(35'000, 'x')).ok());
  ASSERT_TRUE((*log)->Sync().ok());
  log->reset();
  trace += s.ops->Take() + "# beyond the window, not synced\n";
  log = s.backend->features().append->CreateAppend("wal/3");
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE((*log)->Append(std::string(35'000, 'x')).ok());
  trace +=
      s.ops->Take() + "# a large append, and headers of more that did not come; so much that it is written back\n";
  ASSERT_TRUE((*log)->Append(std::string(70'000, 'x')).ok());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE((*log)->Append("header").ok());
  ASSERT_TRUE((*log)->Append(std::string(1 << 20, 'x')).ok());
  log->reset();
  trace += s.ops->Take() + "# where files cannot be mapped\n";
  s.ops->RefuseWindows();
  log = s.backend->features().append->CreateAppend("wal/2");
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE((*log)->Append("12345").ok());
  ASSERT_TRUE((*log)->Append("678").ok());
  ASSERT_TRUE((*log)->Sync().ok());
  log->reset();
  trace += s.ops->Take();
  EXPECT_EQ(GoldenMismatch("local_log.txt", trace), "");
}

// Any refusal of a window, at the first and at a later one: plain writes go on where it ended.
TEST(LocalDurability, LogWithoutAWindowIsWritten) {
  for (const uint64_t refused : {6, 7}) {
    Rig s;
    s.ops->FailAt(refused, ENOSPC);
    auto log = s.backend->features().append->CreateAppend("wal/1");
    ASSERT_TRUE(log.ok());
    std::string bytes(70'000, 'x');
    bytes[65'535] = 'y';
    ASSERT_TRUE((*log)->Append(bytes.substr(0, 40'000)).ok());
    ASSERT_TRUE((*log)->Append(bytes.substr(40'000)).ok());
    ASSERT_TRUE((*log)->Append("end").ok());
    const std::string trace = s.ops->Take();
    EXPECT_NE(trace.find(" -> fails\nwrite wal/1 "), std::string::npos) << trace;
    log->reset();
    auto reader = s.backend->Open("wal/1");
    ASSERT_TRUE(reader.ok());
    std::string read((*reader)->size(), '\0');
    ASSERT_TRUE((*reader)->Read(0, read).ok());
    EXPECT_TRUE(read == bytes + "end");
  }
}

TEST(LocalDurability, OpenTrace) {
  TempDirectory outer;
  auto ops = std::make_shared<RecordingFileOps>(outer.path());
  ASSERT_TRUE(local::OpenLocalWith(ops, outer.path() + "/new/store", {.allow_io_uring = false}).ok());
  std::string trace = "# a new directory in a new directory\n" + ops->Take() + "# again\n";
  ASSERT_TRUE(local::OpenLocalWith(ops, outer.path() + "/new/store", {.allow_io_uring = false}).ok());
  trace += ops->Take();
  EXPECT_EQ(GoldenMismatch("local_open.txt", trace), "");
}

TEST(LocalDurability, EachFailingCallOfABlobIsReported) {
  uint64_t calls = 0;
  {
    Rig s;
    s.ops->FailAt(0, 0);
    ASSERT_TRUE(WriteBlob(*s.backend, "dir/x").ok());
    calls = s.ops->calls();
  }
  ASSERT_GE(calls, 8u);
  for (uint64_t n = 1; n <= calls; ++n) {
    for (const int error : {EIO, ENOSPC}) {
      Rig s;
      s.ops->FailAt(n, error);
      const Status status = WriteBlob(*s.backend, "dir/x");
      const std::string trace = s.ops->Take();
      ASSERT_FALSE(status.ok()) << "a failure was swallowed:\n" << trace;
      EXPECT_EQ(status.code(), error == EIO ? Code::kIo : Code::kNoSpace) << status.ToString();
      EXPECT_EQ(status.os_error(), error) << status.ToString();
      EXPECT_EQ(status.message().find('\n'), std::string_view::npos);
      EXPECT_FALSE(s.HasTemporaries()) << trace;
      // Only when the sync of the directory failed is the outcome unknown; before it the name is still free.
      const bool published = s.backend->Open("dir/x").ok();
      EXPECT_EQ(published, n == calls) << trace;
      EXPECT_EQ(WriteBlob(*s.backend, "dir/x").ok(), !published) << "the next attempt starts afresh";
    }
  }
}

TEST(LocalDurability, EachFailingCallOfALogIsReportedAndPoisons) {
  constexpr uint64_t kCalls = 7;  // see the end of local_log.txt, and three for the directory
  for (uint64_t n = 1; n <= kCalls; ++n) {
    Rig s;
    s.ops->RefuseWindows();
    s.ops->FailAt(n, EIO);
    auto log = s.backend->features().append->CreateAppend("wal/1");
    Status first = log.status();
    if (log.ok()) {
      first = (*log)->Append("12345");
      if (first.ok()) first = (*log)->Sync();
      EXPECT_EQ((*log)->Append("x").ToString(), first.ToString());
      EXPECT_EQ((*log)->Sync().ToString(), first.ToString());
    }
    const std::string trace = s.ops->Take();
    EXPECT_EQ(first.code(), Code::kIo) << trace;
    EXPECT_TRUE(trace.ends_with(" -> fails\n")) << "no call after the failed one:\n" << trace;
  }
}

TEST(LocalDurability, EachFailingCallOfALookupIsReported) {
  for (uint64_t n = 1; n <= 7; ++n) {
    Rig s;
    ASSERT_TRUE(WriteBlob(*s.backend, "dir/x").ok());
    s.ops->Take();
    s.ops->FailAt(n, EIO);
    auto lookup = [&]() -> Status {
      TARN_ASSIGN(auto reader, s.backend->Open("dir/x"));
      char out[8];
      TARN_TRY(reader->Read(0, out));
      TARN_ASSIGN(auto page, s.backend->List("", "", 10));
      EXPECT_EQ(page.blobs.size(), 1u);
      return s.backend->features().space->Space().status();
    };
    const Status status = lookup();
    const std::string trace = s.ops->Take();
    EXPECT_EQ(status.code(), Code::kIo) << n << ":\n" << trace;
    EXPECT_NE(trace.find("fails"), std::string::npos) << trace;
  }
}

TEST(LocalDurability, EachFailingCallOfALockIsReported) {
  for (uint64_t n = 1; n <= 3; ++n) {
    Rig s;
    s.ops->FailAt(n, EIO);
    EXPECT_EQ(s.backend->features().locks->TryLock("lock", "me").status().code(), Code::kIo) << s.ops->Take();
    EXPECT_TRUE(s.backend->features().locks->TryLock("lock", "me").ok()) << "nothing is left locked";
  }
  Rig s;
  s.ops->FailAt(2, EOPNOTSUPP);
  const Status status = s.backend->features().locks->TryLock("lock", "me").status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("local filesystem"), std::string_view::npos) << status.ToString();
}

TEST(LocalDurability, ShortTransfersAreContinued) {
  Rig s;
  s.ops->SetMaxTransfer(3);
  ASSERT_TRUE(WriteBlob(*s.backend, "x").ok());
  auto log = s.backend->features().append->CreateAppend("log");
  ASSERT_TRUE((*log)->Append("12345").ok());
  ASSERT_TRUE((*log)->Append("678").ok());
  for (const char* name : {"x", "log"}) {
    auto reader = s.backend->Open(name);
    std::string out(8, '?');
    ASSERT_TRUE((*reader)->Read(0, out).ok());
    EXPECT_EQ(out, "12345678");
  }
}

// A process that died between making a directory and syncing its parent leaves a directory that may vanish. The
// next one must not rely on it.
TEST(LocalDurability, FoundDirectoryIsSyncedBeforeItsFirstUse) {
  Rig s;
  std::filesystem::create_directory(s.directory.path() + "/dir");
  ASSERT_TRUE(WriteBlob(*s.backend, "dir/x").ok());
  const std::string trace = s.ops->Take();
  const size_t parent = trace.find("fsync-dir .\n");
  ASSERT_NE(parent, std::string::npos) << trace;
  EXPECT_LT(parent, trace.find("create dir/.TMP")) << trace;
}

}  // namespace
}  // namespace tarn::test
