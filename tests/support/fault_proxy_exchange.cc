// One connection of a client, request by request: what is read, what goes to the server, and what comes back.
//
// A step that fails ends the connection, and with it the one to the server: neither is ever left in the middle of a
// message that the other side does not know of.
#include <algorithm>
#include <memory>
#include <optional>

#include "tests/support/fault_proxy_core.h"

namespace tarn::test {
namespace {

// The server's side of a client's connection: one connection, made when it is needed, and anew when the server has
// closed it in between.
class Upstream {
 public:
  explicit Upstream(ProxyCore* core) : core_(core) {}

  Result<HttpStream*> Ready() {
    if (stream_ && stream_->Disturbed()) stream_.reset();
    if (!stream_) {
      TARN_ASSIGN(const int fd, core_->ConnectUpstream());
      stream_ = std::make_unique<HttpStream>(fd, core_->sockets());
    }
    return stream_.get();
  }
  HttpStream* stream() { return stream_.get(); }
  void Drop() { stream_.reset(); }

  // The final answer; those before it, 100 to 199, are swallowed. REQUIRES: a request was sent.
  Result<HttpHead> ReadAnswer() {
    for (;;) {
      TARN_ASSIGN(const std::string text, stream_->ReadHeadText());
      TARN_ASSIGN(HttpHead head, ParseAnswerHead(text));
      if (head.status() >= 200) return head;
    }
  }

 private:
  ProxyCore* const core_;
  std::unique_ptr<HttpStream> stream_;
};

bool StaysOpen(const HttpHead& head) {
  return !head.Has("Connection", "close") && head.first_line.find("HTTP/1.0") == std::string::npos;
}

// With its body, because it is sent twice, or later.
struct KeptRequest {
  HttpHead head;
  Framing framing;
  std::string body;
  std::string trailer;
};

Status SendKept(const KeptRequest& request, HttpStream* to) {
  TARN_TRY(to->Send(request.head.Text()));
  BodyWriter writer(to, request.framing.kind);
  TARN_TRY(writer.Write(request.body));
  return writer.Finish(request.trailer);
}

// Sends it, and reads the answer away; its status.
Result<int> SendAlone(const KeptRequest& request, Upstream* upstream) {
  TARN_ASSIGN(HttpStream* const server, upstream->Ready());
  TARN_TRY(SendKept(request, server));
  TARN_ASSIGN(const HttpHead answer, upstream->ReadAnswer());
  TARN_ASSIGN(const Framing framing, AnswerFraming(answer, request.head.method()));
  BodyReader body(server, framing);
  for (bool more = true; more;) {
    TARN_ASSIGN(const std::string piece, body.Next());
    more = !piece.empty();
  }
  if (!StaysOpen(answer)) upstream->Drop();
  return answer.status();
}

// Flips a bit of a body that passes in pieces.
class BitFlip {
 public:
  // Of byte `at`, or of the last one when the length is known and less.
  BitFlip(uint64_t at, Framing framing)
      : at_(framing.kind == Framing::kLength && framing.length > 0 ? std::min(at, framing.length - 1) : at) {}

  void Pass(std::string* piece) {
    if (at_ >= passed_ && at_ - passed_ < piece->size()) (*piece)[at_ - passed_] ^= 1;
    passed_ += piece->size();
  }

 private:
  const uint64_t at_;
  uint64_t passed_ = 0;
};

// As S3 refuses; HEAD gets no body, as ever.
std::string Refusal(const FaultRule& rule, const std::string& method) {
  const int status = rule.status;
  const std::string code = status == 500   ? "InternalError"
                           : status == 503 ? "SlowDown"
                           : status == 429 ? "TooManyRequests"
                                           : "Injected";
  const std::string body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>" + code +
                           "</Code><Message>refused by the fault proxy</Message></Error>";
  std::string text = "HTTP/1.1 " + std::to_string(status) + " " + code + "\r\nContent-Type: application/xml\r\n";
  if (rule.retry_after_seconds >= 0) text += "Retry-After: " + std::to_string(rule.retry_after_seconds) + "\r\n";
  text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return method == "HEAD" ? text : text + body;
}

// What a peer gets that does not speak HTTP: the client 400, for the server 502.
std::string Misunderstood(int status) {
  return "HTTP/1.1 " + std::to_string(status) + " no HTTP\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
}

Status Closed() { return Status::Unavailable("the proxy closes the connection"); }

class Exchange {
 public:
  Exchange(ProxyCore* core, HttpStream* client, Upstream* upstream, HttpHead head, Framing framing,
           uint64_t connection)
      : core_(core),
        client_(client),
        upstream_(upstream),
        head_(std::move(head)),
        framing_(framing),
        method_(head_.method()),
        rule_(core->Choose(method_, head_.target())),
        body_(client, framing),
        keep_open_(StaysOpen(head_)) {
    const std::string* range = head_.Find("Range");
    noted_ = core->Begin({.method = method_,
                          .target = head_.target(),
                          .range = range != nullptr ? *range : "",
                          .fault = rule_.fault,
                          .connection = connection});
  }

