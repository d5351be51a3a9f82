// The server of a lake and its clients: the real program, run as a user runs it, against a Server in this process.
#include "cli/serve.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "base/coding.h"
#include "cli/context.h"
#include "cli/store.h"
#include "cli/wire.h"

extern char** environ;

namespace tarn::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
namespace fs = std::filesystem;

std::string Slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

struct Done {
  int code = 0;
  std::string out, err;
};

class ServeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { Server::BlockSignals(); }

  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tarn-serve-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    // Longer than an address of a unix socket can be.
    lake_dir_ = dir_ / std::string(150, 'l') / "lake";
    fs::create_directories(lake_dir_.parent_path());
    auto lake = InitLake(lake_dir_.string(), "serve_test");
    ASSERT_TRUE(lake.ok()) << lake.status().ToString();
    lake_ = std::move(lake).value();
    StartServer();
  }

  void TearDown() override {
    server_.reset();
    EXPECT_FALSE(fs::exists(lake_dir_ / kSocketName));
    if (lake_) {
      EXPECT_TRUE(lake_->Close().ok());
    }
    lake_.reset();
    fs::remove_all(dir_);
  }

  void StartServer() {
    auto server = Server::Start(*lake_, lake_dir_.string(), lake_dir_.string(),
                                {[this] { signalled_.set_value(); }, [this] { ++settled_; }});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
  }

  // Starts the program; its output goes to `out_fd`, or to files that Wait reads.
  pid_t Spawn(std::vector<std::string> args, int out_fd = -1) {
    args.insert(args.begin(), {TARN_BINARY, "--lake", lake_dir_.string()});
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (out_fd < 0) posix_spawn_file_actions_addopen(&actions, 1, Out().c_str(), flags, 0600);
    if (out_fd >= 0) posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    posix_spawn_file_actions_addopen(&actions, 2, Err().c_str(), flags, 0600);
    posix_spawn_file_actions_addchdir_np(&actions, dir_.c_str());
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, TARN_BINARY, &actions, &attributes, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return pid;
  }

  Done Wait(pid_t pid) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Slurp(Out()), Slurp(Err())};
  }
  Done Run(std::vector<std::string> args) { return Wait(Spawn(std::move(args))); }

  fs::path Out() const { return dir_ / "out"; }
  fs::path Err() const { return dir_ / "err"; }

  // A file of some megabytes at /big: more than pipes and buffers hold.
  void MakeBig() {
    std::ofstream(dir_ / "big", std::ios::binary) << std::string(4 << 20, 'b');
    ASSERT_EQ(Run({"import", "-q", "big", "/big"}).code, 0);
  }

  // A client that prints into a pipe which nobody empties, seen to have begun.
  struct Stuck {
    pid_t pid = -1;
    UniqueFd reader;
  };
  Stuck StartStuck() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    Stuck stuck;
    stuck.reader = UniqueFd(ends[0]);
    const UniqueFd writer(ends[1]);
    stuck.pid = Spawn({"cat", "/big"}, writer.get());
    char byte;
    EXPECT_EQ(read(stuck.reader.get(), &byte, 1), 1);
    return stuck;
  }

  fs::path dir_, lake_dir_;
  std::unique_ptr<lake::Lake> lake_;
  std::promise<void> signalled_;
  std::atomic<int> settled_{0};
  std::unique_ptr<Server> server_;
};

TEST_F(ServeTest, VerbsGoThroughTheHolder) {
  EXPECT_EQ(Run({"mkdir", "/made"}).code, 0);
  // It is in the holder's lake, at once.
  EXPECT_TRUE(lake_->Head().Lookup(lake::kRootIno, "made").ok());
  const Done ls = Run({"ls", "/"});
  EXPECT_EQ(ls.code, 0);
  EXPECT_EQ(ls.out, "made\n");
  EXPECT_EQ(ls.err, "");
  EXPECT_EQ(settled_, 2);  // after each of them
}

TEST_F(ServeTest, ErrorsAndExitCodesComeBack) {
  const Done missing = Run({"cat", "/nope"});
  EXPECT_EQ(missing.code, kExitNotFound);
  EXPECT_THAT(missing.err, MatchesRegex("tarn cat: /nope: [^\n]*\n"));
  EXPECT_EQ(Run({"ls", "--nonsense"}).code, kExitUsage);
}

TEST_F(ServeTest, StatsAreTheHolders) {
  for (const char* name : {"/a", "/b", "/c"}) ASSERT_EQ(Run({"mkdir", name}).code, 0);
  const uint64_t batches = lake_->db().Statistics().at("write.batches");
  ASSERT_GE(batches, 3u);
  const Done stats = Run({"stats", "--json"});
  EXPECT_EQ(stats.code, 0) << stats.err;
  EXPECT_THAT(stats.out, HasSubstr("\"write.batches\":" + std::to_string(batches) + ","));
  // Everybody's requests are in what the holder spent, and it says so.
  EXPECT_EQ(Run({"--cost", "ls", "/a"}).err, "tarn ls: cost: no bucket was used, by all who use the mount\n");
}

TEST_F(ServeTest, PathsAreTheClients) {
  fs::create_directories(dir_ / "tree");
  std::ofstream(dir_ / "tree" / "f") << "hello";
  EXPECT_EQ(Run({"import", "-q", "tree", "/t"}).code, 0);
  EXPECT_EQ(Run({"export", "-q", "/t", "back"}).code, 0);
  EXPECT_EQ(Slurp(dir_ / "back" / "f"), "hello");
  // The lake's own storage is refused here too.
  const Done around = Run({"import", ".", "/all"});
  EXPECT_EQ(around.code, kExitFailed);
  EXPECT_THAT(around.err, HasSubstr("own storage"));
}

