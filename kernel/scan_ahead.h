// ScanAhead: bytes of one blob that are under way before a walk gets to them. For ScanSource over a network, where a
// walk that asks for one window after the other waits for the way and not for the bytes.
//
// Pieces follow one another without a gap and come back in any order; they are taken in theirs. How many are under
// way doubles with each that was taken, up to kMostPieces, so a walk that soon ends has asked for little too much.
//
// Memory: pieces are charged to the budget, and count as reads in flight (ReadEngine); when too much is in flight, no
// piece is started. Threads: one at a time.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "kernel/read_engine.h"

namespace tarn::kernel {

class ScanAhead {
 public:
  explicit ScanAhead(ReadEngine& engine) : engine_(engine), queue_(engine.NewMovingQueue()) {}
  ~ScanAhead();  // as Drop
  ScanAhead(const ScanAhead&) = delete;
  ScanAhead& operator=(const ScanAhead&) = delete;

  struct Bytes {
    uint64_t begin = 0, end = 0;
    std::unique_ptr<char[]> bytes;
    MemoryCharge charge;
  };
  // Asks for more, from `offset` if nothing is under way. The blob outlives it, or Drop.
  void Continue(const Table& table, uint64_t offset);
  // Makes the window begin at `from` and reach `until` at least, with the pieces that follow it. False: they are not
  // under way, or could not be read. REQUIRES: window->begin <= from <= window->end; its bytes are there unless
  // from == window->end.
  bool Extend(Bytes* window, uint64_t from, uint64_t until);
  bool empty() const { return pieces_.empty(); }
  // Waits for what is under way and forgets it. The next walk begins with few pieces.
  void Drop();

 private:
  struct Piece {
    Bytes bytes;
    ReadRequest request;
    bool back = false;
  };
  // 16 MiB under way are 160 MB/s where a request takes 100 ms. A request of 4 MiB costs the server little more than
  // one of 1 MiB. A walk gets a sixteenth of the budget, so that some can go on beside each other.
  static constexpr size_t kMostPieces = 4;
  static constexpr uint64_t kLargestPiece = 4 << 20;
  static constexpr uint64_t kPieceShare = 64;

  // None: it is not under way, or could not be read; then nothing is any more.
  std::optional<Bytes> Take(uint64_t offset);
  bool Start(const Table& table, uint64_t offset);
  void AwaitOne();
  void Forget(const Piece& piece);

  ReadEngine& engine_;
  std::unique_ptr<ReadQueue> queue_;           // a moving one: a merge goes on in another thread with reads under way
  std::deque<std::unique_ptr<Piece>> pieces_;  // in order of place
  size_t in_flight_ = 0;
  size_t wanted_ = 1;
  uint64_t piece_bytes_ = 0;  // of the next; 0: as large as a window
};

}  // namespace tarn::kernel
