#include "cli/bench_content.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "cli/local_fs.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPieceBytes = 1 << 20;
constexpr uint64_t kFilesInDirectory = 64;  // as in a source tree, more or less
// Most files of a source tree are small; three of four are below 8 KiB.
constexpr uint64_t kSmallBytes = 8 << 10, kLargeBytes = 16 << 10;

// The finalizer of SplitMix64: a bijection whose output has no pattern that a compressor sees.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Status Differs(const std::string& path, const std::string& how) {
  return Status::Corruption(fmt::format("{}: {}; the file system did not keep what was written", Escape(path), how));
}

Result<std::vector<fs::path>> NamesBelow(const std::string& top, const std::string& except) {
  std::vector<fs::path> names;
  std::error_code error;
  for (fs::recursive_directory_iterator it(top, error), end; !error && it != end; it.increment(error)) {
    if (!except.empty() && it->path().filename() == except) {
      it.disable_recursion_pending();
      continue;
    }
    names.push_back(it->path().lexically_relative(top));
  }
  if (error) return LocalError(error.value(), top, "the tree cannot be read");
  std::sort(names.begin(), names.end());
  return names;
}

Status SameBytes(const std::string& left, const std::string& right, uint64_t size) {
  const UniqueFd a = OpenAt(AT_FDCWD, left, O_RDONLY), b = OpenAt(AT_FDCWD, right, O_RDONLY);
  if (!a.ok() || !b.ok()) return LocalError(errno, a.ok() ? right : left, "it was there a moment ago");
  std::vector<char> x(std::min(size, kPieceBytes)), y(x.size());
  for (uint64_t at = 0; at < size; at += kPieceBytes) {
    const size_t want = std::min(size - at, kPieceBytes);
    const ssize_t n = ReadSome(a.get(), std::span(x).first(want), at);
    if (n < 0) return LocalError(errno, left, "cannot read it");
    if (ReadSome(b.get(), std::span(y).first(want), at) != n) return Differs(right, "cannot be read as a whole");
    if (std::memcmp(x.data(), y.data(), static_cast<size_t>(n)) != 0) return Differs(right, "other bytes");
  }
  return {};
}

Status SameNode(const std::string& left, const std::string& right) {
  struct stat a, b;
  if (lstat(left.c_str(), &a) != 0) return LocalError(errno, left, "it was there a moment ago");
  if (lstat(right.c_str(), &b) != 0) return LocalError(errno, right, "it was there a moment ago");
  if ((a.st_mode & S_IFMT) != (b.st_mode & S_IFMT)) return Differs(right, "another type");
  std::error_code error;
  if (S_ISLNK(a.st_mode) && fs::read_symlink(left, error) != fs::read_symlink(right, error)) {
    return Differs(right, "another target");
  }
  if (!S_ISREG(a.st_mode)) return {};
  if (a.st_size != b.st_size) return Differs(right, "another size");
  return SameBytes(left, right, static_cast<uint64_t>(a.st_size));
}

}  // namespace

void FillContent(uint64_t seed, uint64_t offset, std::span<char> out) {
  uint64_t state = seed + offset / sizeof(uint64_t);
  while (!out.empty()) {
    const uint64_t word = Mix(seed ^ Mix(++state));
    const size_t n = std::min(out.size(), sizeof word);
    std::memcpy(out.data(), &word, n);
    out = out.subspan(n);
  }
}

uint64_t SeedOf(uint64_t seed, uint64_t part) { return Mix(seed + Mix(part + 1)); }

Status WriteContent(const std::string& path, uint64_t seed, uint64_t size) {
  const UniqueFd file = OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (!file.ok()) return LocalError(errno, path, "cannot make it");
  std::string piece(std::min(size, kPieceBytes), '\0');
  for (uint64_t at = 0; at < size; at += piece.size()) {
    piece.resize(std::min(size - at, kPieceBytes));
    FillContent(seed, at, piece);
    TARN_TRY(WriteAll(file.get(), piece, at, path));
  }
  return {};
}

Status CheckContent(const std::string& path, uint64_t seed, uint64_t size) {
  const UniqueFd file = OpenAt(AT_FDCWD, path, O_RDONLY);
  struct stat st;
  if (!file.ok() || fstat(file.get(), &st) != 0) return LocalError(errno, path, "it was just written");
  if (static_cast<uint64_t>(st.st_size) != size) {
    return Differs(path, fmt::format("{} bytes where {} were written", st.st_size, size));
  }
  std::vector<char> want(std::min(size, kPieceBytes)), got(want.size());
  for (uint64_t at = 0; at < size; at += kPieceBytes) {
    const size_t n = std::min(size - at, kPieceBytes);
    FillContent(seed, at, std::span(want).first(n));
    const ssize_t read = ReadSome(file.get(), std::span(got).first(n), at);
    if (read < 0) return LocalError(errno, path, "cannot read it");
    if (static_cast<size_t>(read) != n) return Differs(path, fmt::format("ends in the MiB from byte {} on", at));
    if (std::memcmp(want.data(), got.data(), n) != 0) {
      return Differs(path, fmt::format("other bytes in the MiB from byte {} on", at));
    }
  }
  return {};
}

Status MakeTree(const Context& context, const std::string& top, uint64_t seed, uint64_t files) {
  std::string directory;
  for (uint64_t i = 0; i < files; ++i) {
    TARN_TRY(context.Check());
    if (i % kFilesInDirectory == 0) {
      directory = fmt::format("{}/d{}", top, i / kFilesInDirectory);
      std::error_code error;
      fs::create_directories(directory, error);
      if (error) return LocalError(error.value(), directory, "cannot make it");
    }
    const uint64_t draw = SeedOf(seed, i), limit = draw % 4 == 0 ? kLargeBytes : kSmallBytes;
    TARN_TRY(WriteContent(fmt::format("{}/f{}", directory, i), draw, (draw >> 2) % limit));
  }
  return {};
}

Result<uint64_t> CountTree(const std::string& top, const std::string& except) {
  TARN_ASSIGN(const auto names, NamesBelow(top, except));
  return uint64_t{names.size()};
}

Status SameTree(const Context& context, const std::string& left, const std::string& right,
                const std::string& except) {
  TARN_ASSIGN(const auto names, NamesBelow(left, except));
  TARN_ASSIGN(const auto others, NamesBelow(right, except));
  if (names != others) {
    return Differs(
        right, fmt::format("not the names of {} ({} where there are {})", Escape(left), others.size(), names.size()));
  }
  for (const fs::path& name : names) {
    TARN_TRY(context.Check());
    TARN_TRY(SameNode((left / name).string(), (right / name).string()));
  }
  return {};
}

}  // namespace tarn::cli
