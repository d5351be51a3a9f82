// Runs a target on stored inputs without libFuzzer, so that every build keeps the targets alive:
//
//   fuzz_replay TARGET [--mutations N] [--seed S] [--write OUT] FILE|DIRECTORY...
//
// Each input is run as it is, then N times with random changes (resealed like libFuzzer's). Each such run has a seed
// of its own, counted up from S. What is about to run is kept in fuzz_replay.TARGET in the working directory as the
// arguments that run it again; after a crash the file is still there. With --write each changed input is written to
// OUT before it is run: that is how a crash becomes a file for regress/.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/mutate.h"
#include "tests/support/sim_effects.h"

namespace tarn::fuzz {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Usage(const std::string& what) {
  std::fprintf(stderr,
               "fuzz_replay: %s; usage: fuzz_replay TARGET [--mutations N] [--seed S] [--write OUT] FILE...\n",
               what.c_str());
  std::exit(2);
}

std::vector<fs::path> FilesOf(const std::vector<std::string>& operands) {
  std::vector<fs::path> files;
  for (const std::string& operand : operands) {
    if (!fs::exists(operand)) Usage(operand + " does not exist");
    if (!fs::is_directory(operand)) {
      files.emplace_back(operand);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(operand)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A few of the mutations that libFuzzer knows too.
void MutatePlain(test::SeededRandom* random, std::string* bytes, size_t most) {
  for (uint64_t rounds = 1 + random->Below(3); rounds > 0; --rounds) {
    const size_t at = random->Below(bytes->size() + 1), n = random->Below(8) + 1;
    switch (random->Below(6)) {
      case 0: bytes->insert(at, n, static_cast<char>(random->Next())); break;
      case 1: bytes->erase(at, n); break;
      case 2: bytes->insert(at, bytes->substr(random->Below(bytes->size() + 1), 4 * n)); break;
      case 3: bytes->resize(at); break;
      default:
        if (at == bytes->size()) break;
        (*bytes)[at] = static_cast<char>(random->OneIn(2) ? (*bytes)[at] ^ 1 << random->Below(8)
                                                          : "\x00\x01\x7f\x80\xff/."[random->Below(7)]);
    }
  }
  if (bytes->size() > most) bytes->resize(most);
}

struct Plan {
  const Target* target = nullptr;
  uint64_t mutations = 0, seed = 1;
  std::string write;
  std::vector<std::string> operands;
};

void Run(const Plan& plan) {
  const std::string name(plan.target->name), kept = "fuzz_replay." + name;
  uint64_t runs = 0, seed = plan.seed;
  for (const fs::path& file : FilesOf(plan.operands)) {
    const std::string stored = ReadFile(file);
    std::ofstream keep(kept, std::ios::trunc);
    keep << name << ' ' << file.string() << std::endl;
    plan.target->run(stored);
    ++runs;
    for (uint64_t i = 0; i < plan.mutations; ++i, ++seed, ++runs) {
      keep.seekp(0) << name << " --mutations 1 --seed " << seed << ' ' << file.string() << std::endl;
      std::string input = stored;
      test::SeededRandom random(seed);
      Mutate(
          *plan.target, random.Next(), plan.target->max_bytes,
          [&](std::string* bytes, size_t most) { MutatePlain(&random, bytes, most); }, &input);
      if (!plan.write.empty()) std::ofstream(plan.write, std::ios::binary | std::ios::trunc) << input;
      plan.target->run(input);
    }
  }
  if (runs == 0) Usage("there is not one input");
  fs::remove(kept);
  std::printf("%s: %llu runs\n", name.c_str(), static_cast<unsigned long long>(runs));
}

uint64_t NumberOf(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) Usage(text + " is not a number");
  return number;
}

}  // namespace
}  // namespace tarn::fuzz

int main(int argc, char** argv) {
  using namespace tarn::fuzz;
  Plan plan;
  const std::vector<std::string> args(argv + 1, argv + argc);
  for (size_t i = 0; i < args.size(); ++i) {
    if ((args[i] == "--mutations" || args[i] == "--seed") && i + 1 < args.size()) {
      (args[i] == "--seed" ? plan.seed : plan.mutations) = NumberOf(args[i + 1]);
      ++i;
    } else if (args[i] == "--write" && i + 1 < args.size()) {
      plan.write = args[++i];
    } else if (plan.target == nullptr) {
      plan.target = FindTarget(args[i]);
      if (plan.target == nullptr) Usage("no target is named " + args[i]);
    } else {
      plan.operands.push_back(args[i]);
    }
  }
  if (plan.target == nullptr) Usage("name a target");
  Run(plan);
}
