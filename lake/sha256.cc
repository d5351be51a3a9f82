#include "lake/sha256.h"

#include <openssl/evp.h>

#include "base/assert.h"

namespace tarn::lake {

std::string Digest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

Digest Sha256(std::string_view data) {
  // Fetched once: a lookup by name for every block would cost more than hashing a small one.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Digest digest;
  unsigned length = 0;
  // Hashing memory fails only when OpenSSL was built without SHA-256 or is out of memory: nothing to recover.
  CHECK(algorithm != nullptr);
  CHECK(EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.bytes.data()), &length,
                   algorithm, nullptr) == 1);
  CHECK(length == digest.bytes.size());
  return digest;
}

}  // namespace tarn::lake
