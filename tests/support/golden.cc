#include "tests/support/golden.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace tarn::test {

std::string GoldenMismatch(const std::string& name, std::string_view text) {
  const std::string path = std::string(TARN_GOLDEN_DIR) + "/" + name;
  if (std::getenv("TARN_REWRITE_GOLDEN") != nullptr) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    return out.good() ? "" : "cannot write " + path;
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return "cannot read " + path + ": write it with TARN_REWRITE_GOLDEN=1";
  const std::string golden(std::istreambuf_iterator<char>(in), {});
  if (golden == text) return "";
  return path + " differs (rewrite with TARN_REWRITE_GOLDEN=1 if that is meant). It has:\n" + golden +
         "but the test made:\n" + std::string(text);
}

}  // namespace tarn::test
