// What users and clients send: text with escapes, locations, and requests on the serving socket.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

#include "backends/location/location.h"
#include "base/coding.h"
#include "cli/store.h"
#include "cli/text.h"
#include "cli/wire.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"

namespace tarn::fuzz {
namespace {

// A second reader of UTF-8: by code point instead of by byte ranges.
bool PlainUtf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[at]);
    const size_t more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : 9;
    if (more == 9 || at + more >= bytes.size()) return false;
    uint32_t point = more == 0 ? first : first & (0x3f >> more);
    for (size_t i = 1; i <= more; ++i) {
      const auto byte = static_cast<unsigned char>(bytes[at + i]);
      if (byte >> 6 != 2) return false;
      point = point << 6 | (byte & 0x3f);
    }
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (point < kLeast[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
    at += more + 1;
  }
  return true;
}

// A word as sh reads it: plain bytes and parts in single quotes, and \' between them.
std::string ShellRead(std::string_view word) {
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\'') {
      quoted = !quoted;
    } else if (word[i] == '\\' && !quoted) {
      MUST(++i < word.size(), "a backslash ends the word");
      out += word[i];
    } else {
      MUST(quoted || std::strchr(" \t\n|&;<>()$`\"*?[]#~!{}", word[i]) == nullptr, "a shell would act on the word");
      out += word[i];
    }
  }
  MUST(!quoted, "a quote is left open");
  return out;
}

void CheckNumbers(uint64_t number) {
  std::string digits = cli::Grouped(number);
  std::erase(digits, ',');
  MUST(digits == std::to_string(number), "a grouped number is another one");
  MUST(cli::ShortBytes(number).size() <= 5, "a size is too wide for its column");
  const auto nanos = static_cast<int64_t>(number);
  std::tm tm = {};
  long rest = 0;
  const std::string text = cli::TimeNanos(nanos);
  MUST(std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%9ldZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                   &tm.tm_min, &tm.tm_sec, &rest) == 7,
       "a time is no time: " + text);
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  const __int128 back = static_cast<__int128>(timegm(&tm)) * 1'000'000'000 + rest;
  MUST(back == nanos, "a time is another one: " + text);
}

struct Pair {
  cli::UniqueFd client, server;
};
Pair Connected() {
  int fds[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "no socket pair");
  return {cli::UniqueFd(fds[0]), cli::UniqueFd(fds[1])};
}

// One message, with `count` descriptors when that is not 0.
void Send(int socket, std::string_view bytes, size_t count) {
  constexpr size_t kMost = 8;
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMost)] = {};
  struct iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (size_t i = 0; i < count; ++i) std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket, sizeof socket);
  }
  MUST(sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()), "a socket takes no bytes");
}

int LowestFreeFd() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

// A request that was understood goes through the real sender and arrives as it was.
void CheckRoundTrip(const std::vector<std::string>& args, const std::string& location) {
  Pair pair = Connected();
  MUST(cli::SendRequest(pair.client.get(), args, location, pair.client.get()).ok(), "a request is not sent");
  const Result<cli::Request> request = cli::ReceiveRequest(pair.server.get());
  MUST(request.ok(), "a sent request is refused: " + request.status().ToString());
  MUST(request->args == args && request->location == location, "a request arrives as another one");
  MUST(request->in.ok() && request->out.ok() && request->err.ok() && request->cwd.ok(), "a descriptor is missing");
}

}  // namespace

void RunText(std::string_view input) {
  const std::string escaped = cli::Escape(input);
  const Result<std::string> back = cli::Unescape(escaped);
  MUST(back.ok() && *back == input, "escaped and back, other bytes");
  for (const std::string& line : {escaped, cli::EscapeControls(input)}) {
    MUST(PlainUtf8(line), "escaped text is not UTF-8");
    MUST(std::none_of(line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }),
         "escaped text has control characters");
  }
  MUST(cli::ValidUtf8(input) == PlainUtf8(input), "two readers of UTF-8 disagree");
  const Result<std::string> plain = cli::Unescape(input);
  if (plain.ok()) {
    const Result<std::string> again = cli::Unescape(cli::Escape(*plain));
    MUST(again.ok() && *again == *plain, "unescaped, escaped and back, other bytes");
  }
  if (input.find('\0') == input.npos) MUST(ShellRead(cli::ShellQuote(input)) == input, "quoted, another word");
  cli::Json object;
  cli::SetName(&object, "name", input);
  const cli::Json parsed = cli::Json::parse(cli::Dump(object), nullptr, false);
  MUST(parsed.is_object(), "JSON that does not parse");
  const Result<std::string> name = parsed.contains("name_hex")
                                       ? cli::Unescape(parsed["name"].get<std::string>())
                                       : Result<std::string>(parsed["name"].get<std::string>());
  MUST(name.ok() && *name == input, "a name in JSON is another one");
  if (input.size() < 8) return;
  CheckNumbers(DecodeFixed64(input.data()));
  const uint32_t mode = DecodeFixed32(input.data());
  const std::string bits = cli::ModeString(mode);
  for (size_t i = 0; i < 9; ++i) {
    const bool shown = std::string_view("rwxst").find(bits[i + 1]) != std::string_view::npos;
    MUST(bits.size() == 10 && shown == ((mode >> (8 - i) & 1) != 0), "a mode is another one: " + bits);
  }
}

void RunLocation(std::string_view input) {
  const std::string location(input);
  const Result<std::string> directory = cli::DirectoryOf(location);
  const bool url = location.find("://") < location.find('/');
  if (!directory.ok()) {
    MUST(directory.status().message().find('\n') == std::string_view::npos, "an error of two lines");
    MUST(url || location.empty(), "a path is refused");
  } else if (location.starts_with("file://")) {
    MUST(directory->starts_with('/') && "file://" + *directory == location, "a URL leads to another directory");
  } else {
    MUST(!url && *directory == location, "a path leads to another directory");
  }
  const auto parsed = location::ParseLocation(location);
  if (location.starts_with("s3://")) {
    MUST(parsed.ok() || parsed.status().code() == Code::kInvalid,
         "a bucket is refused for another reason than its URL");
  } else if (url && !location.starts_with("file://")) {
    MUST(parsed.status().code() == Code::kUnsupported, "a scheme nobody knows is accepted");
  }
}

// Input: how many descriptors go with the header, then the bytes of the stream.
void RunWire(std::string_view input) {
  const int lowest = LowestFreeFd();
  Input in(input);
  const uint8_t control = in.Byte();
  const size_t count = control < 128 ? 4 : control % 6;
  const std::string_view header = in.Bytes(12), body = in.Rest();
  {
    Pair pair = Connected();
    if (!header.empty()) Send(pair.client.get(), header, count);
    if (!body.empty()) Send(pair.client.get(), body, 0);
    shutdown(pair.client.get(), SHUT_WR);
    const Result<cli::Request> request = cli::ReceiveRequest(pair.server.get());
    if (request.ok()) {
      MUST(header.size() == 12 && count >= 4, "a request without header or descriptors is understood");
      CheckRoundTrip(request->args, request->location);
    } else {
      MUST(request.status().message().find("; ") != std::string_view::npos, request.status().ToString());
    }
  }
  MUST(LowestFreeFd() == lowest, "descriptors are left open");
}

void RunWireArguments(std::string_view input) {
  std::vector<std::string> args = SplitSections(input, 16);
  if (args.empty()) return;
  const std::string location = args.back();
  args.pop_back();
  CheckRoundTrip(args, location);
}

}  // namespace tarn::fuzz