TEST_F(ServeTest, LargeOutputIsWhole) {
  MakeBig();
  const Done cat = Run({"cat", "/big"});
  EXPECT_EQ(cat.code, 0);
  EXPECT_EQ(cat.out, std::string(4 << 20, 'b'));
}

TEST_F(ServeTest, ArgumentsAreBytes) {
  const std::string name = "/\xff\n\\x";
  EXPECT_EQ(Run({"mkdir", "--", name}).code, 0);
  EXPECT_TRUE(lake_->Head().Lookup(lake::kRootIno, name.substr(1)).ok());
}

TEST_F(ServeTest, TheLogKnowsWhoAndWhat) {
  ASSERT_EQ(Run({"mkdir", "/x"}).code, 0);
  auto log = lake_->ReadLog(0, 1);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ((*log)[0].who, WhoIs(getuid()));
  EXPECT_THAT((*log)[0].command, HasSubstr("mkdir /x"));
}

TEST_F(ServeTest, VerbsThatNeedTheLakeForThemselvesNameTheHolder) {
  fs::create_directories(dir_ / "mnt");
  const Done mount = Run({"mount", "mnt"});
  EXPECT_EQ(mount.code, kExitBusy);
  EXPECT_THAT(mount.err, HasSubstr(std::to_string(getpid())));
}

TEST_F(ServeTest, KilledClientsSetTheirWorkersFree) {
  MakeBig();
  std::vector<Stuck> stuck;
  for (int i = 0; i < 8; ++i) stuck.push_back(StartStuck());  // every worker there is
  const pid_t queued = Spawn({"ls", "/"});
  for (const Stuck& one : stuck) kill(one.pid, SIGKILL);
  const Done ls = Wait(queued);
  EXPECT_EQ(ls.code, 0);
  EXPECT_EQ(ls.out, "big\n");
  for (const Stuck& one : stuck) waitpid(one.pid, nullptr, 0);
}

TEST_F(ServeTest, InterruptReachesTheVerb) {
  MakeBig();
  const Stuck stuck = StartStuck();
  kill(stuck.pid, SIGINT);
  const Done done = Wait(stuck.pid);
  EXPECT_EQ(done.code, kExitInterrupted);
  EXPECT_THAT(done.err, MatchesRegex("tarn cat: interrupted[^\n]*\n"));
}

TEST_F(ServeTest, StopEndsWhatRuns) {
  MakeBig();
  const Stuck stuck = StartStuck();
  server_->Stop();
  EXPECT_EQ(Wait(stuck.pid).code, kExitInterrupted);
  // And now the lake is only locked, not served.
  const Done mkdir = Run({"mkdir", "/x"});
  EXPECT_EQ(mkdir.code, kExitBusy);
  EXPECT_THAT(mkdir.err, HasSubstr(std::to_string(getpid())));
  EXPECT_EQ(Run({"ls", "/"}).code, kExitOk) << "reading needs no lock";
}

TEST_F(ServeTest, SignalsReachTheOwner) {
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signalled_.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
}

TEST_F(ServeTest, GarbageIsSurvived) {
  const auto send = [&](const std::string& bytes) {
    auto socket = ConnectTo(lake_dir_.string());
    ASSERT_TRUE(socket.ok());
    ASSERT_EQ(::send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    shutdown(socket->get(), SHUT_WR);
    char byte;
    EXPECT_LE(recv(socket->get(), &byte, 1, 0), 0);  // hung up without an answer
  };
  std::string huge = "tarn";
  PutFixed32(&huge, 1);
  PutFixed32(&huge, UINT32_MAX);
  for (const std::string& bytes : {std::string("x"), std::string("GET / HTTP/1.1\r\n\r\n"), huge}) send(bytes);
  EXPECT_EQ(Run({"ls", "/"}).code, 0);
}

TEST_F(ServeTest, ASocketLeftBehindIsNoObstacle) {
  server_->Stop();
  {
    auto left = ListenIn(lake_dir_.string());
    ASSERT_TRUE(left.ok()) << left.status().ToString();
  }
  ASSERT_TRUE(fs::exists(lake_dir_ / kSocketName));
  ASSERT_TRUE(lake_->Close().ok());
  lake_.reset();
  EXPECT_EQ(Run({"ls", "/"}).code, 0);  // opens the lake itself
  auto lake = OpenLake(lake_dir_.string(), Access::kWrite, "serve_test");
  ASSERT_TRUE(lake.ok()) << lake.status().ToString();
  lake_ = std::move(lake).value();
  StartServer();
  EXPECT_EQ(Run({"ls", "/"}).code, 0);
}

TEST_F(ServeTest, RequestRoundTrip) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const UniqueFd client(pair[0]), server(pair[1]);
  const std::vector<std::string> args = {"ls", "", "\xff\xfe\n", "\\x41", "ü"};
  ASSERT_TRUE(SendRequest(client.get(), args, "lake\xff", STDIN_FILENO).ok());
  auto request = ReceiveRequest(server.get());
  ASSERT_TRUE(request.ok()) << request.status().ToString();
  EXPECT_EQ(request->args, args);
  EXPECT_EQ(request->location, "lake\xff");
  for (const UniqueFd* fd : {&request->in, &request->out, &request->err, &request->cwd}) EXPECT_TRUE(fd->ok());
}

}  // namespace
}  // namespace tarn::cli
