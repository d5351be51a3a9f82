// The io_uring queue where the contract suite cannot look: reads really overlap, blobs of other kinds are served,
// a queue that comes too late is refused, and nothing is written to after the queue is gone.
#include "backends/local/uring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "backends/local/files.h"
#include "backends/local/local.h"
#include "tests/local/deny_io_uring.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {
namespace {

#define NEED_IO_URING()                                                                    \
  do {                                                                                     \
    const std::string why = local::WhyNoUring();                                           \
    if (!why.empty()) GTEST_SKIP() << "this kernel or container has no io_uring: " << why; \
  } while (0)

// A FIFO posing as a blob: its reads end when the test writes, so that many can be seen waiting together.
struct Fifo {
  TempDirectory directory;
  std::string path = directory.path() + "/fifo";
  int fd = -1;
  std::unique_ptr<local::FileReader> reader;

  Fifo() {
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    const auto ops = local::PosixFileOps();
    reader = std::make_unique<local::FileReader>(ops.get(), open(path.c_str(), O_RDONLY | O_CLOEXEC), false, path,
                                                 1 << 20);
  }
  ~Fifo() { close(fd); }
  void Feed(std::string_view bytes) {
    ASSERT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
};

TEST(UringQueue, ManyReadsWaitTogetherAndSubmitDoesNotBlock) {
  NEED_IO_URING();
  Fifo fifo;
  const auto queue = local::NewUringQueue();
  ASSERT_NE(queue, nullptr);
  constexpr size_t kReads = 200;  // more than the ring takes; the rest waits in the queue
  std::string out(kReads, '?');
  std::vector<ReadRequest> requests(kReads);
  for (size_t i = 0; i < kReads; ++i) {
    requests[i] = {fifo.reader.get(), 0, std::span(out).subspan(i, 1), Status::Io("not read")};
    queue->Submit(&requests[i]);  // nothing can be read yet: a blocking read would hang here
  }
  fifo.Feed(std::string(kReads, 'x'));
  size_t back = 0;
  while (back < kReads) {
    const auto done = queue->Wait();
    ASSERT_FALSE(done.empty());
    for (const ReadRequest* request : done) EXPECT_TRUE(request->status.ok()) << request->status.ToString();
    back += done.size();
  }
  EXPECT_EQ(out, std::string(kReads, 'x'));
  EXPECT_TRUE(queue->Wait().empty());
}

TEST(UringQueue, ShortReadsGoBackForTheRest) {
  NEED_IO_URING();
  Fifo fifo;
  const auto queue = local::NewUringQueue();
  std::string out(10, '?');
  ReadRequest request{fifo.reader.get(), 0, out, Status::Io("not read")};
  queue->Submit(&request);
  std::thread feeder([&] {
    for (const char* piece : {"12", "3", "4567", "890"}) fifo.Feed(piece);
  });
  const auto done = queue->Wait();
  feeder.join();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_TRUE(request.status.ok()) << request.status.ToString();
  EXPECT_EQ(out, "1234567890");
}

TEST(UringQueue, BadDescriptorIsAnErrorOfItsReadAlone) {
  NEED_IO_URING();
  TempDirectory temp;
  auto backend = local::OpenLocal(temp.path());
  ASSERT_TRUE((*backend)->PutIfAbsent("x", "12345").ok());
  auto good = (*backend)->Open("x");
  const auto ops = local::PosixFileOps();
  // A directory can be opened and not be read.
  local::FileReader bad(ops.get(), open(temp.path().c_str(), O_RDONLY | O_CLOEXEC), false, temp.path(), 100);
  const auto queue = local::NewUringQueue();
  char out[10];
  ReadRequest requests[2] = {{&bad, 0, std::span(out, 5), Status::Ok()},
                             {good->get(), 0, std::span(out + 5, 5), Status::Io("not read")}};
  for (ReadRequest& request : requests) queue->Submit(&request);
  for (size_t back = 0; back < 2;) back += queue->Wait().size();
  EXPECT_EQ(requests[0].status.os_error(), EISDIR) << requests[0].status.ToString();
  EXPECT_TRUE(requests[1].status.ok());
  EXPECT_EQ(std::string(out + 5, 5), "12345");
}

TEST(UringQueue, ServesBlobsOfOtherBackends) {
  NEED_IO_URING();
  class Constant final : public BlobReader {
   public:
    uint64_t size() const override { return 5; }
    Status Read(uint64_t, std::span<char> out) const override {
      std::fill(out.begin(), out.end(), 'c');
      return Status::Ok();
    }
  } blob;
  const auto queue = local::NewUringQueue();
  char out[3];
  ReadRequest request{&blob, 0, out, Status::Io("not read")};
  queue->Submit(&request);
  ASSERT_EQ(queue->Wait().size(), 1u);
  EXPECT_TRUE(request.status.ok());
  EXPECT_EQ(std::string(out, 3), "ccc");
}

TEST(UringQueue, IsNullWhenItComesAfterTheKernelChangedItsMind) {
  NEED_IO_URING();
  TempDirectory temp;
  auto backend = local::OpenLocal(temp.path());
  ASSERT_TRUE(backend.ok());
  EXPECT_EQ((*backend)->info().read_engine, "io_uring");
  std::thread([&] {
    ASSERT_TRUE(DenyIoUring(ENOMEM));
    EXPECT_EQ((*backend)->features().queues->NewReadQueue(), nullptr);
  }).join();
  EXPECT_NE((*backend)->features().queues->NewReadQueue(), nullptr);
}

TEST(UringQueue, MovesToAThreadThatMayHaveNoRing) {
  NEED_IO_URING();
  TempDirectory temp;
  auto backend = local::OpenLocal(temp.path());
  ASSERT_TRUE((*backend)->PutIfAbsent("x", "12345").ok());
  auto reader = (*backend)->Open("x");
  auto queue = (*backend)->features().queues->NewReadQueue();
  std::thread([&] {
    ASSERT_TRUE(DenyIoUring(EPERM));
    char out[5];
    ReadRequest request{reader->get(), 0, out, Status::Io("not read")};
    queue->Submit(&request);
    ASSERT_EQ(queue->Wait().size(), 1u);
    EXPECT_TRUE(request.status.ok()) << request.status.ToString();
    EXPECT_EQ(std::string(out, 5), "12345");
  }).join();
}

TEST(UringQueueDeathTest, TwoOwnersAtOnceAreStopped) {
  NEED_IO_URING();
  Fifo fifo;  // out here, because a process that dies cleans nothing up
  auto share = [&] {
    const auto queue = local::NewUringQueue();
    char out[1];
    ReadRequest request{fifo.reader.get(), 0, out};
    queue->Submit(&request);
    std::thread([&] { queue->Wait(); }).join();
  };
  EXPECT_DEATH(share(), "used from a second thread while reads are in flight");
}

}  // namespace
}  // namespace tarn::test
