#include "bench/workloads/data.h"

#include <algorithm>

namespace tarn::bench {

ValuePool::ValuePool(double compressibility, uint32_t largest_value, uint64_t seed) {
  // Pieces of this many bytes: a random part, repeated until the piece is full. What a value of 100 bytes begins with
  // is repeated within it, so that compression within a block of 4 KiB finds it.
  constexpr size_t kPiece = 100;
  const auto random_part = std::clamp<size_t>(static_cast<size_t>(compressibility * kPiece), 1, kPiece);
  Random random(seed);
  pool_.resize(kBytes + largest_value + sizeof(covered_));
  for (size_t i = 0; i < pool_.size(); ++i) {
    const size_t in_piece = i % kPiece;
    pool_[i] = in_piece < random_part ? static_cast<char>(random.Next()) : pool_[i - random_part];
  }
  at_ = pool_.data();
  end_ = pool_.data() + kBytes + largest_value;  // short values may write their check a little beyond
  std::memcpy(&covered_, at_, sizeof(covered_));
}

}  // namespace tarn::bench
