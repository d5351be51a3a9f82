// s3_bench: a store in a bucket, one step at a time. bench/s3/s3_bench.py runs the steps beside rclone and makes
// tables.
//
//   s3_bench load URL MIB VALUE_KIB    puts MIB of random values in order of key, and flushes
//   s3_bench scan URL                  opens for reading and walks over all of it, keeping nothing in memory
//   s3_bench tail URL READS ENDPOINT   reads random keys through a proxy in this process that delays 2 % of
//                                      the GETs by 300 ms; the URL says whether they are hedged
//   s3_bench erase URL                 deletes what the others left
//
// Prints one JSON object: bytes of keys and values, seconds from before the open to after the flush (load) or the
// last row (scan), requests by verb. tail: microseconds. A wrong value ends it with an error.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "backends/s3/s3.h"
#include "base/hash.h"
#include "base/system_effects.h"
#include "bench/workloads/histogram.h"
#include "tarn/db.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/sim_effects.h"

namespace tarn::bench {
namespace {

// Two memtables of it fit beside each other, and none is flushed for being small.
constexpr uint64_t kMemoryBytes = 512ull << 20;

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "s3_bench: %s\n", why.c_str());
  std::exit(1);
}
void Must(const Status& status) {
  if (!status.ok()) Fail(status.ToString());
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Store {
  std::shared_ptr<s3::S3Backend> bucket;
  std::unique_ptr<DB> db;
};

Store Open(const std::string& url, bool read_only, const std::string& endpoint = "") {
  auto options = s3::ParseS3Url(url);
  Must(options.status());
  options->read_only = read_only;
  if (!endpoint.empty()) options->endpoint = endpoint;
  auto bucket = s3::OpenS3Backend(*options, SystemClock(), SystemEntropy());
  Must(bucket.status());
  Settings settings;
  settings.memory_bytes = kMemoryBytes;
  settings.read_only = read_only;
  settings.compression = settings.last_level_compression = Compression::kNone;  // rclone has none, either
  Components parts;
  parts.backend = *bucket;
  auto db = DB::Open(settings, std::move(parts));
  Must(db.status());
  return {*bucket, std::move(*db)};
}

std::string KeyOf(uint64_t n) {
  char key[24];
  std::snprintf(key, sizeof key, "value/%012" PRIu64, n);
  return key;
}

// Incompressible, and all different: one random megabyte, begun elsewhere for each key, behind the key's number.
class Values {
 public:
  explicit Values(size_t bytes) : bytes_(bytes) {
    test::SeededRandom random(1);
    while (noise_.size() < bytes + (1 << 20)) {
      const uint64_t word = random.Next();
      noise_.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
  }
  void Make(uint64_t n, std::string* value) const {
    value->assign(KeyOf(n));
    value->append(noise_, n * 7919 % (1 << 20), bytes_ - value->size());
  }

 private:
  const size_t bytes_;
  std::string noise_;
};

void PrintRequests(const s3::S3Stats& stats) {
  std::printf("\"sent\": %" PRIu64 ", \"received\": %" PRIu64 ", \"retries\": %" PRIu64 ", \"hedges\": %" PRIu64
              ", \"requests\": {",
              stats.bytes_sent, stats.bytes_received, stats.retries, stats.hedges);
  const char* comma = "";
  for (size_t v = 0; v < s3::kVerbs; ++v) {
    if (stats.requests[v] == 0) continue;
    std::printf("%s\"%s\": %" PRIu64, comma, std::string(s3::VerbName(static_cast<s3::Verb>(v))).c_str(),
                stats.requests[v]);
    comma = ", ";
  }
  std::printf("}");
}

void Load(const std::string& url, uint64_t mib, uint64_t value_kib) {
  const size_t value_bytes = value_kib << 10;
  const uint64_t count = (mib << 20) / value_bytes;
  const Values values(value_bytes);
  const double begun = Seconds();
  Store store = Open(url, false);
  std::string value;
  uint64_t bytes = 0;
  for (uint64_t n = 0; n < count; ++n) {
    values.Make(n, &value);
    Must(store.db->Put(KeyOf(n), value, tarn::Durability::kNone));
    bytes += value.size() + KeyOf(n).size();
  }
  Must(store.db->Flush());
  const double seconds = Seconds() - begun;
  std::printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.3f, ", bytes, seconds);
  PrintRequests(store.bucket->stats());
  std::printf("}\n");
  Must(store.db->Close());
}

void Scan(const std::string& url) {
  const double begun = Seconds();
  const Store store = Open(url, true);
  uint64_t bytes = 0, n = 0;
  const auto it = store.db->NewIterator({.fill_cache = false});
  for (it->SeekToFirst(); it->valid(); it->Next(), ++n) {
    if (it->key() != KeyOf(n) || !it->value().starts_with(it->key())) Fail("row " + std::to_string(n) + " is wrong");
    bytes += it->key().size() + it->value().size();
  }
  Must(it->status());
  const double seconds = Seconds() - begun;
  std::printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.3f, \"rows\": %" PRIu64 ", ", bytes, seconds, n);
  PrintRequests(store.bucket->stats());
  std::printf("}\n");
}

// Each read is a block that is not in memory: the keys are read once each, in random order.
void Tail(const std::string& url, uint64_t reads, const std::string& endpoint) {
  auto proxy = test::FaultProxy::Start({.upstream = endpoint});
  Must(proxy.status());
  const Store store = Open(url, true, (*proxy)->endpoint());
  std::vector<std::string> keys;
  {
    const Store direct = Open(url, true);
    const auto it = direct.db->NewIterator({.fill_cache = false});
    for (it->SeekToFirst(); it->valid(); it->Next()) keys.emplace_back(it->key());
    Must(it->status());
  }
  if (keys.empty()) Fail("the store is empty: load it first");
  test::SeededRandom random(2);
  for (size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random.Below(i)]);
  keys.resize(std::min<size_t>(keys.size(), reads));
  std::string value;
  const size_t warm = keys.size() / 10;  // the tables are opened, and the hedger has seen what is usual
  Histogram took;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == warm) (*proxy)->AddRule(*test::ParseFaultRule("delay-request,delay=300,probability=0.02,method=GET"));
    const auto begun = std::chrono::steady_clock::now();
    Must(store.db->Get(keys[i], &value));
    const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begun);
    if (!value.starts_with(keys[i])) Fail("key " + keys[i] + " has a wrong value");
    if (i >= warm) took.Add(static_cast<uint64_t>(nanos.count()));
  }
  std::printf("{\"reads\": %" PRIu64 ", \"p50\": %.0f, \"p95\": %.0f, \"p99\": %.0f, \"p999\": %.0f, \"max\": %.0f, ",
              took.count(), took.Quantile(0.5) / 1e3, took.Quantile(0.95) / 1e3, took.Quantile(0.99) / 1e3,
              took.Quantile(0.999) / 1e3, static_cast<double>(took.max()) / 1e3);
  PrintRequests(store.bucket->stats());
  std::printf("}\n");
}

void Erase(const std::string& url) {
  const auto options = s3::ParseS3Url(url);
  Must(options.status());
  const auto bucket = s3::OpenS3Backend(*options, SystemClock(), SystemEntropy());
  Must(bucket.status());
  for (bool more = true; more;) {
    const auto page = (*bucket)->List("", "", 1000);
    Must(page.status());
    for (const BlobInfo& blob : page->blobs) Must((*bucket)->Delete(blob.name));
    more = page->more;
  }
}

int Main(int argc, char** argv) {
  const std::string step = argc > 2 ? argv[1] : "";
  const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  if (step == "load" && argc == 5 && number(3) > 0 && number(4) > 0) {
    Load(argv[2], number(3), number(4));
  } else if (step == "scan" && argc == 3) {
    Scan(argv[2]);
  } else if (step == "tail" && argc == 5 && number(3) > 0) {
    Tail(argv[2], number(3), argv[4]);
  } else if (step == "erase" && argc == 3) {
    Erase(argv[2]);
  } else {
    std::fprintf(stderr, "usage: s3_bench load URL MIB VALUE_KIB | scan URL | tail URL READS ENDPOINT | erase URL\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace tarn::bench

int main(int argc, char** argv) { return tarn::bench::Main(argc, argv); }
