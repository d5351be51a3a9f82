// libFuzzer's side of tarn_fuzz. The environment variable TARN_FUZZ_TARGET names the target; `list` prints all of
// them with the limits that run.py passes on. libFuzzer's own flags: -help=1.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/mutate.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace {

const tarn::fuzz::Target* chosen = nullptr;

void MutatePlain(std::string* bytes, size_t most) {
  const size_t before = bytes->size();
  bytes->resize(std::max(most, before));
  bytes->resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes->data()), before, bytes->size()));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("TARN_FUZZ_TARGET");
  chosen = name == nullptr ? nullptr : tarn::fuzz::FindTarget(name);
  if (chosen != nullptr) return 0;
  const bool list = name != nullptr && std::strcmp(name, "list") == 0;
  if (!list) std::fprintf(stderr, "set TARN_FUZZ_TARGET to one of (name, most bytes, most MiB allocated at once):\n");
  for (const auto& target : tarn::fuzz::Targets()) {
    std::fprintf(list ? stdout : stderr, "%s %zu %u\n", std::string(target.name).c_str(), target.max_bytes,
                 target.malloc_mb);
  }
  std::exit(list ? 0 : 2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Of exactly this size on the heap, so that a read past the end is seen.
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  std::string input(reinterpret_cast<const char*>(data), size);
  tarn::fuzz::Mutate(*chosen, seed, most, MutatePlain, &input);
  std::memcpy(data, input.data(), input.size());
  return input.size();
}
