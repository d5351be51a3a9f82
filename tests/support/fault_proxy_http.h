// HTTP/1.1 as far as a proxy must understand it: heads, and where bodies end. For the fault proxy.
//
// Fields keep their order, case and value, so a signature over them stays true. Both peers are hostile: a head of
// more than 64 KiB, two answers to the question where a body ends, or a chunk size that is no number is Invalid.
//
// Threads: a stream, its readers and its writers belong to one thread; SocketSet is for any.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/status.h"

namespace tarn::test {

struct HttpHead {
  std::string first_line;
  std::vector<std::pair<std::string, std::string>> fields;  // values without the blanks around them

  // The value of the first field of this name in any case, or null.
  const std::string* Find(std::string_view name) const;
  void Set(std::string_view name, const std::string& value);  // of fields that are there
  void Erase(std::string_view name);
  bool Has(std::string_view name, std::string_view word) const;  // in any case, as one item of a list
  std::string Text() const;                                      // as it goes over the wire, with the blank line

  std::string method() const;  // of a request
  std::string target() const;  // path and query of a request
  int status() const;          // of an answer
};

// `text` is all up to the blank line, line ends included.
Result<HttpHead> ParseRequestHead(std::string_view text);
Result<HttpHead> ParseAnswerHead(std::string_view text);

// Where the body ends.
struct Framing {
  enum Kind { kNone, kLength, kChunked, kUntilClose } kind = kNone;
  uint64_t length = 0;  // of kLength
};
Result<Framing> RequestFraming(const HttpHead& request);
Result<Framing> AnswerFraming(const HttpHead& answer, std::string_view method);

// The open sockets of a proxy, so that it can end all of them at once.
class SocketSet {
 public:
  bool Add(int fd);  // false, and `fd` is closed: ShutAll() was called
  void Close(int fd);
  void ShutAll();  // whoever waits on one of them wakes with an error, now and from now on

 private:
  std::mutex mutex_;  // guards what follows
  std::set<int> open_;
  bool shut_ = false;
};

// A connected socket, and what was read from it ahead.
class HttpStream {
 public:
  HttpStream(int fd, SocketSet* sockets) : fd_(fd), sockets_(sockets) {}  // `fd` is in `sockets`
  ~HttpStream() { sockets_->Close(fd_); }
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;

  // Unavailable: the peer is gone. Invalid: too long.
  Result<std::string> ReadHeadText();
  Result<std::string> ReadLine();  // without its end
  // At least one byte and at most `max`, into `*out`.
  Status Read(size_t max, std::string* out);
  Status Send(std::string_view bytes);
  // Nothing was asked for, and yet there is something to read: the end, or bytes that nobody expects.
  bool Disturbed() const;

 private:
  Status Fill();
  Result<std::string> ReadThrough(std::string_view end, size_t max);

  const int fd_;
  SocketSet* const sockets_;
  std::string ahead_;
};

// The content of a body, without its framing.
class BodyReader {
 public:
  BodyReader(HttpStream* from, Framing framing) : from_(from), framing_(framing), left_(framing.length) {}
  // The next piece of at most 64 KiB; empty at the end. An error when the peer leaves before that.
  Result<std::string> Next();
  const std::string& trailer() const { return trailer_; }  // of kChunked, at the end

 private:
  Result<std::string> NextChunk();
  Status ReadTrailer();

  HttpStream* const from_;
  const Framing framing_;
  uint64_t left_;  // of the body, or of the chunk
  bool first_chunk_ = true;
  bool ended_ = false;
  std::string trailer_;
};

// The framing for content. The length of kLength is the caller's promise, and may be broken on purpose.
class BodyWriter {
 public:
  BodyWriter(HttpStream* to, Framing::Kind kind) : to_(to), kind_(kind) {}
  Status Write(std::string_view piece);
  Status Finish(const std::string& trailer);

 private:
  HttpStream* const to_;
  const Framing::Kind kind_;
};

}  // namespace tarn::test
