#include "tests/support/fault_proxy_http.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

namespace tarn::test {
namespace {

constexpr size_t kMaxHead = 64 << 10;   // servers take 8 to 16 KiB of fields
constexpr size_t kMaxLine = 4 << 10;    // a chunk size with extensions, or a trailer
constexpr size_t kMaxPiece = 64 << 10;  // what is in memory of a body

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool EqualInAnyCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return Lower(x) == Lower(y); });
}

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsToken(std::string_view text) {
  constexpr std::string_view kPunctuation = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (Lower(c) >= 'a' && Lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           kPunctuation.find(c) != kPunctuation.npos;
  });
}

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return (c >= ' ' && c != 127) || c == '\t'; });
}

// All of `text`, and nothing else, is a number.
std::optional<uint64_t> ParseNumber(std::string_view text, int base) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The n-th word of a first line; empty when there is none.
std::string_view Word(std::string_view line, int n) {
  for (; n > 0; --n) {
    const size_t blank = line.find(' ');
    line.remove_prefix(blank == line.npos ? line.size() : blank + 1);
  }
  return line.substr(0, line.find(' '));
}

Result<HttpHead> ParseHead(std::string_view text) {
  HttpHead head;
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!IsPrintable(line)) return Status::Invalid("a control character in a head");
    if (first) {
      head.first_line = line;
      continue;
    }
    if (line.empty()) break;
    const size_t colon = line.find(':');
    if (colon == line.npos || !IsToken(line.substr(0, colon))) return Status::Invalid("a field without a name");
    head.fields.emplace_back(line.substr(0, colon), Trim(line.substr(colon + 1)));
  }
  return head;
}

// What the fields say of the length, whoever sent them; none when they are silent.
Result<std::optional<Framing>> FramingOfFields(const HttpHead& head) {
  std::optional<Framing> framing;
  for (const auto& [name, value] : head.fields) {
    std::optional<Framing> said;
    if (EqualInAnyCase(name, "Transfer-Encoding")) {
      if (!EqualInAnyCase(value, "chunked")) return Status::Invalid("a transfer encoding other than chunked");
      said = Framing{Framing::kChunked, 0};
    } else if (EqualInAnyCase(name, "Content-Length")) {
      const std::optional<uint64_t> length = ParseNumber(value, 10);
      if (!length) return Status::Invalid("a length that is no number");
      said = Framing{Framing::kLength, *length};
    }
    if (!said) continue;
    if (framing && (framing->kind != said->kind || framing->length != said->length)) {
      return Status::Invalid("two lengths of one body");
    }
    framing = said;
  }
  return framing;
}

Status Gone() { return Status::Unavailable("the peer closed the connection"); }

}  // namespace

const std::string* HttpHead::Find(std::string_view name) const {
  for (const auto& field : fields) {
    if (EqualInAnyCase(field.first, name)) return &field.second;
  }
  return nullptr;
}

void HttpHead::Set(std::string_view name, const std::string& value) {
  for (auto& field : fields) {
    if (EqualInAnyCase(field.first, name)) field.second = value;
  }
}

void HttpHead::Erase(std::string_view name) {
  std::erase_if(fields, [&](const auto& field) { return EqualInAnyCase(field.first, name); });
}

