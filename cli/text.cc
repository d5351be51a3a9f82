#include "cli/text.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <ctime>

#include "cli/context.h"

namespace tarn::cli {
namespace {

// Length of the well-formed UTF-8 sequence at the front (no overlong forms, no surrogates), 0 when there is none.
size_t Utf8Length(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto follows = [&](size_t i) { return i < s.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned char a = byte(0);
  if (a < 0x80) return 1;
  if (a >= 0xc2 && a <= 0xdf) return follows(1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if (a == 0xe0 && byte(1) < 0xa0) return 0;
    if (a == 0xed && byte(1) > 0x9f) return 0;
    return 3;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (a == 0xf0 && byte(1) < 0x90) return 0;
    if (a == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

// Control characters a terminal would act on: C0, DEL, and C1 in their UTF-8 form.
bool IsControl(std::string_view sequence) {
  const auto a = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return a < 0x20 || a == 0x7f;
  return sequence.size() == 2 && a == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
}

void AppendEscaped(std::string* out, unsigned char byte) {
  switch (byte) {
    case '\n': *out += "\\n"; return;
    case '\t': *out += "\\t"; return;
    case '\r': *out += "\\r"; return;
    default: *out += fmt::format("\\{:03o}", byte);
  }
}

std::string EscapeWith(std::string_view bytes, bool backslash) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t n = Utf8Length(bytes);
    const std::string_view unit = bytes.substr(0, n == 0 ? 1 : n);
    if (n == 0 || IsControl(unit)) {
      for (const char c : unit) AppendEscaped(&out, static_cast<unsigned char>(c));
    } else {
      if (backslash && unit == "\\") out += '\\';
      out += unit;
    }
    bytes.remove_prefix(unit.size());
  }
  return out;
}

int DigitOf(char c, int base) {
  int value = -1;
  if (c >= '0' && c <= '9') value = c - '0';
  if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
  return value < base ? value : -1;
}

// Reads one escape that starts after the backslash; returns how many characters it took, 0 when malformed.
size_t UnescapeOne(std::string_view rest, char* out) {
  if (rest.empty()) return 0;
  switch (rest[0]) {
    case 'n': *out = '\n'; return 1;
    case 't': *out = '\t'; return 1;
    case 'r': *out = '\r'; return 1;
    case '\\': *out = '\\'; return 1;
    case 'x': {
      if (rest.size() < 3) return 0;
      const int high = DigitOf(rest[1], 16), low = DigitOf(rest[2], 16);
      if (high < 0 || low < 0) return 0;
      *out = static_cast<char>(high * 16 + low);
      return 3;
    }
    default: {
      if (rest.size() < 3) return 0;
      const int a = DigitOf(rest[0], 8), b = DigitOf(rest[1], 8), c = DigitOf(rest[2], 8);
      if (a < 0 || a > 3 || b < 0 || c < 0) return 0;
      *out = static_cast<char>(a * 64 + b * 8 + c);
      return 3;
    }
  }
}

constexpr std::array<const char*, 7> kUnits = {"", "K", "M", "G", "T", "P", "E"};

// The unit in which `bytes` has one to four digits before the point.
size_t Scale(uint64_t bytes, double* scaled) {
  size_t unit = 0;
  *scaled = static_cast<double>(bytes);
  while (*scaled >= 1023.95 && unit + 1 < kUnits.size()) {
    *scaled /= 1024;
    ++unit;
  }
  return unit;
}

std::tm UtcOf(int64_t ns, int64_t* rest) {
  int64_t seconds = ns / 1'000'000'000;
  *rest = ns % 1'000'000'000;
  if (*rest < 0) {
    *rest += 1'000'000'000;
    --seconds;
  }
  const time_t when = seconds;
  std::tm tm = {};
  gmtime_r(&when, &tm);
  return tm;
}

}  // namespace

bool ValidUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t n = Utf8Length(bytes);
    if (n == 0) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

std::string Escape(std::string_view bytes) { return EscapeWith(bytes, true); }
std::string EscapeControls(std::string_view bytes) { return EscapeWith(bytes, false); }

Result<std::string> Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    char byte = 0;
    const size_t taken = UnescapeOne(text.substr(i + 1), &byte);
    if (taken == 0) {
      return Status::Invalid(fmt::format(
          "'{}': bad escape at byte {}; write \\\\ for a backslash, \\xNN for any byte", EscapeControls(text), i));
    }
    out += byte;
    i += taken;
  }
  return out;
}

std::string ShellQuote(std::string_view word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./:=@,+%").find(c) != std::string_view::npos;
  };
  bool quote = word.empty();
  for (const char c : word) quote = quote || !plain(c);
  if (!quote) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string HumanBytes(uint64_t bytes) {
  double scaled;
  const size_t unit = Scale(bytes, &scaled);
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.1f} {}iB", scaled, kUnits[unit]);
}

