// Fuzz targets: one function for each parser of bytes that come from disk, from users or over a socket, and one for a
// whole store. All of them are linked into two programs: `tarn_fuzz` (libFuzzer, clang) invents inputs, `fuzz_replay`
// (any compiler) runs stored ones again.
//
// A target is a pure function of its input, and says what must hold for *every* input, not only that nothing crashes:
// the bytes decode to an error or to a value that encodes to the same bytes, two readers agree, an answer is right
// or an error. What does not hold ends the process (Fail).
//
// Checksums would keep mutated bytes out of the parsers behind them. So the targets of checksummed formats have a
// `reseal`, which puts right checksums into mutated bytes, or build the checksummed frame themselves around payloads
// from the input.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::fuzz {

struct Target {
  std::string_view name;
  void (*run)(std::string_view input);
  size_t max_bytes;    // of an input
  unsigned malloc_mb;  // the most that one allocation may take on inputs of that size
  bool sections;       // the input is a list of byte strings (JoinSections): mutated one at a time
  // Puts right checksums into a mutated input; which of several ways, `choice` decides. Null: the format has none.
  void (*reseal)(std::string* input, uint64_t choice);
};

std::span<const Target> Targets();
const Target* FindTarget(std::string_view name);  // null when there is none

[[noreturn]] void Fail(const char* file, int line, std::string_view what);
// What must hold for every input. `what` is evaluated only when it does not.
#define MUST(condition, what)                                         \
  do {                                                                \
    if (!(condition)) ::tarn::fuzz::Fail(__FILE__, __LINE__, (what)); \
  } while (0)

// Takes values off the front of an input; zeros when it has ended.
class Input {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  uint8_t Byte();
  uint32_t Below(uint32_t bound);  // bound <= 65536
  std::string_view Bytes(size_t n);
  std::string_view Short() { return Bytes(Byte()); }  // 0 .. 255 bytes
  std::string_view Rest() { return Bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// section := length (2 bytes, little endian), that many bytes or what is left.
std::vector<std::string> SplitSections(std::string_view input, size_t most);
std::string JoinSections(const std::vector<std::string>& sections);

}  // namespace tarn::fuzz
