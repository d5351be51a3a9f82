#include "backends/s3/reader.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "backends/s3/errors.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kPieceBytes = 8 << 20;
constexpr size_t kPiecesOfOneRead = 4;  // in flight, of a read outside a queue: 32 MiB

// One read and how many of its GETs are still to come back.
struct Read {
  ReadRequest* request;
  size_t pieces = 0;
};

// One GET of a read.
struct Piece {
  std::shared_ptr<Read> read;
  const OpenObject* object = nullptr;
  uint64_t offset = 0;
  std::span<char> out;
  std::string key;  // that it was sent to
  Call call;
};

class S3Queue final : public ReadQueue {
 public:
  S3Queue(std::shared_ptr<Client> client, size_t window)
      : client_(std::move(client)), window_(window), calls_(client_->caller()) {}

  void Submit(ReadRequest* request) override {
    const OpenObject& object = static_cast<const S3Reader*>(request->blob)->object();
    const size_t n = request->out.size();
    if (request->offset > object.size || n > object.size - request->offset) {
      request->status = PastTheEnd(client_->ObjectName(object.blob), object.size, request->offset, n);
      return done_.push_back(request);
    }
    request->status = Status::Ok();
    if (n == 0) return done_.push_back(request);
    const auto read = std::make_shared<Read>(Read{request});
    for (uint64_t at = 0; at < n; at += kPieceBytes) {
      auto piece = std::make_unique<Piece>();
      piece->read = read;
      piece->object = &object;
      piece->offset = request->offset + at;
      piece->out = request->out.subspan(at, std::min<uint64_t>(kPieceBytes, n - at));
      ++read->pieces;
      waiting_.push_back(std::move(piece));
    }
    StartMore();
  }

  std::vector<ReadRequest*> Wait() override {
    while (done_.empty() && !flying_.empty()) {
      for (Call* call : calls_.Wait()) Returned(static_cast<Piece*>(call->context));
      StartMore();
    }
    return std::exchange(done_, {});
  }

 private:
  void StartMore() {
    while (!waiting_.empty() && flying_.size() < window_) {
      std::unique_ptr<Piece> piece = std::move(waiting_.front());
      waiting_.pop_front();
      Start(piece.get());
      flying_.push_back(std::move(piece));
    }
  }

  void Start(Piece* piece) {
    std::string etag;
    {
      const std::lock_guard<std::mutex> lock(piece->object->mutex);
      piece->key = piece->object->key;
      etag = piece->object->etag;
    }
    piece->call = Client::RangedGet(piece->key, etag, piece->offset, piece->out.size());
    piece->call.context = piece;
    calls_.Start(&piece->call);
  }

  void Returned(Piece* piece) {
    const Status status =
        Client::TakeRange(piece->call, client_->ObjectName(piece->object->blob), piece->offset, piece->out);
    if (status.code() == Code::kNotFound && Moved(*piece)) return Start(piece);
    Read& read = *piece->read;
    if (read.request->status.ok()) read.request->status = status;
    if (--read.pieces == 0) done_.push_back(read.request);
    std::erase_if(flying_, [&](const std::unique_ptr<Piece>& one) { return one.get() == piece; });
  }

  // The object was copied aside while the GET was under way.
  static bool Moved(const Piece& piece) {
    const std::lock_guard<std::mutex> lock(piece.object->mutex);
    return piece.object->key != piece.key;
  }

  const std::shared_ptr<Client> client_;
  const size_t window_;
  std::deque<std::unique_ptr<Piece>> waiting_;
  std::vector<std::unique_ptr<Piece>> flying_;
  std::vector<ReadRequest*> done_;
  CallQueue calls_;
};

}  // namespace

Status S3Reader::Read(uint64_t offset, std::span<char> out) const {
  ReadRequest request{this, offset, out, Status::Ok(), nullptr};
  S3Queue queue(client_, kPiecesOfOneRead);
  queue.Submit(&request);
  queue.Wait();
  return request.status;
}

std::unique_ptr<ReadQueue> NewS3Queue(std::shared_ptr<Client> client, size_t window) {
  return std::make_unique<S3Queue>(std::move(client), window);
}

}  // namespace tarn::s3
