// db_bench: workloads over the public API, under the names LevelDB gave them. One process, one store, no tricks: it
// measures what a caller of tarn/db.h sees, and checks what it reads.
//
//   db_bench --workloads fillseq,readrandom --keys 1000000 --value-size 100 --threads 1 --dir DIR
//
//   fillseq         puts in key order                       readseq          one scan over everything
//   fillrandom      puts in random order                    readrandom       gets of random keys
//   overwrite       puts over what is there                 multireadrandom  MultiGet of 64 random keys; one op a key
//   fillsync        puts, each survives power loss          seekrandom       seek to a random key, then 10 nexts
//   fillsync16      the same from 16 threads (group commit)
//
// A fill ends when its last put returned; the flush that follows is printed as its own number. fillseq, fillrandom
// and the fillsyncs start from an empty store; the others use what is there. Each operation is timed by itself into
// a histogram of buckets 1/32 of their value wide, so a quantile is at most 3 % too high. The two clock reads cost
// about 50 ns and are in the numbers.
//
// Keys are 16 bytes. Values are half compressible. Random choices come from a fixed seed: a run repeats exactly.
#include <tarn/db.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tarn::bench {
namespace {

struct Options {
  std::string workloads =
      "fillseq,fillrandom,overwrite,readrandom,multireadrandom,readseq,seekrandom,fillsync,fillsync16";
  std::string dir = "db_bench.store";
  uint64_t keys = 1000000;
  uint64_t reads = 0;        // 0: as many as keys
  uint64_t sync_writes = 0;  // 0: keys / 100, at least 100
  uint64_t value_size = 100;
  uint64_t memory_mib = 256;
  unsigned threads = 1;
  Durability durability = Durability::kProcess;
  bool json = false;
};

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "db_bench: %s\n", why.c_str());
  std::exit(1);
}
void Must(const Status& status) {
  if (!status.ok()) Die(status.ToString());
}

uint64_t NowNanos() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// Log-linear: 32 buckets a power of two.
class Histogram {
 public:
  void Add(uint64_t nanos) {
    ++buckets_[Index(nanos)];
    ++count_;
    max_ = std::max(max_, nanos);
  }
  void Merge(const Histogram& other) {
    for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }
  uint64_t Quantile(double q) const {  // upper end of the bucket that holds it
    auto rank = static_cast<uint64_t>(q * static_cast<double>(count_));
    for (size_t i = 0; i < buckets_.size(); ++i) {
      if (buckets_[i] > rank) return std::min(UpperEnd(i), max_);
      rank -= buckets_[i];
    }
    return max_;
  }
  uint64_t max() const { return max_; }
  uint64_t count() const { return count_; }

 private:
  static size_t Index(uint64_t v) {
    if (v < 32) return v;
    const int shift = std::bit_width(v) - 6;
    return static_cast<size_t>((shift + 1) * 32) + ((v >> shift) - 32);
  }
  static uint64_t UpperEnd(size_t index) {
    if (index < 32) return index;
    const auto shift = index / 32 - 1;
    return ((index % 32 + 33) << shift) - 1;
  }
  std::array<uint64_t, 60 * 32> buckets_{};
  uint64_t count_ = 0, max_ = 0;
};

struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15ull + 88172645463325252ull) {}
  uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  }
};

std::string KeyOf(uint64_t n) {
  char key[24];
  std::snprintf(key, sizeof(key), "%016llu", static_cast<unsigned long long>(n));
  return key;
}

// The value of key n: starts with the key (which reads check), then half random letters, half repetition.
class Values {
 public:
  explicit Values(uint64_t size) : size_(size) {
    Random random(301);
    while (pool_.size() < (1 << 20) + size) {
      std::string piece(50, ' ');
      for (char& c : piece) c = static_cast<char>('a' + random.Next() % 26);
      pool_ += piece + piece;
    }
  }
  std::string_view Of(const std::string& key, std::string* buffer) const {
    buffer->assign(pool_, std::hash<std::string>{}(key) % (1 << 20), size_);
    buffer->replace(0, std::min(key.size(), buffer->size()), key, 0, std::min(key.size(), buffer->size()));
    return *buffer;
  }
  bool Fits(std::string_view key, std::string_view value) const {
    const size_t n = std::min(key.size(), size_);
    return value.size() == size_ && value.substr(0, n) == key.substr(0, n);
  }

 private:
  std::string pool_;
  size_t size_;
};

