#include "cli/spending.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>

#include "cli/text.h"

namespace tarn::cli {
namespace {

struct Till {
  std::mutex mutex;  // guards all below
  std::set<const s3::S3Backend*> open;
  Spending closed;
};
Till& TheTill() {
  static Till* const till = new Till();  // outlives every backend
  return *till;
}

void Add(const s3::S3Backend& bucket, Spending* sum) {
  const s3::S3Stats stats = bucket.stats();
  const s3::S3Cost cost = s3::CostOf(stats, bucket.prices());
  sum->stats += stats;
  sum->cost.requests += cost.requests;
  sum->cost.transfer += cost.transfer;
  sum->any_bucket = true;
}

// "3 GET, 1 PUT", or "no requests".
std::string RequestsText(const s3::S3Stats& before, const s3::S3Stats& after) {
  std::string text;
  for (size_t i = 0; i < s3::kVerbs; ++i) {
    const uint64_t n = after.requests[i] - before.requests[i];
    if (n == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, s3::VerbName(static_cast<s3::Verb>(i)));
  }
  return text.empty() ? "no requests" : text;
}

}  // namespace

Spending SpentSoFar() {
  Till& till = TheTill();
  const std::lock_guard<std::mutex> lock(till.mutex);
  Spending sum = till.closed;
  for (const s3::S3Backend* bucket : till.open) Add(*bucket, &sum);
  return sum;
}

std::shared_ptr<Backend> Counted(std::shared_ptr<s3::S3Backend> bucket) {
  Till& till = TheTill();
  const std::lock_guard<std::mutex> lock(till.mutex);
  till.open.insert(bucket.get());
  s3::S3Backend* const raw = bucket.get();
  return {raw, [kept = std::move(bucket)](Backend*) mutable {
            {
              Till& at = TheTill();
              const std::lock_guard<std::mutex> inner(at.mutex);
              at.open.erase(kept.get());
              Add(*kept, &at.closed);
            }
            kept.reset();
          }};
}

std::string MoneyText(double amount) {
  const int decimals = amount > 0 ? 2 - static_cast<int>(std::floor(std::log10(amount))) : 2;
  return fmt::format("{:.{}f}", amount, std::clamp(decimals, 2, 12));
}

std::string SpendingText(const Spending& before, const Spending& after) {
  if (!after.any_bucket) return "no bucket was used";
  const double requests = after.cost.requests - before.cost.requests;
  const double transfer = after.cost.transfer - before.cost.transfer;
  const uint64_t retries = after.stats.retries - before.stats.retries;
  std::string text = RequestsText(before.stats, after.stats);
  if (retries > 0) text += fmt::format(" ({})", Plural(retries, "retry", "retries"));
  return text + fmt::format("; {} sent, {} received; {} (requests {}, transfer {})",
                            HumanBytes(after.stats.bytes_sent - before.stats.bytes_sent),
                            HumanBytes(after.stats.bytes_received - before.stats.bytes_received),
                            MoneyText(requests + transfer), MoneyText(requests), MoneyText(transfer));
}

}  // namespace tarn::cli
