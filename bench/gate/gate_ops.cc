// gate_ops: a few operations of a whole store, each between two marks that callgrind understands. gate.py runs it and
// counts instructions; it measures nothing by itself.
//
//   gate_ops about          what the counts depend on besides this tree: compiler, flags, C library, processor; as
//   JSON gate_ops load DIR       writes the store that is measured; natively, because nothing of it is counted
//   gate_ops measure DIR    runs every operation once and prints "name units" for each, in the order of the marks
//
// The store is the one that users have, on a local directory, so that the write path which they pay for is counted.
// The same run twice is the same instructions: background work is in-line, clock and chance come from seeds, io_uring
// is off (valgrind has none), and one thread does everything. What the kernel does for a system call is not counted.
//
// Data: 16-byte keys in scattered order, 100-byte values of which half are noise. 20,000 keys lie in the last level
// and a quarter of them again in level 0, so that a lookup meets a filter that says no. Reads are from the block
// cache: a read of the device would mean that something else than intended is measured, and ends the run with an
// error.
#include <gnu/libc-version.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/local/local.h"
#include "tarn/db.h"
#include "tests/support/sim_effects.h"

// The marks: gate.py has callgrind forget its counts when this function is entered and write them down when it is
// left.
extern "C" __attribute__((noinline)) void GateCountedRegion(const std::function<void()>& body) {
  body();
  asm volatile("");  // no tail call: the body has to end inside this function
}

namespace tarn {
namespace {

constexpr uint64_t kKeys = 20000;
constexpr uint64_t kRewritten = kKeys / 4;  // keys that are in level 0 too
constexpr uint64_t kPuts = 4000;
constexpr uint64_t kReads = 2000;
constexpr uint64_t kBatchKeys = 64;     // of one MultiGet
constexpr uint64_t kStride = 7919;      // a prime, so that i * kStride visits every key in scattered order
constexpr uint64_t kMissing = 1 << 30;  // numbers from here on are keys that nobody puts

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "gate_ops: %s\n", why.c_str());
  std::exit(1);
}
void Must(const Status& status) {
  if (!status.ok()) Die(status.ToString());
}
void Require(bool condition, const char* what) {
  if (!condition) Die(what);
}

std::string KeyOf(uint64_t n) {
  char key[24];
  std::snprintf(key, sizeof(key), "%016llx", static_cast<unsigned long long>(n * 0x9e3779b97f4a7c15ull));
  return key;
}

std::string ValueOf(uint64_t n) {
  std::string value(100, 'v');
  test::SeededRandom random(n);
  for (size_t at = 0; at + 8 <= 48; at += 8) {
    const uint64_t noise = random.Next();
    std::memcpy(&value[at], &noise, sizeof(noise));
  }
  return value;
}

// Keys number first, first + kStride, ... of the loaded ones (or as many missing ones), made before the counting
// starts.
std::vector<std::string> Keys(uint64_t count, uint64_t offset = 0) {
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < count; ++i) keys.push_back(KeyOf(i * kStride % kKeys + offset));
  return keys;
}

std::unique_ptr<DB> OpenStore(const std::string& directory, bool create) {
  Settings settings;
  settings.memory_bytes = 64 << 20;  // everything fits
  settings.create_if_missing = settings.error_if_exists = create;
  auto backend = local::OpenLocal(directory, {.create = create, .allow_io_uring = false});
  Must(backend.status());
  Components parts;
  parts.backend = *backend;
  parts.clock = std::make_shared<test::VirtualClock>();
  parts.entropy = std::make_shared<test::SeededEntropy>(1);
  parts.scheduler = std::make_shared<test::SimScheduler>(1);
  auto db = DB::Open(settings, std::move(parts));
  Must(db.status());
  return std::move(db).value();
}

void Load(const std::string& directory) {
  const auto db = OpenStore(directory, true);
  for (uint64_t i = 0; i < kKeys; ++i) Must(db->Put(KeyOf(i * kStride % kKeys), ValueOf(i)));
  Must(db->Flush());
  Must(db->Compact());
  for (uint64_t i = 0; i < kRewritten; ++i) Must(db->Put(KeyOf(i * 4), ValueOf(i)));
  Must(db->Flush());
  Must(db->Close());
}

void Count(const char* name, uint64_t units, const std::function<void()>& body) {
  GateCountedRegion(body);
  std::printf("%s %llu\n", name, static_cast<unsigned long long>(units));
}

void CountGets(DB& db, const char* name, const std::vector<std::string>& keys, bool there) {
  std::string value(100, 'x');
  uint64_t found = 0;
  Count(name, keys.size(), [&] {
    for (const std::string& key : keys) found += db.Get(key, &value).ok();
  });
  Require(found == (there ? keys.size() : 0), "a lookup gave the wrong answer");
}

