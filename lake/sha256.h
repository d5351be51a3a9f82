// SHA-256, the name of every block of content. lake/sha256.cc is the only file that includes OpenSSL.
#pragma once

#include <array>
#include <compare>
#include <string>
#include <string_view>

namespace tarn::lake {

struct Digest {
  std::array<char, 32> bytes{};
  std::string_view view() const { return {bytes.data(), bytes.size()}; }
  std::string hex() const;
  friend auto operator<=>(const Digest&, const Digest&) = default;
};

Digest Sha256(std::string_view data);

}  // namespace tarn::lake
