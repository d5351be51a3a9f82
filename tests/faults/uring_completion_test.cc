// What io_uring answers when a read goes wrong: completions that are short, empty, or an error. FileOps does not see
// the ring. Some completions here are real ones, made by files that answer like that:
//
//   short, then 0        a file that was cut behind the back of its reader
//   short, then -EIO     /proc/self/mem, where one page is mapped and the next is not
//
// The others (-EINTR, -EAGAIN, -ECANCELED, a count of one) are fed to the function that judges them, completion.h. A
// short completion is continued and never believed; an error belongs to its read alone and names the file; nothing
// spins; the queue works on afterwards.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "backends/local/completion.h"
#include "backends/local/files.h"
#include "backends/local/local.h"
#include "backends/local/uring.h"
#include "tests/kernel/sim_store.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

class UringCompletion : public testing::Test {
 protected:
  void SetUp() override {
    const std::string why = local::WhyNoUring();
    if (!why.empty()) GTEST_SKIP() << "this kernel or container has no io_uring: " << why;
    queue_ = local::NewUringQueue();
    ASSERT_NE(queue_, nullptr);
  }
  Status Read(const BlobReader& blob, uint64_t offset, std::span<char> out) {
    ReadRequest request{&blob, offset, out, Status::Ok()};
    queue_->Submit(&request);
    const auto done = queue_->Wait();
    EXPECT_EQ(done.size(), 1u);
    return request.status;
  }
  std::unique_ptr<local::FileReader> Reader(const std::string& path, int flags, uint64_t size) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC);
    EXPECT_GE(fd, 0) << path << ": " << std::strerror(errno);
    return std::make_unique<local::FileReader>(ops_.get(), fd, false, path, size);
  }

  const std::shared_ptr<local::FileOps> ops_ = local::PosixFileOps();
  std::unique_ptr<ReadQueue> queue_;
  TempDirectory directory_;
};

TEST_F(UringCompletion, AFileThatEndsTooSoonIsCorruptionAtItsEnd) {
  auto backend = local::OpenLocal(directory_.path());
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  const std::string bytes(64 << 10, 'b');
  ASSERT_TRUE((*backend)->PutIfAbsent("blob", bytes).ok());
  const auto blob = (*backend)->Open("blob");
  ASSERT_TRUE(blob.ok());
  const std::string path = directory_.path() + "/blob";
  std::string out(bytes.size(), '?');
  fs::resize_file(path, 10000);
  const Status cut = Read(**blob, 0, out);
  EXPECT_EQ(cut.code(), Code::kCorruption) << cut.ToString();
  EXPECT_NE(cut.message().find(path + " ends at byte 10000"), std::string_view::npos) << cut.ToString();
  EXPECT_NE(cut.message().find("run tarn check"), std::string_view::npos) << cut.ToString();
  std::ofstream(path, std::ios::trunc) << bytes;
  EXPECT_TRUE(Read(**blob, 0, out).ok());
  EXPECT_EQ(out, bytes);
}

TEST_F(UringCompletion, AnErrorBehindAShortReadIsTheReadsError) {
  const auto page = static_cast<size_t>(getpagesize());
  void* const mapped = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(mapped, MAP_FAILED);
  std::memset(mapped, 'm', page);
  ASSERT_EQ(munmap(static_cast<char*>(mapped) + page, page), 0);
  const auto memory = Reader("/proc/self/mem", O_RDONLY, INT64_MAX);
  const auto end = reinterpret_cast<uint64_t>(mapped) + page;
  std::string out(200, '?');
  const Status failed = Read(*memory, end - 100, out);
  EXPECT_EQ(failed.code(), Code::kIo) << failed.ToString();
  EXPECT_EQ(failed.os_error(), EIO);
  EXPECT_NE(failed.message().find("cannot read /proc/self/mem"), std::string_view::npos) << failed.ToString();
  // Beside one that fails, others are served.
  std::string good(100, '?');
  ReadRequest requests[2] = {{memory.get(), end - 50, std::span(out), Status::Ok()},
                             {memory.get(), end - 100, std::span(good), Status::Io("not read")}};
  for (ReadRequest& request : requests) queue_->Submit(&request);
  for (size_t back = 0; back < 2;) back += queue_->Wait().size();
  EXPECT_EQ(requests[0].status.os_error(), EIO);
  EXPECT_TRUE(requests[1].status.ok()) << requests[1].status.ToString();
  EXPECT_EQ(good, std::string(100, 'm'));
  munmap(mapped, page);
}