void CountMultiGet(DB& db) {
  const auto keys = Keys(kReads / kBatchKeys * kBatchKeys);
  std::vector<std::vector<std::string_view>> batches;
  for (size_t i = 0; i < keys.size(); i += kBatchKeys) batches.emplace_back(&keys[i], &keys[i] + kBatchKeys);
  std::vector<std::string> values(kBatchKeys, std::string(100, 'x'));
  uint64_t found = 0;
  Count("multiget", keys.size(), [&] {
    for (const auto& batch : batches) {
      for (const Status& status : db.MultiGet({}, batch, &values)) found += status.ok();
    }
  });
  Require(found == keys.size(), "a batched lookup missed a key");
}

void CountWalks(DB& db) {
  const auto keys = Keys(kReads / 2);
  const auto it = db.NewIterator();
  it->SeekToFirst();
  uint64_t seen = 1;
  Count("next", kKeys - 1, [&] {
    for (it->Next(); it->valid(); it->Next()) ++seen;
  });
  Must(it->status());
  Require(seen == kKeys, "a walk forward missed entries");
  it->SeekToLast();
  Count("prev", kKeys - 1, [&] {
    for (it->Prev(); it->valid(); it->Prev()) --seen;
  });
  Must(it->status());
  Require(seen == 1, "a walk backward missed entries");
  Count("seek", keys.size(), [&] {
    for (const std::string& key : keys) {
      it->Seek(key);
      seen += it->valid() && it->key() == key;
    }
  });
  Require(seen == 1 + keys.size(), "a seek missed its key");
  Count("iterator", keys.size() / 4, [&] {
    for (size_t i = 0; i < keys.size() / 4; ++i) {
      const auto fresh = db.NewIterator();
      fresh->Seek(keys[i]);
      seen -= fresh->valid() && fresh->key() == keys[i];
    }
  });
  Require(seen == 1 + keys.size() - keys.size() / 4, "a fresh iterator missed its key");
}

void CountPuts(DB& db) {
  const auto keys = Keys(kPuts);
  std::vector<std::string> values;
  for (uint64_t i = 0; i < kPuts; ++i) values.push_back(ValueOf(kKeys + i));
  uint64_t done = 0;
  Count("put", kPuts, [&] {
    for (uint64_t i = 0; i < kPuts; ++i) done += db.Put(keys[i], values[i]).ok();
  });
  Require(done == kPuts, "a put failed");
}

// Brings every block that the reads will meet into the cache: a walk the data and the indexes, lookups the filters.
void Warm(DB& db) {
  const auto it = db.NewIterator();
  for (it->SeekToFirst(); it->valid(); it->Next()) {
  }
  Must(it->status());
  std::string value;
  for (const std::string& key : Keys(kReads / 10)) Must(db.Get(key, &value));
}

void Measure(const std::string& directory) {
  const auto db = OpenStore(directory, false);
  Warm(*db);
  const uint64_t misses = db->Statistics().at("block_cache.misses");
  CountGets(*db, "get", Keys(kReads), true);
  CountGets(*db, "get_missing", Keys(kReads, kMissing), false);
  CountMultiGet(*db);
  CountWalks(*db);
  Require(db->Statistics().at("block_cache.misses") == misses,
          "a read that should come from the cache went to the device");
  CountPuts(*db);
  CountGets(*db, "get_memtable", Keys(kReads), true);
  Count("flush", kPuts, [&] { Must(db->Flush()); });
  Count("compact", kKeys + kRewritten + kPuts, [&] { Must(db->Compact()); });
  Must(db->Close());
}

const char* Processor() {
#if defined(__x86_64__)
  // The C library picks its string functions by these. valgrind hides whatever is newer than AVX2.
  if (__builtin_cpu_supports("avx2")) return "x86-64 with avx2";
  return __builtin_cpu_supports("sse4.2") ? "x86-64 with sse4.2" : "x86-64";
#else
  return "not x86-64";
#endif
}

void About() {
  std::printf("{\"compiler\": \"%s\", \"flags\": \"%s\", \"libc\": \"%s\", \"processor\": \"%s\"}\n", GATE_COMPILER,
              GATE_FLAGS, gnu_get_libc_version(), Processor());
}

int Main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "about" && argc == 2) {
    About();
  } else if (verb == "load" && argc == 3) {
    Load(argv[2]);
  } else if (verb == "measure" && argc == 3) {
    Measure(argv[2]);
  } else {
    Die("say one of: gate_ops about, gate_ops load DIR, gate_ops measure DIR");
  }
  return 0;
}

}  // namespace
}  // namespace tarn

int main(int argc, char** argv) { return tarn::Main(argc, argv); }