  // OK: the connection can carry another request.
  Status Run();

 private:
  bool Is(Fault fault) const { return rule_.fault == fault; }
  // The next piece of the request's body, counted.
  Result<std::string> NextPiece();
  Result<KeptRequest> Keep();
  Status Drain();
  Status Refuse();
  Status RefuseAndSendLater();
  Status SendTwice();
  Status Forward();
  Status ForwardBody(HttpStream* server);
  Status Answer();
  Status AnswerBody(Framing framing);

  ProxyCore* const core_;
  HttpStream* const client_;
  Upstream* const upstream_;
  HttpHead head_;
  const Framing framing_;
  const std::string method_;
  const FaultRule rule_;
  BodyReader body_;
  Noted noted_;
  bool keep_open_;
};

Status Exchange::Run() {
  if (head_.Has("Expect", "100-continue")) {
    head_.Erase("Expect");
    TARN_TRY(client_->Send("HTTP/1.1 100 Continue\r\n\r\n"));
  }
  switch (rule_.fault) {
    case Fault::kCutRequest: TARN_TRY(Drain()); return Closed();
    case Fault::kRefuse: TARN_TRY(Drain()); return Refuse();
    case Fault::kLate: return RefuseAndSendLater();
    case Fault::kDuplicate: TARN_TRY(SendTwice()); break;
    case Fault::kDelayRequest:
      if (!core_->Wait(rule_.delay)) return Closed();
      TARN_TRY(Forward());
      break;
    default: TARN_TRY(Forward());
  }
  return Answer();
}

Result<std::string> Exchange::NextPiece() {
  TARN_ASSIGN(std::string piece, body_.Next());
  core_->Note(noted_, [&](ProxiedRequest& r) { r.request_bytes += piece.size(); });
  return piece;
}

Result<KeptRequest> Exchange::Keep() {
  KeptRequest kept{head_, framing_, "", ""};
  for (;;) {
    TARN_ASSIGN(const std::string piece, NextPiece());
    if (piece.empty()) break;
    kept.body += piece;
  }
  kept.trailer = body_.trailer();
  return kept;
}

// What is left unread turns the FIN of a close into a reset, which may overtake an answer.
Status Exchange::Drain() {
  for (;;) {
    TARN_ASSIGN(const std::string piece, NextPiece());
    if (piece.empty()) return Status::Ok();
  }
}

Status Exchange::Refuse() {
  core_->Note(noted_, [&](ProxiedRequest& r) { r.status = rule_.status; });
  TARN_TRY(client_->Send(Refusal(rule_, method_)));
  return keep_open_ ? Status::Ok() : Closed();
}

Status Exchange::RefuseAndSendLater() {
  TARN_ASSIGN(KeptRequest kept, Keep());
  core_->Spawn(true, [core = core_, delay = rule_.delay, noted = noted_, kept = std::move(kept)] {
    if (!core->Wait(delay)) return;
    Upstream upstream(core);
    core->Note(noted, [](ProxiedRequest& r) { ++r.forwarded; });
    const Result<int> status = SendAlone(kept, &upstream);
    core->Note(noted, [&](ProxiedRequest& r) { r.upstream_status = status.ok() ? *status : 0; });
  });
  return Refuse();
}

Status Exchange::SendTwice() {
  TARN_ASSIGN(const KeptRequest kept, Keep());
  core_->Note(noted_, [](ProxiedRequest& r) { ++r.forwarded; });
  TARN_TRY(SendAlone(kept, upstream_).status());
  TARN_ASSIGN(HttpStream* const server, upstream_->Ready());
  core_->Note(noted_, [](ProxiedRequest& r) { ++r.forwarded; });
  return SendKept(kept, server);
}

Status Exchange::Forward() {
  TARN_ASSIGN(HttpStream* const server, upstream_->Ready());
  core_->Note(noted_, [](ProxiedRequest& r) { ++r.forwarded; });
  TARN_TRY(server->Send(head_.Text()));
  return ForwardBody(server);
}

Status Exchange::ForwardBody(HttpStream* server) {
  BodyWriter writer(server, framing_.kind);
  BitFlip flip(rule_.bytes, framing_);
  for (;;) {
    TARN_ASSIGN(std::string piece, NextPiece());
    if (piece.empty()) return writer.Finish(body_.trailer());
    if (Is(Fault::kCorruptRequest)) flip.Pass(&piece);
    if (!writer.Write(piece).ok()) {
      // The server has heard enough. It may have said why; what the client still sends is lost on it.
      keep_open_ = false;
      return Status::Ok();
    }
  }
}

Status Exchange::Answer() {
  Result<HttpHead> answer = upstream_->ReadAnswer();
  const Result<Framing> framing = answer.ok() ? AnswerFraming(*answer, method_) : Result<Framing>(answer.status());
  if (!framing.ok()) {
    if (framing.status().code() != Code::kInvalid) return Closed();
    core_->Note(noted_, [](ProxiedRequest& r) { r.status = 502; });
    TARN_TRY(client_->Send(Misunderstood(502)));
    return Closed();
  }
  core_->Note(noted_, [&](ProxiedRequest& r) { r.upstream_status = answer->status(); });
  keep_open_ = keep_open_ && StaysOpen(*answer) && framing->kind != Framing::kUntilClose;
  if (Is(Fault::kLoseAnswer)) return Closed();
  if (Is(Fault::kDelayAnswer) && !core_->Wait(rule_.delay)) return Closed();
  if (Is(Fault::kTruncateAnswer) && framing->kind == Framing::kLength) {
    answer->Set("Content-Length", std::to_string(std::min(rule_.bytes, framing->length)));
  }
  core_->Note(noted_, [&](ProxiedRequest& r) { r.status = answer->status(); });
  TARN_TRY(client_->Send(answer->Text()));
  return AnswerBody(*framing);
}

Status Exchange::AnswerBody(Framing framing) {
  BodyReader reader(upstream_->stream(), framing);
  BodyWriter writer(client_, framing.kind);
  BitFlip flip(rule_.bytes, framing);
  const bool limited = Is(Fault::kCutAnswer) || Is(Fault::kTruncateAnswer);
  for (uint64_t left = limited ? rule_.bytes : UINT64_MAX; left > 0;) {
    TARN_ASSIGN(std::string piece, reader.Next());
    if (piece.empty()) break;
    if (Is(Fault::kCorruptAnswer)) flip.Pass(&piece);
    if (piece.size() > left) piece.resize(left);
    left -= piece.size();
    core_->Note(noted_, [&](ProxiedRequest& r) { r.answer_bytes += piece.size(); });
    TARN_TRY(writer.Write(piece));
  }
  if (Is(Fault::kCutAnswer)) return Closed();
  if (limited) upstream_->Drop();  // some of its answer may be on the way
  TARN_TRY(writer.Finish(reader.trailer()));
  return keep_open_ ? Status::Ok() : Closed();
}

}  // namespace

void ServeConnection(ProxyCore* core, int client, uint64_t number) {
  HttpStream stream(client, core->sockets());
  Upstream upstream(core);
  for (;;) {
    const Result<std::string> text = stream.ReadHeadText();
    if (!text.ok() && text.status().code() == Code::kUnavailable) return;
    Result<HttpHead> head = text.ok() ? ParseRequestHead(*text) : Result<HttpHead>(text.status());
    const Result<Framing> framing = head.ok() ? RequestFraming(*head) : Result<Framing>(head.status());
    if (!framing.ok()) {
      (void)stream.Send(Misunderstood(400));
      return;
    }
    Exchange exchange(core, &stream, &upstream, *std::move(head), *framing, number);
    if (!exchange.Run().ok()) return;
  }
}

}  // namespace tarn::test
