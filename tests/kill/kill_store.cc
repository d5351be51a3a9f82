// kill_store: a store in a directory, killed with SIGKILL again and again (kill_supervisor.h).
//
//   kill_store [--kills N] [--seed S] [--dir DIRECTORY]      defaults: TARN_KILLS, else 20; TARN_SEED, else any
//
// Exit: 0, or 1 with the seed, the kill and the first difference; the store is left where it is then.
#include <cstdio>
#include <filesystem>

#include "backends/local/local.h"
#include "tests/kill/arguments.h"
#include "tests/kill/kill_supervisor.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

class Directory final : public KillPlace {
 public:
  explicit Directory(std::string path) : path_(std::move(path)) {}
  Result<std::shared_ptr<Backend>> Open(bool) override { return local::OpenLocal(path_); }
  Status StartAfresh() override {
    fs::remove_all(path_);
    return {};
  }

 private:
  const std::string path_;
};

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv, {"--kills", "TARN_KILLS", 20});
  if (!arguments.has_value()) return 2;
  const std::string& directory = arguments->directory;
  fs::remove_all(directory);
  fs::create_directories(directory);
  Directory place(directory + "/store");
  const Status status = KillStore(arguments->seed, place).Run(arguments->count);
  if (!status.ok()) {
    std::fprintf(stderr, "FAILED: %s\nThe store is left in %s\n", status.ToString().c_str(), directory.c_str());
    return 1;
  }
  fs::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
