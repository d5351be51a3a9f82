// The key as the engine orders it: one version of one user key. For authors of memtables and for the engine.
//
//   internal key := user key bytes, then 8 bytes little endian of (sequence << 8 | kind)
//
// Order: user key ascending, bytewise; then sequence descending; then kind descending. So the newest version
// of a key comes first, and SeekKey(k, s) stands just before the newest version of k that snapshot s may see.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tarn {

static_assert(std::endian::native == std::endian::little, "Tarn's formats are little endian; add swaps here");

using Sequence = uint64_t;  // 56 bits; 0 = before every commit
inline constexpr Sequence kMaxSequence = (1ULL << 56) - 1;

// Stored on disk: never renumber. 3 and up are unassigned; readers report them as Corruption.
enum class Kind : uint8_t { kDelete = 0, kPut = 1, kRangeDelete = 2 };
inline constexpr Kind kSeekKind = static_cast<Kind>(0xff);  // sorts before every real kind

inline constexpr size_t kTrailerBytes = 8;

inline void AppendInternalKey(std::string* out, std::string_view user_key, Sequence sequence, Kind kind) {
  const uint64_t trailer = sequence << 8 | static_cast<uint8_t>(kind);
  out->append(user_key);
  out->append(reinterpret_cast<const char*>(&trailer), kTrailerBytes);
}
inline std::string MakeInternalKey(std::string_view user_key, Sequence sequence, Kind kind) {
  std::string key;
  key.reserve(user_key.size() + kTrailerBytes);
  AppendInternalKey(&key, user_key, sequence, kind);
  return key;
}
inline std::string SeekKey(std::string_view user_key, Sequence sequence) {
  return MakeInternalKey(user_key, sequence, kSeekKind);
}

// REQUIRES for all below: internal_key.size() >= kTrailerBytes (readers of disk bytes check it first).
inline uint64_t TrailerOf(std::string_view internal_key) {
  uint64_t trailer;
  std::memcpy(&trailer, internal_key.data() + internal_key.size() - kTrailerBytes, kTrailerBytes);
  return trailer;
}
inline std::string_view UserKeyOf(std::string_view internal_key) {
  return internal_key.substr(0, internal_key.size() - kTrailerBytes);
}
inline Sequence SequenceOf(std::string_view internal_key) { return TrailerOf(internal_key) >> 8; }
inline Kind KindOf(std::string_view internal_key) { return static_cast<Kind>(TrailerOf(internal_key) & 0xff); }

// How many of the first `limit` bytes of a and b are the same. Inline and by words, because a call of memcmp costs as
// much as the comparison of a short key.
inline size_t SharedBytes(const char* a, const char* b, size_t limit) {
  size_t n = 0;
  for (; n + 8 <= limit; n += 8) {
    uint64_t x, y;
    std::memcpy(&x, a + n, 8);
    std::memcpy(&y, b + n, 8);
    if (x != y) return n + static_cast<size_t>(std::countr_zero(x ^ y)) / 8;
  }
  while (n < limit && a[n] == b[n]) ++n;
  return n;
}

// <0, 0, >0 like memcmp, in the order stated at the top.
inline int CompareInternalKeys(std::string_view a, std::string_view b) {
  const size_t a_user = a.size() - kTrailerBytes, b_user = b.size() - kTrailerBytes;
  const size_t limit = a_user < b_user ? a_user : b_user;
  const size_t same = SharedBytes(a.data(), b.data(), limit);
  if (same < limit) return static_cast<unsigned char>(a[same]) < static_cast<unsigned char>(b[same]) ? -1 : 1;
  if (a_user != b_user) return a_user < b_user ? -1 : 1;
  const uint64_t ta = TrailerOf(a), tb = TrailerOf(b);
  return ta > tb ? -1 : (ta < tb ? 1 : 0);
}

}  // namespace tarn
