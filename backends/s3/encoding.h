// Text forms and digests that S3 speaks. For backends/s3; encoding.cc is OpenSSL's only home. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tarn::s3 {

// RFC 3986 with upper-case hex, as SigV4 wants it: everything but A-Z a-z 0-9 - . _ ~ is encoded; `/` when asked.
std::string PercentEncode(std::string_view bytes, bool encode_slash);
// Nothing when a '%' is not followed by two hex digits. `plus`: '+' is a blank.
std::optional<std::string> PercentDecode(std::string_view text, bool plus);

std::string Hex(std::string_view bytes);  // lower case
std::string Base64(std::string_view bytes);

std::string Sha256(std::string_view bytes);  // 32 raw bytes
std::string Md5(std::string_view bytes);     // 16 raw bytes; S3's Content-MD5, no security rests on it
std::string HmacSha256(std::string_view key, std::string_view bytes);

// "20130524T000000Z".
std::string BasicDate(uint64_t unix_seconds);
// "Fri, 24 May 2013 00:00:00 GMT" (the Date of an answer) and "2013-05-24T00:00:00Z" (XML and JSON; fractions of a
// second are ignored) as seconds since 1970; nothing when it is neither.
std::optional<uint64_t> ParseDate(std::string_view text);

// A decimal number that fits, and nothing else.
std::optional<uint64_t> ParseNumber(std::string_view digits);

}  // namespace tarn::s3
