// What a user of the cache sees: right bytes, few requests, a bound that holds, and nothing of a disk that fails.
#include <algorithm>
#include <list>
#include <map>
#include <thread>
#include <vector>

#include "tests/cached/cached_fixture.h"
#include "tests/contract/backend_contract_fixture.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kBlob = 20'000;  // 39 extents and a bit

TEST_F(CachedTest, TheSecondReadIsNoRequest) {
  const std::string content = Put("table/1", kBlob);
  Open();
  const auto everything = [&] { EXPECT_TRUE(Read(*cached, "table/1", 0, kBlob) == content); };
  EXPECT_EQ(Requests(everything), 1u);
  EXPECT_EQ(Requests(everything), 0u);
  EXPECT_EQ(MeterOf("cache.hits"), 1u);
  EXPECT_EQ(MeterOf("cache.misses"), 1u);
  Open();  // after a restart
  EXPECT_EQ(Requests(everything), 0u);
  EXPECT_GT(MeterOf("cache.bytes"), kBlob);
}

TEST_F(CachedTest, AReadIsAtMostOneRequest) {
  const std::string content = Put("table/1", kBlob);
  Open();
  const auto reader = cached->Open("table/1").value();
  const auto read = [&](uint64_t offset, size_t n) {
    return Requests([&] { EXPECT_EQ(Read(*reader, offset, n), content.substr(offset, n)); });
  };
  EXPECT_EQ(read(700, 10), 1u);    // extent 1
  EXPECT_EQ(read(600, 300), 0u);   // within it
  EXPECT_EQ(read(3000, 10), 1u);   // extent 5
  EXPECT_EQ(read(500, 6000), 1u);  // holes on both sides of it
  EXPECT_EQ(read(0, 6500), 0u);
  EXPECT_EQ(read(kBlob - 1, 1), 1u);  // the short one at the end
  EXPECT_EQ(read(kBlob - 20, 20), 0u);
  std::string two(2, ' ');
  EXPECT_EQ(reader->Read(kBlob - 1, two).code(), Code::kCorruption);
}

TEST_F(CachedTest, OtherBlobsPassThrough) {
  const std::string content = Put("manifest/1", 3000);
  Open();
  const auto reader = cached->Open("manifest/1").value();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Requests([&] { EXPECT_EQ(Read(*reader, 0, 3000), content); }), 1u);
  }
}

TEST_F(CachedTest, RandomReadsAreRightWithinTheBound) {
  std::map<std::string, std::string> blobs;
  for (int i = 0; i < 12; ++i) {
    const std::string name = "table/" + std::to_string(i);
    blobs[name] = Put(name, 3000 + 1700 * static_cast<size_t>(i), static_cast<uint64_t>(i));
  }
  SeededRandom random(7);
  for (int life = 0; life < 6; ++life) {
    Open();
    for (int i = 0; i < 600; ++i) {
      const auto& [name, content] = *std::next(blobs.begin(), static_cast<long>(random.Below(blobs.size())));
      const uint64_t offset = random.Below(content.size());
      const size_t n = 1 + random.Below(std::min<uint64_t>(content.size() - offset, 4000));
      ASSERT_TRUE(Read(*cached, name, offset, n) == content.substr(offset, n)) << name << " " << offset << " " << n;
      ASSERT_LE(disk_memory->used_bytes(), options.limit_bytes);
    }
    EXPECT_GT(MeterOf("cache.hits"), 0u);
    EXPECT_GT(MeterOf("cache.evicted_bytes"), 0u);
    EXPECT_EQ(MeterOf("cache.damaged"), 0u);
    EXPECT_EQ(MeterOf("cache.bytes"), disk_memory->used_bytes());
  }
}

