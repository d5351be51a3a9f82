// What requests cost: the classes of S3's price lists.
#include "backends/s3/s3.h"

namespace tarn::s3 {
namespace {

enum class PriceClass : uint8_t { kFree, kRead, kWrite };

PriceClass ClassOf(Verb verb) {
  switch (verb) {
    case Verb::kGet:
    case Verb::kHead: return PriceClass::kRead;
    case Verb::kDelete:
    case Verb::kAbortUpload: return PriceClass::kFree;
    default: return PriceClass::kWrite;
  }
}

}  // namespace

S3Cost CostOf(const S3Stats& stats, const S3Prices& prices) {
  S3Cost cost;
  for (size_t i = 0; i < kVerbs; ++i) {
    const PriceClass of = ClassOf(static_cast<Verb>(i));
    const double thousands = static_cast<double>(stats.requests[i]) / 1000;
    if (of == PriceClass::kWrite) cost.requests += thousands * prices.thousand_writes;
    if (of == PriceClass::kRead) cost.requests += thousands * prices.thousand_reads;
  }
  cost.transfer = static_cast<double>(stats.bytes_received) / kPricedBytes * prices.egress;
  return cost;
}

double StorageCost(uint64_t bytes, const S3Prices& prices) {
  return static_cast<double>(bytes) / kPricedBytes * prices.storage;
}

S3Stats& operator+=(S3Stats& sum, const S3Stats& more) {
  for (size_t i = 0; i < kVerbs; ++i) sum.requests[i] += more.requests[i];
  sum.bytes_sent += more.bytes_sent;
  sum.bytes_received += more.bytes_received;
  sum.retries += more.retries;
  sum.throttles += more.throttles;
  sum.hedges += more.hedges;
  sum.hedges_won += more.hedges_won;
  sum.collected_copies += more.collected_copies;
  sum.collected_uploads += more.collected_uploads;
  return sum;
}

}  // namespace tarn::s3
