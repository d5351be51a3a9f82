// What the requests of this process to buckets were and cost: for --cost. Every bucket that cli/store.cc opens is
// counted, from its first request to its last, also those that only look whether there is a lake.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>

#include "backends/s3/s3.h"

namespace tarn::cli {

struct Spending {
  s3::S3Stats stats;
  s3::S3Cost cost;
  bool any_bucket = false;  // else there was nothing to count
};
// Of all counted buckets together, closed ones included.
Spending SpentSoFar();

// The bucket, counted.
std::shared_ptr<Backend> Counted(std::shared_ptr<s3::S3Backend> bucket);

// "3 GET, 1 PUT; 20 B sent, 1.5 KiB received; 0.0000062 (requests 0.0000062, transfer 0.0000000)", one line, for what
// was spent between the two.
std::string SpendingText(const Spending& before, const Spending& after);

// An amount of money: as many decimals as it needs to show three figures, at least two.
std::string MoneyText(double amount);

}  // namespace tarn::cli