// What survives there does not keep a writer waiting.
TEST_F(CachedTest, ALowerLimitIsKeptAtOnce) {
  Put("table/1", 60'000);
  Open();
  for (int round = 0; round < 3; ++round) {
    for (uint64_t at = 0; at < 50'000; at += 5000) Read(*cached, "table/1", at, 5000);
  }
  cached.reset();
  EXPECT_GT(disk_memory->used_bytes(), 32u << 10);
  options.limit_bytes = 32 << 10;
  options.segment_bytes = 2048;
  options.write_through_bytes = 20'000;
  Open();
  EXPECT_LE(disk_memory->used_bytes(), 32u << 10);
  const auto writer = cached->Create("table/2").value();
  ASSERT_TRUE(writer->Append(std::string(20'000, 'x')).ok());
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(Requests([&] { EXPECT_EQ(Read(*cached, "table/2", 19'000, 1000), std::string(1000, 'x')); }), 0u);
}

// Uniform reads of a hot set, and now and then a stretch of a scan that never comes back.
TEST_F(CachedTest, AScanDoesNotPushOutWhatIsReadAgainAndAgain) {
  constexpr uint64_t kHot = 80, kScan = 6000, kSteps = 12'000;  // extents; the cache holds about 120
  const std::string hot = Put("table/hot", kHot * 512);
  Put("table/scan", kScan * 512, 2);
  Open();
  const auto hot_reader = cached->Open("table/hot").value();
  const auto scan_reader = cached->Open("table/scan").value();
  SeededRandom random(3);
  uint64_t hot_reads = 0, hits = 0, lru_hits = 0, scanned = 0;
  std::list<uint64_t> lru;  // the same reads on an exact LRU of the same bytes, its bookkeeping for free
  const auto touch = [&](uint64_t extent) {
    const auto found = std::find(lru.begin(), lru.end(), extent);
    const bool hit = found != lru.end();
    if (hit) lru.erase(found);
    lru.push_front(extent);
    if (lru.size() > options.limit_bytes / 512) lru.pop_back();
    return hit;
  };
  for (uint64_t step = 0; step < kSteps; ++step) {
    const bool scan = step % 4 != 0 && scanned < kScan;
    const uint64_t extent = scan ? scanned++ : random.Below(kHot);
    const uint64_t asked = Requests([&] { Read(scan ? *scan_reader : *hot_reader, extent * 512, 512); });
    const bool lru_hit = touch(scan ? 1000 + extent : extent);
    if (scan || step < kSteps / 4) continue;
    ++hot_reads;
    hits += asked == 0 ? 1 : 0;
    lru_hits += lru_hit ? 1 : 0;
  }
  RecordProperty("hot_reads", static_cast<int>(hot_reads));
  RecordProperty("hits", static_cast<int>(hits));
  RecordProperty("lru_hits", static_cast<int>(lru_hits));
  std::printf("%llu hot reads: %llu hits, LRU %llu\n", static_cast<unsigned long long>(hot_reads),
              static_cast<unsigned long long>(hits), static_cast<unsigned long long>(lru_hits));
  EXPECT_GT(hits * 10, hot_reads * 9);
  EXPECT_GT(hits, lru_hits);
}

TEST_F(CachedTest, WhatWasHotIsHotAfterARestart) {
  Put("table/hot", 8 * 512);
  Put("table/scan", 400 * 512, 2);
  Open();
  const auto read_all = [&](const std::string& name, uint64_t extents) {
    const auto reader = cached->Open(name).value();
    for (uint64_t i = 0; i < extents; ++i) Read(*reader, i * 512, 512);
  };
  read_all("table/hot", 8);
  read_all("table/scan", 20);  // its segment is written
  read_all("table/hot", 8);    // hit
  Open();
  read_all("table/scan", 400);
  EXPECT_EQ(Requests([&] { read_all("table/hot", 8); }), 0u);
}

TEST_F(CachedTest, WarmReadsStay) {
  Put("table/warm", 60 * 512);
  Put("table/scan", 400 * 512, 2);
  options.warm = true;
  Open();
  Read(*cached, "table/warm", 0, 60 * 512);
  options.warm = false;
  Open();
  const auto scan = cached->Open("table/scan").value();
  for (uint64_t i = 0; i < 400; ++i) Read(*scan, i * 512, 512);
  EXPECT_EQ(Requests([&] { Read(*cached, "table/warm", 0, 60 * 512); }), 0u);
}

TEST_F(CachedTest, LeavesTheReserveFree) {
  options.reserve_bytes = 20 << 10;
  disk_memory->SetCapacity(50 << 10);
  const std::string content = Put("table/1", 60'000);
  Open();
  const auto reader = cached->Open("table/1").value();
  const auto read_all = [&] {
    for (uint64_t at = 0; at + 512 <= content.size(); at += 512) {
      ASSERT_EQ(Read(*reader, at, 512), content.substr(at, 512));
      ASSERT_LE(disk_memory->used_bytes(), 30u << 10);
    }
  };
  read_all();
  EXPECT_GT(disk_memory->used_bytes(), 15u << 10);
  // Somebody else takes space: the cache gives it back, although nothing is written.
  disk_memory->SetCapacity(30 << 10);
  for (int i = 0; i < 600; ++i) Read(*reader, content.size() - 1024, 512);
  EXPECT_LE(disk_memory->used_bytes(), 10u << 10);
  EXPECT_EQ(MeterOf("cache.errors"), 0u);
}

TEST_F(CachedTest, AFullDiskIsNoError) {
  const std::string content = Put("table/1", 60'000);
  disk_memory->SetCapacity(12 << 10);
  disk_watch = [](const Call& call) { return call.op == Op::kSpace ? Status::Io("no answer") : Status::Ok(); };
  Open();
  for (int round = 0; round < 2; ++round) {
    for (uint64_t at = 0; at + 512 <= content.size(); at += 512) {
      ASSERT_EQ(Read(*cached, "table/1", at, 512), content.substr(at, 512));
    }
  }
  EXPECT_GT(MeterOf("cache.errors"), 0u);
  EXPECT_EQ(MeterOf("cache.off"), 0u);
  disk_memory->SetCapacity(1 << 20);
  Read(*cached, "table/1", 0, 5000);
  EXPECT_EQ(Requests([&] { Read(*cached, "table/1", 0, 5000); }), 0u);
}

// Each call to the disk fails in turn, once or for ever, with its effect or without.
TEST_F(CachedTest, NoFailureOfTheDiskIsSeen) {
  const std::string content = Put("table/1", 30'000);
  const auto life = [&](Backend& store) {
    for (uint64_t at = 0; at + 600 <= content.size(); at += 512) {
      ASSERT_EQ(Read(store, "table/1", at, 600), content.substr(at, 600));
    }
    for (uint64_t at = 0; at + 9000 <= content.size(); at += 3000) {
      ASSERT_EQ(Read(store, "table/1", at, 9000), content.substr(at, 9000));
    }
  };
  uint64_t calls = 0;
  for (uint64_t n = 0; n <= calls; n += n < 40 ? 1 : 7) {
    for (const bool forever : {false, true}) {
      for (const bool effect : {false, true}) {
        const auto memory = std::make_shared<MemBackend>();
        const auto faulty = std::make_shared<FaultBackend>(memory);
        if (n > 0) faulty->Arm({.at_call = n, .forever = forever, .effect_happens = effect});
        for (int i = 0; i < 2; ++i) {
          const auto store = OpenWith(std::shared_ptr<Backend>(faulty));
          ASSERT_TRUE(store.ok()) << store.status().ToString();
          life(**store);
          if (HasFatalFailure()) return;
          ASSERT_LE(memory->used_bytes(), options.limit_bytes);
        }
        if (n == 0) calls = faulty->calls();
        faulty->Disarm();
        const auto store = OpenWith(std::shared_ptr<Backend>(faulty)).value();
        EXPECT_EQ(MeterOf(*store, "cache.off"), 0u);
        life(*store);
        EXPECT_EQ(MeterOf(*store, "cache.damaged"), 0u);
      }
    }
  }
  EXPECT_GT(calls, 50u);
}

TEST_F(CachedTest, ADiskThatKeepsFailingIsLeftAlone) {
  Put("table/1", 60'000);
  Open();
  Read(*cached, "table/1", 0, 30'000);
  uint64_t calls = 0;
  disk_watch = [&](const Call& call) {
    ++calls;
    return call.op == Op::kSpace ? Status::Ok() : Status::Io("the disk is broken");
  };
  for (int i = 0; i < 60; ++i) Read(*cached, "table/1", static_cast<uint64_t>(i) * 1000, 1000);
  EXPECT_EQ(MeterOf("cache.off"), 1u);
  EXPECT_GE(MeterOf("cache.errors"), 8u);
  calls = 0;
  EXPECT_EQ(Requests([&] { Read(*cached, "table/1", 100, 1000); }), 1u);
  cached.reset();
  EXPECT_EQ(calls, 0u);
}

TEST_F(CachedTest, DamageIsAMiss) {
  const std::string content = Put("table/1", 1500);
  Open();
  Read(*cached, "table/1", 0, 1500);
  cached.reset();
  const ListPage page = disk_memory->List("", "", 100).value();
  ASSERT_EQ(page.blobs.size(), 2u);  // an index and a segment
  for (const BlobInfo& blob : page.blobs) {
    const std::string good = disk_memory->Contents(blob.name).value();
    for (size_t at = 0; at <= good.size(); ++at) {
      std::string bad = good;
      if (at < good.size()) {
        bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
      } else {
        bad.resize(good.size() / 2);  // torn
      }
      const auto other = std::make_shared<MemBackend>();
      for (const BlobInfo& one : page.blobs) {
        ASSERT_TRUE(
            other->PutIfAbsent(one.name, one.name == blob.name ? bad : *disk_memory->Contents(one.name)).ok());
      }
      const auto store = OpenWith(std::shared_ptr<Backend>(other)).value();
      ASSERT_EQ(Read(*store, "table/1", 0, 1500), content) << blob.name << " at " << at;
      const bool index = blob.name.starts_with("index/");
      // What the index vouches for, the ending of a segment need not.
      const bool told = index || at < 1500 || at == good.size();
      ASSERT_EQ(MeterOf(*store, "cache.damaged") > 0, told) << blob.name << " at " << at;
      ASSERT_EQ(Read(*store, "table/1", 0, 1500), content);
    }
  }
}

// Without an index, the contents of the segment itself are what counts.
TEST_F(CachedTest, ADamagedSegmentWithoutAnIndexIsAMiss) {
  const std::string content = Put("table/1", 1500);
  Open();
  Read(*cached, "table/1", 0, 1500);
  cached.reset();
  const std::string name = disk_memory->List("probation/", "", 1)->blobs.front().name;
  const std::string good = disk_memory->Contents(name).value();
  for (size_t at = 0; at <= good.size(); ++at) {
    std::string bad = good;
    if (at < good.size()) bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
    const auto other = std::make_shared<MemBackend>();
    ASSERT_TRUE(other->PutIfAbsent(name, bad).ok());
    const auto store = OpenWith(std::shared_ptr<Backend>(other)).value();
    ASSERT_EQ(Requests([&] { ASSERT_EQ(Read(*store, "table/1", 0, 1500), content) << at; }),
              at == good.size() ? 0u : 1u);
    ASSERT_EQ(MeterOf(*store, "cache.damaged") > 0, at < good.size()) << at;
  }
}

// A range that changed on its way here must not stay: the kernel reads it once more, and gets what the remote has.
TEST_F(CachedTest, AReadThatIsRepeatedAtOnceDistrustsTheCache) {
  const std::string content = Put("table/1", 2000);
  Open();
  const auto bytes = remote_memory->Contents("table/1").value();
  std::string bad = bytes;
  bad[600] ^= 4;
  for (const bool queued : {false, true}) {
    ASSERT_TRUE(cached->Delete("table/1").ok());
    ASSERT_TRUE(remote_memory->PutIfAbsent("table/1", content).ok());
    const auto reader = cached->Open("table/1").value();
    const auto queue = queued ? cached->features().queues->NewReadQueue() : nullptr;
    const auto read = [&] {
      std::string out(100, '?');
      ReadRequest request{.blob = reader.get(), .offset = 550, .out = out};
      if (queue == nullptr) return Read(*reader, 550, 100);
      queue->Submit(&request);
      EXPECT_EQ(queue->Wait().size(), 1u);
      EXPECT_TRUE(request.status.ok());
      return out;
    };
    ASSERT_TRUE(remote_memory->Corrupt("table/1", bad).ok());
    EXPECT_NE(read(), content.substr(550, 100));
    ASSERT_TRUE(remote_memory->Corrupt("table/1", content).ok());
    EXPECT_EQ(Requests([&] { EXPECT_EQ(read(), content.substr(550, 100)); }), 1u);
    EXPECT_EQ(Requests([&] { EXPECT_EQ(read(), content.substr(550, 100)); }), 1u) << "it said so only once";
    EXPECT_EQ(Requests([&] { EXPECT_EQ(read(), content.substr(550, 100)); }), 0u);
  }
  EXPECT_EQ(MeterOf("cache.damaged"), 2u);
}

TEST_F(CachedTest, WrittenTablesAreThereAtOnce) {
  options.write_through_bytes = 10'000;
  Open();
  SeededRandom random(5);
  std::string content(30'000, '\0');
  for (char& c : content) c = static_cast<char>(random.Next());
  {
    const auto writer = cached->Create("table/1").value();
    for (size_t at = 0; at < content.size(); at += 700) {
      ASSERT_TRUE(writer->Append(std::string_view(content).substr(at, 700)).ok());
    }
    ASSERT_TRUE(writer->Finish().ok());
    const auto abandoned = cached->Create("table/2").value();
    ASSERT_TRUE(abandoned->Append(content).ok());
  }
  EXPECT_EQ(Requests([&] { EXPECT_EQ(Read(*cached, "table/1", 21'000, 9000), content.substr(21'000)); }), 0u);
  EXPECT_EQ(Requests([&] { EXPECT_EQ(Read(*cached, "table/1", 0, 9000), content.substr(0, 9000)); }), 1u);
  EXPECT_EQ(cached->Open("table/2").status().code(), Code::kNotFound);
  // All that was lent to writers came back.
  const auto writer = cached->Create("table/3").value();
  ASSERT_TRUE(writer->Append(content.substr(0, 9000)).ok());
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(Requests([&] { EXPECT_EQ(Read(*cached, "table/3", 0, 9000), content.substr(0, 9000)); }), 0u);
}

TEST_F(CachedTest, ANameThatIsUsedAgainIsAnotherBlob) {
  Open();
  for (uint64_t i = 0; i < 4; ++i) {
    const std::string content = Put("table/1", 3000, i);
    EXPECT_EQ(Read(*cached, "table/1", 0, 3000), content);
    // Behind its back, and through it.
    ASSERT_TRUE((i % 2 == 0 ? remote->Delete("table/1") : cached->Delete("table/1")).ok());
    if (i == 1) Open();
  }
  EXPECT_EQ(MeterOf("cache.damaged"), 0u);
}

TEST_F(CachedTest, ABlobWithoutIdentityIsNotCached) {
  Open();
  const auto log = cached->features().append->CreateAppend("table/log").value();
  ASSERT_TRUE(log->Append("0123456789").ok());
  EXPECT_EQ(Read(*cached, "table/log", 2, 3), "234");
  EXPECT_EQ(Requests([&] { Read(*cached, "table/log", 2, 3); }), 1u);
}

TEST_F(CachedTest, OneProcessHasTheCache) {
  const std::string content = Put("table/1", 3000);
  options.holder = "the first";
  Open();
  EXPECT_NE(cached->info().read_engine.find("through a cache"), std::string::npos);
  const auto second = OpenWith(disk).value();
  EXPECT_NE(second->info().read_engine.find("without the cache"), std::string::npos) << second->info().read_engine;
  EXPECT_NE(second->info().read_engine.find("the first"), std::string::npos) << second->info().read_engine;
  EXPECT_EQ(MeterOf(*second, "cache.off"), 1u);
  EXPECT_EQ(Read(*second, "table/1", 0, 3000), content);
  const auto without = OpenWith(Status::Io("no such disk")).value();
  EXPECT_NE(without->info().read_engine.find("no such disk"), std::string::npos);
  EXPECT_EQ(Read(*without, "table/1", 0, 3000), content);
}

TEST_F(CachedTest, RefusesWhatIsNoCache) {
  ASSERT_TRUE(disk_memory->PutIfAbsent("manifest/0000000000000001", "precious").ok());
  const auto opened = OpenWith(disk);
  EXPECT_EQ(opened.status().code(), Code::kInvalid);
  EXPECT_NE(opened.status().message().find("manifest/0000000000000001"), std::string_view::npos);
  for (const auto& spoil : std::vector<std::function<void(cached::CacheOptions*)>>{
           [](auto* o) { o->limit_bytes = 10'000; }, [](auto* o) { o->extent_bytes = 700; },
           [](auto* o) { o->segment_bytes = 600; }}) {
    const cached::CacheOptions good = options;
    spoil(&options);
    EXPECT_EQ(OpenWith(std::shared_ptr<Backend>(std::make_shared<MemBackend>())).status().code(), Code::kInvalid);
    options = good;
  }
}

// Short lives do not leave ever more small segments behind.
TEST_F(CachedTest, ShortLivesShareSegments) {
  Put("table/1", 60'000);
  for (uint64_t i = 0; i < 60; ++i) {
    Open();
    EXPECT_EQ(Requests([&] { Read(*cached, "table/1", i * 512, 512); }), 1u);
  }
  cached.reset();
  EXPECT_LE(disk_memory->List("", "", 100)->blobs.size(), 12u);
  Open();
  EXPECT_EQ(Requests([&] { Read(*cached, "table/1", 0, 60 * 512); }), 0u);
}

TEST_F(CachedTest, ReadsInFlightShareRequests) {
  const std::string content = Put("table/1", kBlob);
  Put("manifest/1", 100);
  Open();
  const auto table = cached->Open("table/1").value();
  const auto manifest = cached->Open("manifest/1").value();
  Read(*table, 5120, 512);
  const auto queue = cached->features().queues->NewReadQueue();
  std::vector<std::pair<const BlobReader*, uint64_t>> places = {
      {table.get(), 900}, {table.get(), 910}, {table.get(), 5200}, {manifest.get(), 5}, {table.get(), 9000}};
  std::vector<std::string> out(places.size(), std::string(20, '?'));
  std::vector<ReadRequest> reads(places.size());
  for (size_t i = 0; i < places.size(); ++i) {
    reads[i] = {.blob = places[i].first, .offset = places[i].second, .out = out[i], .context = &out[i]};
  }
  EXPECT_EQ(Requests([&] {
              for (ReadRequest& read : reads) queue->Submit(&read);
              for (size_t back = 0; back < reads.size();) back += queue->Wait().size();
            }),
            3u);
  EXPECT_TRUE(queue->Wait().empty());
  for (size_t i = 0; i < places.size(); ++i) {
    ASSERT_TRUE(reads[i].status.ok()) << reads[i].status.ToString();
    if (places[i].first == table.get()) {
      EXPECT_EQ(out[i], content.substr(places[i].second, 20)) << i;
    }
  }
}

TEST_F(CachedTest, ErrorsOfTheRemoteAreTold) {
  Put("table/1", kBlob);
  Open();
  const auto reader = cached->Open("table/1").value();
  const auto queue = cached->features().queues->NewReadQueue();
  remote_watch = [](const Call& call) {
    return call.op == Op::kRead || call.op == Op::kComplete ? Status::Unavailable("no network") : Status::Ok();
  };
  std::string out(10, ' ');
  EXPECT_EQ(reader->Read(0, out).code(), Code::kUnavailable);
  ReadRequest request{.blob = reader.get(), .offset = 100, .out = out};
  queue->Submit(&request);
  EXPECT_EQ(queue->Wait().size(), 1u);
  EXPECT_EQ(request.status.code(), Code::kUnavailable);
  remote_watch = nullptr;
  EXPECT_TRUE(reader->Read(0, out).ok());
}

TEST_F(CachedTest, ManyThreadsAskOnce) {
  const std::string content = Put("table/1", kBlob);
  options.background = true;
  Open();
  const auto reader = cached->Open("table/1").value();
  EXPECT_EQ(Requests([&] {
              std::vector<std::thread> threads;
              for (int i = 0; i < 8; ++i) {
                threads.emplace_back([&] { EXPECT_EQ(Read(*reader, 3000, 900), content.substr(3000, 900)); });
              }
              for (std::thread& thread : threads) thread.join();
            }),
            1u);
}

// Readers, queues, writers and deletions at once, over a cache that is far too small for them.
TEST_F(CachedTest, ManyThreadsGetWhatIsThere) {
  options.background = true;
  options.write_through_bytes = 8000;
  std::map<std::string, std::string> blobs;
  for (int i = 0; i < 8; ++i) {
    const std::string name = "table/" + std::to_string(i);
    blobs[name] = Put(name, 16'000, static_cast<uint64_t>(i));
  }
  Open();
  const auto body = [&](uint64_t me) {
    SeededRandom random(me);
    const auto queue = cached->features().queues->NewReadQueue();
    for (int round = 0; round < 150; ++round) {
      const auto& [name, content] = *std::next(blobs.begin(), static_cast<long>(random.Below(blobs.size())));
      const uint64_t offset = random.Below(content.size() - 2000);
      const auto reader = cached->Open(name).value();
      std::string out(1 + random.Below(2000), '?');
      if (random.OneIn(2)) {
        out = Read(*reader, offset, out.size());
      } else {
        ReadRequest request{.blob = reader.get(), .offset = offset, .out = out};
        queue->Submit(&request);
        while (queue->Wait().empty()) continue;
        EXPECT_TRUE(request.status.ok()) << request.status.ToString();
      }
      ASSERT_TRUE(out == content.substr(offset, out.size())) << name << " " << offset;
      if (round % 10 != 0) continue;
      const std::string mine = "table/" + std::to_string(1000 * me + static_cast<uint64_t>(round));
      const auto writer = cached->Create(mine).value();
      ASSERT_TRUE(writer->Append(content).ok() && writer->Finish().ok());
      ASSERT_TRUE(Read(*cached, mine, 0, content.size()) == content);
      ASSERT_TRUE(cached->Delete(mine).ok());
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t i = 1; i <= 4; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(MeterOf("cache.damaged"), 0u);
  EXPECT_EQ(MeterOf("cache.errors"), 0u);
  cached.reset();
  EXPECT_LE(disk_memory->used_bytes(), options.limit_bytes);
}

}  // namespace
}  // namespace tarn::test
