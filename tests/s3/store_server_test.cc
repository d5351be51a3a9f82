// A whole store in the bucket of the real server: what it acknowledged is there when it is opened again, and of two
// writers the later one has it.
#include <atomic>
#include <map>
#include <mutex>

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

}  // namespace
}  // namespace tarn::test