struct Outcome {
  std::string name;
  uint64_t operations = 0;
  double seconds = 0;
  Histogram latency;
  uint64_t missing = 0;        // reads that found nothing, where that is allowed
  double settle_seconds = -1;  // fills: how long the flush after it took
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), values_(options.value_size) {}

  Outcome Run(const std::string& name) {
    const uint64_t keys = options_.keys;
    const uint64_t reads = options_.reads != 0 ? options_.reads : keys;
    const uint64_t syncs = options_.sync_writes != 0 ? options_.sync_writes : std::max<uint64_t>(100, keys / 100);
    const unsigned threads = options_.threads;
    if (name == "fillseq") return Fill(name, true, keys, threads, true, options_.durability);
    if (name == "fillrandom") return Fill(name, true, keys, threads, false, options_.durability);
    if (name == "overwrite") return Fill(name, false, keys, threads, false, options_.durability);
    if (name == "fillsync") return Fill(name, true, syncs, 1, false, Durability::kPower);
    if (name == "fillsync16") return Fill(name, true, syncs, 16, false, Durability::kPower);
    Reopen(false);
    if (name == "readrandom") return Each(name, threads, reads, [this](Thread& t, uint64_t) { ReadOne(t); });
    if (name == "multireadrandom") return MultiRead(name, threads, reads);
    if (name == "readseq") return ReadSeq(name, threads);
    if (name == "seekrandom") return SeekRandom(name, threads, reads);
    Die("unknown workload '" + name + "'; see the top of bench/db_bench.cc");
  }

 private:
  struct Thread {
    Random random;
    Histogram latency;
    uint64_t missing = 0;
    std::string value;
  };

  void Reopen(bool fresh) {
    if (db_ != nullptr && !fresh) return;
    db_.reset();
    if (fresh) std::filesystem::remove_all(options_.dir);
    Settings settings;
    settings.memory_bytes = options_.memory_mib << 20;
    auto opened = DB::Open(settings, options_.dir);
    Must(opened.status());
    db_ = std::move(*opened);
  }

  // Runs `operation` n times in all, over so many threads, and times each.
  Outcome Each(const std::string& name, unsigned threads, uint64_t n,
               const std::function<void(Thread&, uint64_t)>& operation) {
    std::vector<std::unique_ptr<Thread>> states;
    std::vector<std::thread> workers;
    const uint64_t start = NowNanos();
    for (unsigned t = 0; t < threads; ++t) {
      states.push_back(std::make_unique<Thread>(Thread{Random(t + 1), {}, 0, {}}));
      workers.emplace_back([&operation, n, t, threads, state = states.back().get()] {
        for (uint64_t i = t; i < n; i += threads) {
          const uint64_t before = NowNanos();
          operation(*state, i);
          state->latency.Add(NowNanos() - before);
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    Outcome outcome{name, n, static_cast<double>(NowNanos() - start) / 1e9, {}, 0, -1};
    for (const auto& state : states) {
      outcome.latency.Merge(state->latency);
      outcome.missing += state->missing;
    }
    return outcome;
  }

  Outcome Fill(const std::string& name, bool fresh, uint64_t n, unsigned threads, bool in_order,
               Durability durability) {
    Reopen(fresh);
    Outcome outcome = Each(name, threads, n, [&](Thread& t, uint64_t i) {
      const std::string key = KeyOf(in_order ? i : t.random.Next() % options_.keys);
      Must(db_->Put(key, values_.Of(key, &t.value), durability));
    });
    sparse_ = fresh ? !in_order || n < options_.keys : sparse_;
    const uint64_t start = NowNanos();
    Must(db_->Flush());
    outcome.settle_seconds = static_cast<double>(NowNanos() - start) / 1e9;
    return outcome;
  }

  void Check(Thread& t, const std::string& key, const Status& status, const std::string& value) {
    if (status.code() == Code::kNotFound && sparse_) {
      ++t.missing;
      return;
    }
    Must(status.Annotate("key " + key));
    if (!values_.Fits(key, value)) Die("key " + key + " has a wrong value");
  }
  void ReadOne(Thread& t) {
    const std::string key = KeyOf(t.random.Next() % options_.keys);
    Check(t, key, db_->Get(key, &t.value), t.value);
  }

  Outcome MultiRead(const std::string& name, unsigned threads, uint64_t reads) {
    constexpr uint64_t kBatch = 64;
    const uint64_t batches = std::max<uint64_t>(1, reads / kBatch);
    Outcome outcome = Each(name, threads, batches, [this](Thread& t, uint64_t) {
      std::vector<std::string> keys(kBatch), values;
      for (std::string& key : keys) key = KeyOf(t.random.Next() % options_.keys);
      const std::vector<std::string_view> views(keys.begin(), keys.end());
      const std::vector<Status> statuses = db_->MultiGet({}, views, &values);
      for (size_t i = 0; i < kBatch; ++i) Check(t, keys[i], statuses[i], values[i]);
    });
    outcome.operations = batches * kBatch;  // the latencies are those of whole batches
    return outcome;
  }

  Outcome ReadSeq(const std::string& name, unsigned threads) {
    std::atomic<uint64_t> seen{0};
    Outcome outcome = Each(name, threads, threads, [&](Thread&, uint64_t) {
      auto it = db_->NewIterator();
      uint64_t n = 0;
      for (it->SeekToFirst(); it->valid(); it->Next()) {
        if (!values_.Fits(it->key(), it->value())) Die("a scan met a wrong value at key " + std::string(it->key()));
        ++n;
      }
      Must(it->status());
      if (!sparse_ && n != options_.keys) Die("a scan saw " + std::to_string(n) + " keys");
      seen += n;
    });
    outcome.operations = seen;
    return outcome;
  }

  Outcome SeekRandom(const std::string& name, unsigned threads, uint64_t reads) {
    std::vector<std::unique_ptr<Iterator>> iterators;
    for (unsigned t = 0; t < threads; ++t) iterators.push_back(db_->NewIterator());
    return Each(name, threads, std::max<uint64_t>(1, reads / 10), [&](Thread& t, uint64_t i) {
      Iterator& it = *iterators[i % threads];
      const std::string key = KeyOf(t.random.Next() % options_.keys);
      it.Seek(key);
      if (it.valid() && it.key() < key) Die("a seek went to a smaller key than " + key);
      for (int step = 0; step < 10 && it.valid(); ++step) it.Next();
      Must(it.status());
    });
  }

  const Options& options_;
  const Values values_;
  std::unique_ptr<DB> db_;
  bool sparse_ = true;  // a key may be missing
};

void Print(const Options& options, const Outcome& o) {
  const double rate = static_cast<double>(o.operations) / o.seconds;
  const auto us = [](uint64_t nanos) { return static_cast<double>(nanos) / 1e3; };
  if (options.json) {
    std::printf(
        "{\"workload\":\"%s\",\"operations\":%llu,\"seconds\":%.6f,\"ops_per_second\":%.1f,\"p50_us\":%.2f,"
        "\"p99_us\":%.2f,\"p999_us\":%.2f,\"max_us\":%.2f,\"missing\":%llu,\"flush_after_seconds\":%.3f}\n",
        o.name.c_str(), static_cast<unsigned long long>(o.operations), o.seconds, rate, us(o.latency.Quantile(0.5)),
        us(o.latency.Quantile(0.99)), us(o.latency.Quantile(0.999)), us(o.latency.max()),
        static_cast<unsigned long long>(o.missing), std::max(0.0, o.settle_seconds));
  } else {
    std::printf("%-16s %10.0f ops/s   p50 %9.1f us   p99 %9.1f us   p99.9 %9.1f us   max %10.1f us", o.name.c_str(),
                rate, us(o.latency.Quantile(0.5)), us(o.latency.Quantile(0.99)), us(o.latency.Quantile(0.999)),
                us(o.latency.max()));
    if (o.settle_seconds >= 0) std::printf("   (flush after: %.2f s)", o.settle_seconds);
    if (o.missing > 0) std::printf("   (%llu not found)", static_cast<unsigned long long>(o.missing));
    std::printf("\n");
  }
  std::fflush(stdout);
}

uint64_t Number(const std::string& flag, const char* text, uint64_t least, uint64_t most) {
  char* end = nullptr;
  const uint64_t n = std::strtoull(text, &end, 10);
  if (*text == 0 || *end != 0 || n < least || n > most) {
    Die(flag + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) + ", not '" + text +
        "'");
  }
  return n;
}

Options Parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json") {
      o.json = true;
      continue;
    }
    if (i + 1 >= argc) Die("'" + flag + "' is unknown or lacks its value; see the top of bench/db_bench.cc");
    const char* value = argv[++i];
    if (flag == "--workloads")
      o.workloads = value;
    else if (flag == "--dir")
      o.dir = value;
    else if (flag == "--keys")
      o.keys = Number(flag, value, 1, 1ull << 40);
    else if (flag == "--reads")
      o.reads = Number(flag, value, 1, 1ull << 40);
    else if (flag == "--sync-writes")
      o.sync_writes = Number(flag, value, 1, 1ull << 40);
    else if (flag == "--value-size")
      o.value_size = Number(flag, value, 0, 64 << 20);
    else if (flag == "--memory-mib")
      o.memory_mib = Number(flag, value, 8, 1 << 20);
    else if (flag == "--threads")
      o.threads = static_cast<unsigned>(Number(flag, value, 1, 256));
    else if (flag == "--durability" && std::string(value) == "none")
      o.durability = Durability::kNone;
    else if (flag == "--durability" && std::string(value) == "process")
      o.durability = Durability::kProcess;
    else if (flag == "--durability" && std::string(value) == "power")
      o.durability = Durability::kPower;
    else
      Die("'" + flag + " " + value + "' is unknown; see the top of bench/db_bench.cc");
  }
  return o;
}

}  // namespace

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  Bench bench(options);
  for (size_t at = 0; at <= options.workloads.size();) {
    const size_t end = std::min(options.workloads.find(',', at), options.workloads.size());
    Print(options, bench.Run(options.workloads.substr(at, end - at)));
    at = end + 1;
  }
  return 0;
}

}  // namespace tarn::bench

int main(int argc, char** argv) { return tarn::bench::Main(argc, argv); }
