#include "bench/report/stores.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "bench/report/child.h"

namespace tarn::bench {
namespace fs = std::filesystem;
namespace {

// Waits until the filesystem of `dir` has nothing left to write.
std::string Drain(const std::string& dir) {
  const int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fmt::format("cannot open {}: {}", dir, std::strerror(errno));
  const std::string why = syncfs(fd) == 0 ? "" : fmt::format("cannot sync {}: {}", dir, std::strerror(errno));
  close(fd);
  return why;
}

std::string DataSetOf(const RunSpec& spec) {
  return fmt::format("{} keys of {} bytes, values of {} bytes, compressibility {}", spec.keys, spec.key_bytes,
                     spec.value_bytes, spec.compressibility);
}

std::string MakeEmpty(const std::string& dir) {
  std::error_code error;
  fs::remove_all(dir, error);
  if (!error) fs::create_directories(dir, error);
  return error ? fmt::format("cannot make {} anew: {}", dir, error.message()) : "";
}

}  // namespace

Stores::Stores(std::string dir, bool keep) : dir_(std::move(dir)), keep_(keep) {
  std::error_code error;
  made_dir_ = fs::create_directories(dir_, error);
  if (error)
    Die(fmt::format("cannot make --dir {}: {}; name a directory that can be written", dir_, error.message()));
  const bool empty = fs::is_empty(dir_, error);
  if (error) Die(fmt::format("cannot read --dir {}: {}", dir_, error.message()));
  if (!empty) Die(fmt::format("--dir {} is not empty; delete it or name another one", dir_));
  if (access(dir_.c_str(), W_OK | X_OK) != 0) Die(fmt::format("cannot write to --dir {}; name another one", dir_));
}

Stores::~Stores() {
  if (keep_) return;
  std::error_code ignored;
  for (const auto& [engine, base] : bases_) fs::remove_all(fs::path(dir_) / engine, ignored);
  if (made_dir_) fs::remove(dir_, ignored);
}

std::string Stores::PathOf(const std::string& engine, const char* what) const {
  return (fs::path(dir_) / engine / what).string();
}

std::string Stores::Load(RunSpec spec, const std::function<void()>& tick) {
  Base& base = bases_[spec.engine];
  const std::string data_set = DataSetOf(spec);
  if (base.data_set == data_set) return base.error;
  spec.config.dir = PathOf(spec.engine, "base");
  base = {data_set, MakeEmpty(spec.config.dir)};
  if (!base.error.empty()) return base.error;
  const ChildOutcome loaded = RunChild({"/proc/self/exe", "load", ToJson(spec)}, tick);
  if (!loaded.error.empty()) base.error = "loading the data set: " + loaded.error;
  return base.error;
}

std::string Stores::Prepare(Data need, RunSpec* spec, const std::function<void(const std::string&)>& note,
                            const std::function<void()>& tick) {
  if (need != Data::kEmpty) {
    note("load");
    if (std::string error = Load(*spec, tick); !error.empty()) return error;
  } else {
    bases_.try_emplace(spec->engine);  // so that the destructor knows the directory
  }
  spec->config.dir = PathOf(spec->engine, need == Data::kLoaded ? "base" : "run");
  if (need != Data::kLoaded) {
    if (std::string error = MakeEmpty(spec->config.dir); !error.empty()) return error;
  }
  if (need == Data::kCopy) {
    note("copy");
    // cp knows reflinks and leaves holes holes: a map of LMDB is mostly one.
    const ChildOutcome copied = RunChild(
        {"cp", "-R", "--reflink=auto", "--sparse=auto", "--", PathOf(spec->engine, "base") + "/.", spec->config.dir},
        tick);
    if (!copied.error.empty()) return "copying the data set: " + copied.error;
  }
  return Drain(dir_);
}

void Stores::Release(const RunSpec& spec) {
  if (keep_ || spec.config.dir != PathOf(spec.engine, "run")) return;
  std::error_code ignored;  // the destructor tries again
  fs::remove_all(spec.config.dir, ignored);
}

}  // namespace tarn::bench
