// The catalog: every workload by the name people know, in the order of the table, and what its name fixes.
#include <algorithm>

#include "bench/workloads/workload.h"

namespace tarn::bench {
namespace {

void Synced(RunSpec& spec, uint32_t threads) {
  spec.config.durability = Durability::kPower;
  spec.threads = threads;
}

// Deletes come before the clock starts; a sync each would take hours and say nothing about the seeks.
void AtMostProcess(RunSpec& spec) { spec.config.durability = std::min(spec.config.durability, Durability::kProcess); }

// Four times the bytes of the data set that was asked for, in values of the size in the name: enough that 1 MiB
// values are some hundreds. Never more keys than asked, and at least 16.
template <uint32_t kValueBytes>
void Large(RunSpec& spec) {
  if (spec.value_bytes == kValueBytes) return;
  const uint64_t bytes = 4 * spec.keys * (spec.key_bytes + spec.value_bytes);
  spec.keys = std::min(spec.keys, std::max<uint64_t>(16, bytes / (spec.key_bytes + kValueBytes)));
  spec.value_bytes = kValueBytes;
}

// Data four times the memory budget, by a smaller budget (at least 8 MiB), dropped from the page cache, and read past
// it.
void Cold(RunSpec& spec) {
  const uint64_t data = spec.keys * (spec.key_bytes + spec.value_bytes);
  spec.config.memory_budget = std::min(spec.config.memory_budget, std::max<uint64_t>(8 << 20, data / 4));
  spec.config.direct_reads = true;
  spec.cold = true;
}

std::vector<Workload> MakeCatalog() {
  const auto empty = Data::kEmpty, loaded = Data::kLoaded, copy = Data::kCopy;
  std::vector<Workload> all;
  const auto add = [&all](const char* name, Data data, const char* unit, const char* help, Workload w) {
    w.info = {.name = name, .data = data, .help = help, .unit = unit};
    all.push_back(w);
  };
  add("fillseq", empty, "put", "puts every key once, in key order", {.run = FillSeq});
  add("fillrandom", empty, "put", "puts every key once, in random order", {.run = FillRandom});
  add("overwrite", copy, "put", "puts over random keys that are there, until the time is up", {.run = Overwrite});
  add("fillsync", empty, "put", "fillrandom, 1 thread, each put survives power loss",
      {.run = FillRandom, .effective = [](RunSpec& spec) { Synced(spec, 1); }});
  add("fillsync16", empty, "put", "fillrandom, 16 threads, each put survives power loss",
      {.run = FillRandom, .effective = [](RunSpec& spec) { Synced(spec, 16); }});
  add("readrandom", loaded, "get", "gets random keys; warmed by a scan and a get of each key",
      {.run = ReadRandom, .warm = WarmAll});
  add("readmissing", loaded, "get", "gets keys that are not there, between those that are",
      {.run = ReadMissing, .warm = WarmAll});
  add("readhot", loaded, "get",
      "gets from a hot set: 1 % of the keys, at least 1,000; warmed by getting them 3 times",
      {.run = ReadHot, .warm = WarmHot});
  add("readseq", loaded, "entry", "scans forward, again and again; latency is of 64 entries",
      {.run = ReadSeq, .warm = WarmAll});
  add("readreverse", loaded, "entry", "scans backward, again and again; latency is of 64 entries",
      {.run = ReadReverse, .warm = WarmAll});
  add("seekrandom", loaded, "seek + 10 nexts",
      "a new cursor for each operation, sought to a random key, then 10 nexts", {.run = SeekRandom, .warm = WarmAll});
  add("multireadrandom", loaded, "key", "looks up 64 random keys a call; latency is of calls",
      {.run = MultiReadRandom, .warm = WarmAll});
  add("readcold", loaded, "get", "readrandom of data 4 times the memory budget, page cache dropped, direct reads",
      {.run = ReadRandom, .effective = Cold});
  add("multireadcold", loaded, "key",
      "multireadrandom of data 4 times the memory budget, page cache dropped, direct reads",
      {.run = MultiReadRandom, .effective = Cold});
  add("deleterandom", copy, "delete", "deletes every key once, in random order", {.run = DeleteRandom});
  add("deleteseq+seek", copy, "seek + next",
      "deletes the first 90 % of the keys in order, not timed, at most process-safe; then a new cursor for each "
      "operation, "
      "sought to a random deleted key, finds the first live one, and 1 next",
      {.run = SeekDeleted, .prepare = DeleteFront, .effective = AtMostProcess});
  add("readwhilewriting", copy, "get", "readrandom, beside one more thread that overwrites random keys at full speed",
      {.run = ReadRandom, .warm = WarmAll, .beside = Overwrite});
  add("mixgraph", copy, "get, put or scan",
      "83 % gets, 14 % puts, 3 % scans: db_bench's mixgraph, with the constants of the RocksDB wiki's prefix_dist",
      {.run = MixGraph, .warm = WarmAll});
  const char* either = "read or write";
  add("ycsb-a", copy, either, "50 % reads, 50 % updates, zipfian", {.run = YcsbA, .warm = WarmAll});
  add("ycsb-b", copy, either, "95 % reads, 5 % updates, zipfian", {.run = YcsbB, .warm = WarmAll});
  add("ycsb-c", loaded, "get", "reads, zipfian", {.run = YcsbC, .warm = WarmAll});
  add("ycsb-d", copy, either, "95 % reads of what the thread inserted latest, 5 % inserts",
      {.run = YcsbD, .warm = WarmAll});
  add("ycsb-e", copy, "scan or insert", "95 % scans of 1 to 100 entries from a zipfian start, 5 % inserts",
      {.run = YcsbE, .warm = WarmAll});
  add("ycsb-f", copy, either, "50 % reads, 50 % read-modify-writes (one operation each), zipfian",
      {.run = YcsbF, .warm = WarmAll});
  add("fill-4k", empty, "put", "fillrandom of 4 KiB values, four times the bytes",
      {.run = FillRandom, .effective = Large<4 << 10>});
  add("fill-64k", empty, "put", "fillrandom of 64 KiB values, four times the bytes",
      {.run = FillRandom, .effective = Large<64 << 10>});
  add("fill-1m", empty, "put", "fillrandom of 1 MiB values, four times the bytes",
      {.run = FillRandom, .effective = Large<1 << 20>});
  add("read-4k", loaded, "get", "readrandom of what fill-4k writes",
      {.run = ReadRandom, .warm = WarmAll, .effective = Large<4 << 10>});
  add("read-64k", loaded, "get", "readrandom of what fill-64k writes",
      {.run = ReadRandom, .warm = WarmAll, .effective = Large<64 << 10>});
  add("read-1m", loaded, "get", "readrandom of what fill-1m writes",
      {.run = ReadRandom, .warm = WarmAll, .effective = Large<1 << 20>});
  return all;
}

}  // namespace

const std::vector<Workload>& Catalog() {
  static const std::vector<Workload> catalog = MakeCatalog();
  return catalog;
}

const std::vector<WorkloadInfo>& Workloads() {
  static const std::vector<WorkloadInfo> infos = [] {
    std::vector<WorkloadInfo> all;
    for (const Workload& workload : Catalog()) all.push_back(workload.info);
    return all;
  }();
  return infos;
}

const Workload& WorkloadOf(const std::string& name) {
  for (const Workload& workload : Catalog()) {
    if (workload.info.name == name) return workload;
  }
  std::string names;
  for (const Workload& workload : Catalog()) names += " " + workload.info.name;
  Die("there is no workload \"" + name + "\"; there are:" + names);
}

RunSpec Effective(RunSpec spec) {
  if (const auto effective = WorkloadOf(spec.workload).effective) effective(spec);
  return spec;
}

}  // namespace tarn::bench