bool HttpHead::Has(std::string_view name, std::string_view word) const {
  for (const auto& field : fields) {
    if (!EqualInAnyCase(field.first, name)) continue;
    for (std::string_view rest = field.second; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      if (EqualInAnyCase(Trim(rest.substr(0, comma)), word)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

std::string HttpHead::Text() const {
  std::string text = first_line + "\r\n";
  for (const auto& [name, value] : fields) text += name + ": " + value + "\r\n";
  return text + "\r\n";
}

std::string HttpHead::method() const { return std::string(Word(first_line, 0)); }
std::string HttpHead::target() const { return std::string(Word(first_line, 1)); }
int HttpHead::status() const { return static_cast<int>(ParseNumber(Word(first_line, 1), 10).value_or(0)); }

Result<HttpHead> ParseRequestHead(std::string_view text) {
  TARN_ASSIGN(HttpHead head, ParseHead(text));
  const bool good = IsToken(head.method()) && !head.target().empty() &&
                    Word(head.first_line, 2).starts_with("HTTP/1.") && Word(head.first_line, 3).empty();
  if (!good) return Status::Invalid("no request line of HTTP/1.x");
  return head;
}

Result<HttpHead> ParseAnswerHead(std::string_view text) {
  TARN_ASSIGN(HttpHead head, ParseHead(text));
  const bool good = Word(head.first_line, 0).starts_with("HTTP/1.") && head.status() >= 100 && head.status() <= 999;
  if (!good) return Status::Invalid("no status line of HTTP/1.x");
  return head;
}

Result<Framing> RequestFraming(const HttpHead& request) {
  TARN_ASSIGN(const std::optional<Framing> said, FramingOfFields(request));
  return said.value_or(Framing{});
}

Result<Framing> AnswerFraming(const HttpHead& answer, std::string_view method) {
  TARN_ASSIGN(const std::optional<Framing> said, FramingOfFields(answer));
  const int status = answer.status();
  if (method == "HEAD" || status < 200 || status == 204 || status == 304) return Framing{};
  return said.value_or(Framing{Framing::kUntilClose, 0});
}

bool SocketSet::Add(int fd) {
  std::lock_guard lock(mutex_);
  if (shut_) {
    close(fd);
    return false;
  }
  open_.insert(fd);
  return true;
}

void SocketSet::Close(int fd) {
  std::lock_guard lock(mutex_);
  open_.erase(fd);
  close(fd);
}

void SocketSet::ShutAll() {
  std::lock_guard lock(mutex_);
  shut_ = true;
  for (const int fd : open_) shutdown(fd, SHUT_RDWR);
}

Status HttpStream::Fill() {
  char buffer[kMaxPiece];
  ssize_t n = 0;
  do {
    n = recv(fd_, buffer, sizeof buffer, 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return Gone();
  ahead_.append(buffer, static_cast<size_t>(n));
  return Status::Ok();
}

Result<std::string> HttpStream::ReadThrough(std::string_view end, size_t max) {
  for (size_t from = 0;;) {
    const size_t at = ahead_.find(end, from);
    if (at != ahead_.npos ? at + end.size() > max : ahead_.size() > max)
      return Status::Invalid("too long a head or line");
    if (at != ahead_.npos) {
      std::string text = ahead_.substr(0, at + end.size());
      ahead_.erase(0, text.size());
      return text;
    }
    from = ahead_.size() < end.size() ? 0 : ahead_.size() - end.size() + 1;
    TARN_TRY(Fill());
  }
}

Result<std::string> HttpStream::ReadHeadText() { return ReadThrough("\r\n\r\n", kMaxHead); }

Result<std::string> HttpStream::ReadLine() {
  TARN_ASSIGN(const std::string line, ReadThrough("\n", kMaxLine));
  return std::string(Trim(std::string_view(line).substr(0, line.size() - 1)));
}

Status HttpStream::Read(size_t max, std::string* out) {
  if (ahead_.empty()) TARN_TRY(Fill());
  *out = ahead_.substr(0, max);
  ahead_.erase(0, out->size());
  return Status::Ok();
}

Status HttpStream::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Gone();
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Status::Ok();
}

bool HttpStream::Disturbed() const {
  pollfd look{fd_, POLLIN, 0};
  return !ahead_.empty() || poll(&look, 1, 0) != 0;
}

Result<std::string> BodyReader::Next() {
  std::string piece;
  if (ended_ || framing_.kind == Framing::kNone) return piece;
  if (framing_.kind == Framing::kChunked) return NextChunk();
  if (framing_.kind == Framing::kUntilClose) {
    ended_ = !from_->Read(kMaxPiece, &piece).ok();
    return piece;
  }
  if (left_ > 0) TARN_TRY(from_->Read(std::min<uint64_t>(left_, kMaxPiece), &piece));
  left_ -= piece.size();
  return piece;
}

Result<std::string> BodyReader::NextChunk() {
  std::string piece;
  if (left_ == 0) {
    if (!first_chunk_) {
      TARN_ASSIGN(const std::string line_end, from_->ReadLine());
      if (!line_end.empty()) return Status::Invalid("a chunk that is longer than its size");
    }
    first_chunk_ = false;
    TARN_ASSIGN(const std::string line, from_->ReadLine());
    const std::optional<uint64_t> size = ParseNumber(Trim(std::string_view(line).substr(0, line.find(';'))), 16);
    if (!size) return Status::Invalid("a chunk size that is no number");
    if (*size == 0) {
      ended_ = true;
      TARN_TRY(ReadTrailer());
      return piece;
    }
    left_ = *size;
  }
  TARN_TRY(from_->Read(std::min<uint64_t>(left_, kMaxPiece), &piece));
  left_ -= piece.size();
  return piece;
}

Status BodyReader::ReadTrailer() {
  for (;;) {
    TARN_ASSIGN(const std::string line, from_->ReadLine());
    if (line.empty()) return Status::Ok();
    if (trailer_.size() + line.size() > kMaxHead) return Status::Invalid("too long a trailer");
    trailer_ += line + "\r\n";
  }
}

Status BodyWriter::Write(std::string_view piece) {
  if (piece.empty() || kind_ == Framing::kNone) return Status::Ok();
  if (kind_ != Framing::kChunked) return to_->Send(piece);
  char size[16];
  const auto end = std::to_chars(size, size + sizeof size, piece.size(), 16).ptr;
  std::string chunk(size, end);
  chunk += "\r\n";
  chunk += piece;
  return to_->Send(chunk += "\r\n");
}

Status BodyWriter::Finish(const std::string& trailer) {
  return kind_ == Framing::kChunked ? to_->Send("0\r\n" + trailer + "\r\n") : Status::Ok();
}

}  // namespace tarn::test
