// The key as the engine orders it: one version of one user key. For authors of memtables and for the engine.
//
//   internal key := user key bytes, then 8 bytes little endian of (sequence << 8 | kind)
//
// Order: user key ascending, bytewise; then sequence descending; then kind descending. So the newest version
// of a key comes first, and SeekKey(k, s) stands just before the newest version of k that snapshot s may see.
#pragma once

#include <bit>
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

// <0, 0, >0 like memcmp, in the order stated at the top.
inline int CompareInternalKeys(std::string_view a, std::string_view b) {
  const int user = UserKeyOf(a).compare(UserKeyOf(b));
  if (user != 0) return user;
  const uint64_t ta = TrailerOf(a), tb = TrailerOf(b);
  return ta > tb ? -1 : (ta < tb ? 1 : 0);
}

}  // namespace tarn
