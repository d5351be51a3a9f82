// The keys and values of every workload.
//
// A key is a number: 8 bytes big endian, then '0' up to key_bytes, as db_bench makes them. The data set of RunSpec
// has the even numbers 0, 2, ... 2 * (keys - 1); "id" always means half of such a number. The odd ones between them
// are there for lookups that find nothing and for inserts. A cursor that stands on n must so find n + 1 or n + 2
// next, and n + 1 if n is odd: scans can be checked for completeness without knowing what was inserted.
//
// A value begins with 8 bytes that are a hash of the key's number and of the value's size (cut short in smaller
// values). So a read is checked by comparing 8 bytes, in rows with values of all sizes too. The rest is a slice of a
// pool with the asked compressibility.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "bench/workloads/chance.h"

namespace tarn::bench {

class Key {  // a buffer for one key
 public:
  explicit Key(uint32_t key_bytes) : bytes_(key_bytes, '0') {}
  std::string_view Of(uint64_t number) {  // until the next call
    const uint64_t big_endian = __builtin_bswap64(number);
    std::memcpy(bytes_.data(), &big_endian, sizeof(big_endian));
    return bytes_;
  }

 private:
  std::string bytes_;
};

inline uint64_t NumberOf(std::string_view key) {  // of at least 8 bytes
  uint64_t big_endian;
  std::memcpy(&big_endian, key.data(), sizeof(big_endian));
  return __builtin_bswap64(big_endian);
}

inline uint64_t CheckOf(uint64_t number, uint64_t size) { return Mix(number ^ (size << 40) ^ 0x7461726eull); }

inline bool IsValueOf(uint64_t number, std::string_view value) {
  const uint64_t check = CheckOf(number, value.size());
  return std::memcmp(value.data(), &check, value.size() < 8 ? value.size() : 8) == 0;
}

// Values to be written. Not copied: the check is written into the pool, and taken out again when the next one is
// made. One per thread.
class ValuePool {
 public:
  // Large enough that values that lie together in a block seldom share a slice, small enough to stay in the
  // processor's cache and out of the peak memory.
  static constexpr size_t kBytes = 512 << 10;
  ValuePool(double compressibility, uint32_t largest_value, uint64_t seed);
  // Until the next call.
  std::string_view Value(uint64_t number, size_t size) {
    std::memcpy(at_, &covered_, sizeof(covered_));
    at_ = at_ + size + size > end_ ? pool_.data() : at_ + size;
    std::memcpy(&covered_, at_, sizeof(covered_));
    const uint64_t check = CheckOf(number, size);
    std::memcpy(at_, &check, sizeof(check));
    return {at_, size};
  }

 private:
  std::string pool_;
  char* at_;
  char* end_;
  uint64_t covered_;
};

}  // namespace tarn::bench