// The results that no file gives at will.
TEST(Completion, ShortIsContinuedAndNeverBelieved) {
  local::ReadProgress read{.wanted = 100};
  EXPECT_EQ(Advance(&read, 1), local::Completion::kAgain);
  EXPECT_EQ(Advance(&read, 98), local::Completion::kAgain);
  EXPECT_EQ(read.done, 99u);
  EXPECT_EQ(Advance(&read, 1), local::Completion::kWhole);
  read = {.wanted = 100, .done = 40};
  EXPECT_EQ(Advance(&read, 0), local::Completion::kEndOfFile);
  EXPECT_EQ(read.done, 40u);
}

TEST(Completion, AnErrorIsAnErrorAlsoWhenMostIsHere) {
  for (const int error : {EIO, ECANCELED, EBADF, EFAULT, ENOMEM, EOPNOTSUPP}) {
    local::ReadProgress read{.wanted = 100, .done = 99};
    EXPECT_EQ(Advance(&read, -error), local::Completion::kFailed) << error;
    EXPECT_EQ(read.done, 99u);
  }
}

TEST(Completion, NoProgressEndsWithAPlainRead) {
  for (const int error : {EAGAIN, EINTR}) {
    local::ReadProgress read{.wanted = 100};
    for (int i = 1; i < local::kMaxRetries; ++i) EXPECT_EQ(Advance(&read, -error), local::Completion::kAgain);
    EXPECT_EQ(Advance(&read, 10), local::Completion::kAgain) << "progress starts the count anew";
    for (int i = 1; i < local::kMaxRetries; ++i) EXPECT_EQ(Advance(&read, -error), local::Completion::kAgain);
    EXPECT_EQ(Advance(&read, -error), local::Completion::kPlainRead);
    EXPECT_EQ(read.done, 10u);
  }
}

// The whole way up: a table that is cut under an open store is an error of the rows that are gone, and of no others.
TEST_F(UringCompletion, MultiGetOverATableThatWasCut) {
  Settings settings = SmallSettings();
  settings.compression = settings.last_level_compression = Compression::kNone;
  auto backend = local::OpenLocal(directory_.path());
  ASSERT_TRUE(backend.ok());
  ASSERT_EQ((*backend)->info().read_engine, "io_uring");
  auto opened = OpenSim(*backend, settings);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  DB& db = **opened;
  std::vector<std::string> keys, values;
  for (uint64_t n = 0; n < 100; ++n) {
    keys.push_back(NumberedKey(n));
    ASSERT_TRUE(db.Put(keys.back(), std::string(500, static_cast<char>('a' + n % 26))).ok());
  }
  ASSERT_TRUE(db.Flush().ok());
  std::string value;
  ASSERT_TRUE(db.Get(keys[0], &value).ok());  // opens the table
  const fs::path table = fs::directory_iterator(directory_.path() + "/table")->path();
  const fs::path kept = directory_.path() + "/kept";
  fs::copy_file(table, kept);
  fs::resize_file(table, fs::file_size(table) / 2);
  const auto check = [&](bool whole) {
    uint64_t errors = 0;
    const auto statuses = db.MultiGet({}, {keys.begin(), keys.end()}, &values);
    for (size_t n = 0; n < keys.size(); ++n) {
      if (statuses[n].ok()) {
        EXPECT_EQ(values[n], std::string(500, static_cast<char>('a' + n % 26)));
        continue;
      }
      ++errors;
      EXPECT_EQ(statuses[n].code(), Code::kCorruption) << statuses[n].ToString();
      EXPECT_NE(statuses[n].message().find(table.filename().string()), std::string_view::npos);
    }
    EXPECT_EQ(errors > 0, !whole);
    EXPECT_LT(errors, keys.size());
  };
  check(false);
  fs::copy_file(kept, table, fs::copy_options::overwrite_existing);  // into the same inode
  check(true);
}

}  // namespace
}  // namespace tarn::test
