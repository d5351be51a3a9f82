// kill_s3: a store in the bucket of the test server, killed with SIGKILL again and again
// (tests/kill/kill_supervisor.h). Unlike a file, a server may carry out what a process asked for after it has died.
//
//   kill_s3 [--kills N] [--seed S]      defaults: TARN_S3_KILLS, else 5; TARN_SEED, else any
//
// Exit: 0, or 1 with the seed, the kill and the first difference; the store is left where it is then.
#include <unistd.h>

#include <cstdio>

#include "tests/kill/arguments.h"
#include "tests/kill/kill_supervisor.h"
#include "tests/s3/server_store.h"

namespace tarn::test {
namespace {

// Each store has a prefix of its own: what lands late for an earlier one does not meet it.
class Bucket final : public KillPlace {
 public:
  explicit Bucket(ServerEnv server) : server_(std::move(server)) {}
  Result<std::shared_ptr<Backend>> Open(bool read_only) override {
    s3::S3Options options = ServerOptions(server_, Prefix());
    options.read_only = read_only;
    TARN_ASSIGN(std::shared_ptr<s3::S3Backend> backend, OpenOnServer(server_, options));
    return std::shared_ptr<Backend>(std::move(backend));
  }
  Status StartAfresh() override {
    TARN_ASSIGN(const std::shared_ptr<Backend> old, Open(false));
    ++store_;
    return EmptyStore(*old);
  }
  std::string Prefix() const {
    return "test/kill_s3/" + std::to_string(supervisor_) + "/" + std::to_string(store_) + "/";
  }

 private:
  const ServerEnv server_;
  const pid_t supervisor_ = getpid();  // of the supervisor: its children open the same store
  int store_ = 1;
};

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv, {"--kills", "TARN_S3_KILLS", 5, /*has_directory=*/false});
  if (!arguments.has_value()) return 2;
  const char* const wanted = std::getenv("TARN_S3_TESTS");
  if (wanted != nullptr && std::string_view(wanted) == "off") return 77;
  Result<ServerEnv> server = ReadServerEnv();
  if (!server.ok()) {
    std::fprintf(stderr, "FAILED: %s\n", server.status().ToString().c_str());
    return 1;
  }
  Bucket place(std::move(*server));
  Status status = KillStore(arguments->seed, place).Run(arguments->count);
  const std::string prefix = place.Prefix();
  if (status.ok()) status = place.StartAfresh();
  if (status.ok()) return 0;
  std::fprintf(stderr, "FAILED: %s\nThe store is left in %s\n", status.ToString().c_str(), prefix.c_str());
  return 1;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
