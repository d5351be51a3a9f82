#include "kernel/scan_ahead.h"

#include <algorithm>
#include <utility>

namespace tarn::kernel {

ScanAhead::~ScanAhead() { Drop(); }

void ScanAhead::Continue(const Table& table, uint64_t offset) {
  uint64_t next = pieces_.empty() ? offset : pieces_.back()->bytes.end;
  while (pieces_.size() < wanted_ && next < table.blob().size() && Start(table, next))
    next = pieces_.back()->bytes.end;
}

bool ScanAhead::Start(const Table& table, uint64_t offset) {
  if (piece_bytes_ == 0) piece_bytes_ = engine_.read_ahead_bytes();
  const uint64_t n = std::min(piece_bytes_, table.blob().size() - offset);
  if (!engine_.CountInFlight(n)) return false;
  auto piece = std::make_unique<Piece>();
  piece->bytes.begin = offset;
  piece->bytes.end = offset + n;
  piece->bytes.charge = engine_.ChargeBuffer(n);
  piece->bytes.bytes = std::make_unique_for_overwrite<char[]>(n);
  piece->request = {
      .blob = &table.blob(), .offset = offset, .out = {piece->bytes.bytes.get(), n}, .context = piece.get()};
  engine_.statistics_.Add(Counter::kReadRequests);
  engine_.statistics_.Add(Counter::kReadBytes, n);
  queue_->Submit(&piece->request);
  ++in_flight_;
  pieces_.push_back(std::move(piece));
  return true;
}

std::optional<ScanAhead::Bytes> ScanAhead::Take(uint64_t offset) {
  if (pieces_.empty() || pieces_.front()->bytes.begin != offset) return std::nullopt;
  while (!pieces_.front()->back) AwaitOne();
  const std::unique_ptr<Piece> piece = std::move(pieces_.front());
  pieces_.pop_front();
  Forget(*piece);
  if (!piece->request.status.ok()) {
    Drop();
    return std::nullopt;
  }
  wanted_ = std::min(wanted_ * 2, kMostPieces);
  const uint64_t largest = std::min(kLargestPiece, engine_.cache_.budget().limit() / kPieceShare);
  piece_bytes_ = std::max(piece_bytes_, std::min(piece_bytes_ * 2, largest));
  return std::move(piece->bytes);
}

bool ScanAhead::Extend(Bytes* window, uint64_t from, uint64_t until) {
  while (window->end < until) {
    std::optional<Bytes> piece = Take(window->end);
    if (!piece.has_value()) return false;
    const uint64_t kept = window->end - from, more = piece->end - piece->begin;
    if (kept > 0) {
      Bytes joined{from, piece->end, std::make_unique_for_overwrite<char[]>(kept + more),
                   engine_.ChargeBuffer(kept + more)};
      std::copy_n(window->bytes.get() + (from - window->begin), kept, joined.bytes.get());
      std::copy_n(piece->bytes.get(), more, joined.bytes.get() + kept);
      *window = std::move(joined);
    } else {
      *window = std::move(*piece);
    }
  }
  return true;
}

void ScanAhead::AwaitOne() {
  for (const ReadRequest* request : queue_->Wait()) {
    static_cast<Piece*>(request->context)->back = true;
    --in_flight_;
  }
}

void ScanAhead::Forget(const Piece& piece) {
  engine_.in_flight_bytes_.fetch_sub(piece.bytes.end - piece.bytes.begin, std::memory_order_relaxed);
}

void ScanAhead::Drop() {
  while (in_flight_ > 0) AwaitOne();
  for (const auto& piece : pieces_) Forget(*piece);
  pieces_.clear();
  wanted_ = 1;
  piece_bytes_ = 0;
}

}  // namespace tarn::kernel
