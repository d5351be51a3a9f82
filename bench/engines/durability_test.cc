// What cannot be seen through the interface: that durability means the same in every engine, that reads pass the page
// cache by, that errors are one line. The program starts itself as `engines_test --put-until-killed ENGINE DIR` for
// the test that kills. fsync and fdatasync are replaced by ones that count, also for the libraries that are linked.
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <fstream>

#include "bench/engines/engine_test.h"

namespace {
std::atomic<int> syncs{0};
}
extern "C" int fsync(int fd) {
  ++syncs;
  return static_cast<int>(syscall(SYS_fsync, fd));
}
extern "C" int fdatasync(int fd) {
  ++syncs;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace tarn::bench {
namespace {

namespace fs = std::filesystem;
using testing::ExitedWithCode;
using testing::HasSubstr;

class DurabilityTest : public EngineTest {};
INSTANTIATE_TEST_SUITE_P(All, DurabilityTest, testing::ValuesIn(Names()),
                         [](const auto& test) { return test.param; });

// Tarn's own tests say what it syncs (tests/power), and it need not call fsync for it.
TEST_P(DurabilityTest, PowerSyncsEachPutAndProcessDoesNot) {
  if (GetParam() == "tarn") GTEST_SKIP() << "covered by tests/power";
  constexpr int kPuts = 20;
  for (const Durability durability : {Durability::kProcess, Durability::kPower}) {
    config_.durability = durability;
    Open();
    engine_->Put("first", "one may cost extra");
    const int before = syncs;
    for (int n = 0; n < kPuts; ++n) engine_->Put(KeyOf(n), ValueOf(n));
    if (durability == Durability::kPower) {
      EXPECT_GE(syncs - before, kPuts);
    } else {
      EXPECT_LT(syncs - before, kPuts / 4);
    }
  }
}

// Whether this process has a file open for which the kernel says O_DIRECT.
bool HoldsDirectFile(const std::string& dir) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = fs::read_symlink(entry.path(), error);
    if (error || !target.starts_with(dir)) continue;
    const int flags = fcntl(std::stoi(entry.path().filename()), F_GETFL);
    if (flags >= 0 && (flags & O_DIRECT) != 0) return true;
  }
  return false;
}

TEST_P(DurabilityTest, DirectReadsAreDoneOrDenied) {
  const int probe = open(config_.dir.c_str(), O_TMPFILE | O_RDWR | O_DIRECT, 0600);
  if (probe < 0) GTEST_SKIP() << "the filesystem of " << config_.dir << " has no O_DIRECT";
  close(probe);
  config_.direct_reads = true;
  Open();
  PutEven(1000);
  engine_->Settle();
  Open();
  EXPECT_EQ(Get(KeyOf(500)), ValueOf(500));
  if (GetParam() == "lmdb" || GetParam() == "leveldb") {
    EXPECT_THAT(engine_->Describe(), HasSubstr("no direct reads"));
  } else {
    EXPECT_TRUE(HoldsDirectFile(config_.dir));
  }
}

TEST_P(DurabilityTest, ErrorsAreOneLine) {
  std::ofstream(config_.dir + "/file") << "in the way";
  EngineConfig config = config_;
  config.dir += "/file/store";
  EXPECT_EXIT(Kind(GetParam()).open(config), ExitedWithCode(1), "^tarn-bench: cannot create the directory [^\n]*\n$");
  const std::string key(600, 'k');
  if (GetParam() == "lmdb") {
    EXPECT_EXIT(Open().Put(key, "v"), ExitedWithCode(1),
                "^tarn-bench: lmdb: a key of 600 bytes[^\n]*at most 511[^\n]*\n$");
  } else {
    Open().Put(key, "v");
    EXPECT_EQ(Get(key), "v");
  }
}

// Equal durability: what kProcess acknowledged survives kill -9, in every engine. The child writes one byte into the
// pipe after each put that returned.
TEST_P(DurabilityTest, KilledProcessLosesNothing) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execl("/proc/self/exe", "engines_test", "--put-until-killed", GetParam().c_str(), config_.dir.c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  int acknowledged = 0;
  std::array<char, 4096> bytes;
  for (ssize_t n; (n = read(ends[0], bytes.data(), bytes.size())) > 0;) {
    const int before = acknowledged;
    acknowledged += static_cast<int>(n);
    constexpr int kEnough = 3000;
    if (before < kEnough && acknowledged >= kEnough) kill(child, SIGKILL);
  }
  close(ends[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself with status " << WEXITSTATUS(status);
  Open();
  for (int n = 0; n < acknowledged; ++n) ASSERT_EQ(Get(KeyOf(n)), ValueOf(n)) << n << " of " << acknowledged;
}

int PutUntilKilled(const std::string& name, const std::string& dir) {
  const std::unique_ptr<Engine> engine = Kind(name).open(SmallConfig(dir));
  for (int n = 0;; ++n) {
    engine->Put(KeyOf(n), ValueOf(n));
    if (write(STDOUT_FILENO, "", 1) != 1) return 1;
  }
}

}  // namespace
}  // namespace tarn::bench

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--put-until-killed")
    return tarn::bench::PutUntilKilled(argv[2], argv[3]);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