std::string ShortBytes(uint64_t bytes) {
  double scaled;
  const size_t unit = Scale(bytes, &scaled);
  if (unit == 0) return fmt::format("{}", bytes);
  return fmt::format("{:.{}f}{}", scaled, scaled < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string Grouped(uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string ModeString(uint32_t mode) {
  std::string out = "?rwxrwxrwx";
  switch (mode & S_IFMT) {
    case S_IFREG: out[0] = '-'; break;
    case S_IFDIR: out[0] = 'd'; break;
    case S_IFLNK: out[0] = 'l'; break;
    case S_IFIFO: out[0] = 'p'; break;
    case S_IFSOCK: out[0] = 's'; break;
    case S_IFCHR: out[0] = 'c'; break;
    case S_IFBLK: out[0] = 'b'; break;
    default: break;
  }
  for (int bit = 0; bit < 9; ++bit) {
    if ((mode & (0400u >> bit)) == 0) out[bit + 1] = '-';
  }
  if (mode & S_ISUID) out[3] = (mode & S_IXUSR) ? 's' : 'S';
  if (mode & S_ISGID) out[6] = (mode & S_IXGRP) ? 's' : 'S';
  if (mode & S_ISVTX) out[9] = (mode & S_IXOTH) ? 't' : 'T';
  return out;
}

std::string_view TypeName(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "regular file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "symbolic link";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    case S_IFCHR: return "character device";
    case S_IFBLK: return "block device";
    default: return "unknown";
  }
}

std::string TimeText(int64_t ns) {
  int64_t rest;
  const std::tm tm = UtcOf(ns, &rest);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                     tm.tm_min, tm.tm_sec);
}

std::string TimeNanos(int64_t ns) {
  int64_t rest;
  const std::tm tm = UtcOf(ns, &rest);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, rest);
}

std::string Plural(uint64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", Grouped(n), n == 1 ? one : many);
}

void SetName(Json* object, const char* key, std::string_view bytes) {
  if (ValidUtf8(bytes)) {
    (*object)[key] = bytes;
    return;
  }
  (*object)[key] = Escape(bytes);
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  (*object)[std::string(key) + "_hex"] = hex;
}

Json AttrJson(const lake::Attr& attr) {
  Json object;
  object["type"] = TypeName(attr.mode);
  object["ino"] = attr.ino;
  object["mode"] = fmt::format("{:04o}", attr.mode & 07777);
  object["nlink"] = attr.nlink;
  object["uid"] = attr.uid;
  object["gid"] = attr.gid;
  object["size"] = attr.size;
  object["blocks"] = attr.blocks;
  if (S_ISCHR(attr.mode) || S_ISBLK(attr.mode)) object["rdev"] = attr.rdev;
  object["atime"] = TimeNanos(attr.atime_ns);
  object["mtime"] = TimeNanos(attr.mtime_ns);
  object["ctime"] = TimeNanos(attr.ctime_ns);
  object["btime"] = TimeNanos(attr.btime_ns);
  return object;
}

std::string Dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

void JsonArray::Add(const Json& value) {
  out_.Write(any_ ? ",\n " : "[");
  out_.Write(Dump(value));
  any_ = true;
}

void JsonArray::Finish() { out_.Write(any_ ? "]\n" : "[]\n"); }

}  // namespace tarn::cli
