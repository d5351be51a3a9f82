// A whole store in the bucket of the real server: what it acknowledged is there when it is opened again, and of two
// writers the later one has it.
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <numeric>

#include "tarn/db.h"
#include "tests/s3/server_store.h"
#include "tests/support/fault_proxy.h"

namespace tarn::test {
namespace {

class S3StoreTest : public S3ServerTest {
 protected:
  Result<std::unique_ptr<DB>> Open(const std::string& endpoint, bool read_only = false) {
    s3::S3Options options = ServerOptions(server, OwnPrefix());
    options.endpoint = endpoint;
    options.read_only = read_only;
    Components parts;
    TARN_ASSIGN(parts.backend, OpenOnServer(server, options));
    Settings settings;
    settings.memory_bytes = 16 << 20;
    settings.memtable_bytes = 256 << 10;
    settings.read_only = read_only;
    return DB::Open(settings, std::move(parts));
  }
  void TearDown() override {
    if (IsSkipped() || HasFatalFailure()) return;
    const auto backend = OpenOnServer(server, ServerOptions(server, OwnPrefix()));
    EXPECT_TRUE(backend.ok() && EmptyStore(**backend).ok());
  }
};

std::string KeyOf(uint64_t n) { return "key" + std::to_string(10'000'000 + n * 7919 % 1'000'003); }
std::string ValueOf(uint64_t n) { return std::to_string(n) + std::string(n % 700, 'v'); }

TEST_F(S3StoreTest, KeepsWhatItAcknowledged) {
  constexpr uint64_t kKeys = 6000;
  {
    auto db = Open(server.endpoint);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    for (uint64_t n = 0; n < kKeys; ++n) ASSERT_TRUE((*db)->Put(KeyOf(n), ValueOf(n), Durability::kNone).ok());
    ASSERT_TRUE((*db)->SyncWal().ok());
    for (uint64_t n = 0; n < kKeys; n += 3) ASSERT_TRUE((*db)->Delete(KeyOf(n), Durability::kNone).ok());
    ASSERT_TRUE((*db)->Compact().ok());
    for (uint64_t n = 0; n < 20; ++n) ASSERT_TRUE((*db)->Put(KeyOf(3 * n), "again", Durability::kPower).ok());
  }  // not closed by hand, and the last puts are in the log only
  for (const bool read_only : {true, false}) {
    auto db = Open(server.endpoint, read_only);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    std::map<std::string, std::string> found;
    const auto it = (*db)->NewIterator();
    for (it->SeekToFirst(); it->valid(); it->Next()) found.emplace(it->key(), it->value());
    ASSERT_TRUE(it->status().ok()) << it->status().ToString();
    EXPECT_EQ(found.size(), kKeys - kKeys / 3 + 20);
    for (uint64_t n = 0; n < kKeys; ++n) {
      const auto at = found.find(KeyOf(n));
      if (n % 3 == 0 && n >= 60) {
        EXPECT_TRUE(at == found.end()) << n;
      } else {
        ASSERT_TRUE(at != found.end()) << n;
        EXPECT_EQ(at->second, n % 3 == 0 ? "again" : ValueOf(n));
      }
    }
    if (!read_only) {
      EXPECT_TRUE((*db)->Verify().ok());
    }
  }
}

// A reader beside the writer sees what is durable when it catches up, also when the tables it had not read are gone.
TEST_F(S3StoreTest, AReaderFollows) {
  auto opened = Open(server.endpoint);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  DB& writer = **opened;
  ASSERT_TRUE(writer.Put("n", "0", Durability::kPower).ok());
  s3::S3Options options = ServerOptions(server, OwnPrefix());
  options.read_only = true;
  options.hedge = false;
  const auto backend = OpenOnServer(server, options);
  ASSERT_TRUE(backend.ok());
  Settings settings;
  settings.read_only = true;
  auto follower = DB::Open(settings, Components{.backend = *backend});
  ASSERT_TRUE(follower.ok()) << follower.status().ToString();
  const auto requests = [&] {
    const s3::S3Stats stats = (*backend)->stats();
    return std::accumulate(stats.requests.begin(), stats.requests.end(), uint64_t{0}) - stats.retries;
  };
  std::string value;
  for (int round = 1; round <= 4; ++round) {
    for (uint64_t n = 0; n < 500; ++n) {
      ASSERT_TRUE(writer.Put(KeyOf(n), ValueOf(n + static_cast<uint64_t>(round)), Durability::kNone).ok());
    }
    ASSERT_TRUE(writer.Put("n", std::to_string(round), Durability::kPower).ok());
    if (round % 2 == 0) {
      ASSERT_TRUE(writer.Flush().ok());
    }
    ASSERT_TRUE((*follower)->CatchUp().ok());
    const auto unread = (*follower)->NewIterator();
    ASSERT_TRUE(writer.Compact().ok());
    unread->SeekToFirst();
    EXPECT_TRUE(unread->status().ok() || unread->status().os_error() == ESTALE) << unread->status().ToString();
    ASSERT_TRUE((*follower)->Get("n", &value).ok());
    EXPECT_EQ(value, std::to_string(round));
    ASSERT_TRUE((*follower)->Get(KeyOf(7), &value).ok());
    EXPECT_EQ(value, ValueOf(7 + static_cast<uint64_t>(round)));
  }
  ASSERT_TRUE(writer.Close().ok());
  ASSERT_TRUE((*follower)->CatchUp().ok());
  const uint64_t before = requests();
  ASSERT_TRUE((*follower)->CatchUp().ok());
  EXPECT_EQ(requests() - before, 2u) << "nothing changed";
}

// Two threads take the store from each other, over a network that loses answers, repeats requests and delivers some
// late. A put that was acknowledged is there at the end; a writer who lost the store is told Fenced.
TEST_F(S3StoreTest, TwoWritersTakeItFromEachOther) {
  const char* const asked = std::getenv("TARN_S3_TAKEOVERS");
  const int takeovers = asked != nullptr ? std::atoi(asked) : 6;
  auto proxy = FaultProxy::Start({.upstream = server.endpoint});
  ASSERT_TRUE(proxy.ok()) << proxy.status().ToString();
  ASSERT_TRUE(Open((*proxy)->endpoint()).ok());  // the proof, undisturbed
  for (const char* rule :
       {"lose-answer,probability=0.03", "late,delay=30,probability=0.02,method=PUT", "cut-request,probability=0.03",
        "refuse,status=500,probability=0.02", "duplicate,probability=0.03,method=PUT"}) {
    (*proxy)->AddRule(*ParseFaultRule(rule));
  }
  std::mutex mutex;
  std::map<std::string, std::string> owed;
  std::atomic<int> opened{0}, fenced{0}, failed{0};
  const auto writer = [&](int me) {
    for (int life = 0; opened < takeovers; ++life) {
      auto db = Open((*proxy)->endpoint());
      if (!db.ok()) {
        ++failed;
        EXPECT_TRUE(db.status().code() == Code::kFenced || db.status().code() == Code::kBusy ||
                    db.status().code() == Code::kUnavailable || db.status().code() == Code::kIo)
            << db.status().ToString();
        continue;
      }
      ++opened;
      for (int i = 0; i < 30; ++i) {
        const std::string key = std::to_string(me) + "/" + std::to_string(life) + "/" + std::to_string(i);
        const Status put = (*db)->Put(key, key, Durability::kPower);
        if (!put.ok()) {
          fenced += put.code() == Code::kFenced ? 1 : 0;
          break;
        }
        const std::lock_guard<std::mutex> lock(mutex);
        owed[key] = key;
      }
      if (life % 3 == 0) (void)(*db)->Flush().ok();
    }
  };
  std::thread other(writer, 1);
  writer(0);
  other.join();
  (*proxy)->ClearRules();
  (*proxy)->AwaitLate();
  auto db = Open(server.endpoint);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  for (const auto& [key, value] : owed) {
    std::string found;
    const Status got = (*db)->Get(key, &found);
    EXPECT_TRUE(got.ok()) << key << ": " << got.ToString();
  }
  EXPECT_TRUE((*db)->Verify().ok());
  EXPECT_GT(owed.size(), static_cast<size_t>(takeovers));
  EXPECT_GT(fenced, 0);
  RecordProperty("acknowledged", static_cast<int>(owed.size()));
  std::printf(
      "%d openings, %d refused; %d writers were told that they are fenced; %zu puts acknowledged, none lost\n",
      opened.load(), failed.load(), fenced.load(), owed.size());
}

// Recovery asks for each object of the log once, and for its size not at all. How
// long an opening takes where every answer comes $TARN_S3_DELAY_MS late (20) is printed.
TEST_F(S3StoreTest, OpeningReadsAhead) {
  constexpr int kCommits = 300, kEdits = 40;
  auto proxy = FaultProxy::Start({.upstream = server.endpoint});
  ASSERT_TRUE(proxy.ok()) << proxy.status().ToString();
  {
    auto db = Open((*proxy)->endpoint());
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    for (int i = 0; i < kEdits; ++i) ASSERT_TRUE((*db)->CreateNamedSnapshot("s" + std::to_string(i)).ok());
    for (int i = 0; i < kCommits; ++i) ASSERT_TRUE((*db)->Put(KeyOf(i), "v", Durability::kPower).ok());
  }
  const char* const wanted = std::getenv("TARN_S3_DELAY_MS");
  (*proxy)->AddRule(*ParseFaultRule(std::string("delay-answer,delay=") + (wanted == nullptr ? "20" : wanted)));
  for (const bool read_only : {true, false}) {
    (*proxy)->TakeRequests();
    const auto clock = SystemClock();
    const uint64_t begin = clock->MonotonicNanos();
    auto db = Open((*proxy)->endpoint(), read_only);
    const uint64_t took = clock->MonotonicNanos() - begin;
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    std::map<std::string, int> asked;
    for (const auto& request : (*proxy)->TakeRequests()) {
      ++asked[request.method];
      if (request.target.find("/wal/") == std::string::npos) continue;
      if (request.method == "GET") ++asked[request.target];
      EXPECT_NE(request.method, "HEAD") << request.target << ": it was listed";
    }
    int objects = 0, gets = 0;
    for (const auto& [target, times] : asked) {
      if (!target.starts_with("/")) continue;
      ++objects;
      gets += times;
    }
    // One in twenty may be hedged, and a writer asks the last one whether the log was closed.
    EXPECT_LE(gets, objects + objects / 20 + 2);
    EXPECT_GE(objects, kCommits);
    std::printf("%s: %.0f ms, requests:", read_only ? "reading" : "writing", static_cast<double>(took) / 1e6);
    for (const auto& [method, times] : asked) {
      if (!method.starts_with("/")) std::printf(" %d %s", times, method.c_str());
    }
    std::printf("\n");
    std::string value;
    EXPECT_TRUE((*db)->Get(KeyOf(kCommits - 1), &value).ok());
  }
}

}  // namespace
}  // namespace tarn::test
