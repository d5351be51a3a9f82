#include "bench/report/machine.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace tarn::bench {
namespace {

// The value of the first line "name : value" of a file in /proc.
std::string ProcField(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const size_t at = line.find_first_not_of(" \t", line.find(':') + 1);
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "";
}

// The mount with the longest path that `dir` lies under; docs: proc_pid_mountinfo(5).
std::string FilesystemOf(const std::string& dir) {
  std::error_code ignored;
  const std::string path = std::filesystem::weakly_canonical(dir, ignored).string() + "/";
  std::ifstream file("/proc/self/mountinfo");
  std::string best, answer = "unknown";
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string skip, point, word, type, source;
    words >> skip >> skip >> skip >> skip >> point;
    while (words >> word && word != "-") continue;
    words >> type >> source;
    const std::string prefix = point == "/" ? point : point + "/";
    if (!path.starts_with(prefix) || prefix.size() < best.size()) continue;
    best = prefix;
    answer = type + " on " + source;
  }
  return answer;
}

}  // namespace

Machine ReadMachine(const std::string& dir) {
  Machine machine;
  machine.cpu = ProcField("/proc/cpuinfo", "model name");
  if (machine.cpu.empty()) machine.cpu = "unknown processor";
  machine.cores = std::max(1u, std::thread::hardware_concurrency());
  machine.memory_bytes = std::strtoull(ProcField("/proc/meminfo", "MemTotal").c_str(), nullptr, 10) * 1024;
  utsname names{};
  if (uname(&names) == 0) machine.kernel = std::string(names.sysname) + " " + names.release;
  machine.filesystem = FilesystemOf(dir);
  double load = 0;
  if (getloadavg(&load, 1) == 1) machine.load = load;
  machine.commit = TARN_BENCH_COMMIT;
  machine.build = TARN_BENCH_BUILD;
  return machine;
}

}  // namespace tarn::bench
