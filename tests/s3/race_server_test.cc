// Two writers race for one store, over a network that cuts, delays, loses answers, repeats requests, lets some come
// late, and a server that is busy. In each round both open the store in the same moment, write, and publish; then
// each tries to commit once more. TARN_S3_RACES sets how many rounds there are.
//
// What must hold, at the level of the backend: each record of the manifest and each object of the log with commits in
// it was created by exactly one of them, and holds his bytes. (A number of the log that was released may be taken
// once more by an opening that tries it; such an object has no commits.) At the level of the store: one of the two at
// most still commits; the other is told Fenced, unless the network had left a commit of his in doubt before (Io); and
// every put that either of them was told of is there at the end.
#include <barrier>
#include <map>
#include <mutex>
#include <set>

#include "tarn/db.h"
#include "tests/s3/server_store.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/from_environment.h"
#include "tests/support/wrapping_backend.h"
#include "wal/record.h"

namespace tarn::test {
namespace {

// Whether it says anything: a record of the manifest, or an object of the log with commits.
bool Matters(std::string_view name, std::string_view bytes) {
  return !name.starts_with("wal/") || bytes.size() > wal::kFenceObjectBytes;
}

// What the writers were told of their conditional PUTs.
class Book {
 public:
  void Told(const std::string& name, std::string_view bytes, const Result<PutOutcome>& outcome) {
    if (!Matters(name, bytes)) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!outcome.ok()) unknown_[name].insert(std::string(bytes));
    if (outcome.ok() && *outcome == PutOutcome::kCreated) created_[name].emplace_back(bytes);
  }
  // An object that is there.
  void Check(const std::string& name, const std::string& bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::vector<std::string>& told = created_[name];
    EXPECT_LE(told.size(), 1u) << name << " was won twice";
    if (told.empty()) {
      EXPECT_TRUE(unknown_[name].contains(bytes)) << name << " is there, and nobody put it";
    } else {
      EXPECT_TRUE(bytes == told[0]) << name << " does not hold what its winner put";
    }
  }
  void ExpectOneWinnerEach() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [name, told] : created_) EXPECT_LE(told.size(), 1u) << name << " was won twice";
  }
  size_t Won(std::string_view folder) {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t n = 0;
    for (const auto& [name, told] : created_) n += name.starts_with(folder) && !told.empty() ? 1 : 0;
    return n;
  }

 private:
  std::mutex mutex_;                                         // guards all
  std::map<std::string, std::vector<std::string>> created_;  // bytes of all who were told so
  std::map<std::string, std::set<std::string>> unknown_;
};

class Booked final : public WrappingBackend {
 public:
  Booked(std::shared_ptr<Backend> inner, Book& book) : WrappingBackend(std::move(inner)), book_(book) {}
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    Result<PutOutcome> outcome = WrappingBackend::PutIfAbsent(name, bytes);
    book_.Told(std::string(name), bytes, outcome);
    return outcome;
  }

 private:
  Status Around(const Call&, const Effect& effect) override { return effect(); }
  Book& book_;
};

class S3RaceTest : public S3ServerTest {
 protected:
  Result<std::unique_ptr<DB>> Open(const std::string& endpoint) {
    s3::S3Options options = ServerOptions(server, OwnPrefix());
    options.endpoint = endpoint;
    TARN_ASSIGN(std::shared_ptr<Backend> backend, OpenOnServer(server, options));
    Components parts;
    parts.backend = std::make_shared<Booked>(std::move(backend), book_);
    Settings settings;
    settings.memory_bytes = 16 << 20;
    settings.memtable_bytes = 256 << 10;
    return DB::Open(settings, std::move(parts));
  }

  // One writer's part of a round, up to its last commit. Null: it did not get the store.
  std::unique_ptr<DB> Enter(const std::string& me) {
    auto db = Open(proxy_->endpoint());
    if (!db.ok()) {
      const Code code = db.status().code();
      EXPECT_TRUE(code == Code::kFenced || code == Code::kBusy || code == Code::kUnavailable || code == Code::kIo)
          << db.status().ToString();
      ++refused_;
      return nullptr;
    }
    for (int i = 0; i < 5 && Commit(**db, me + "/" + std::to_string(i)).ok(); ++i) {
    }
    const Status flushed = (*db)->Flush();
    EXPECT_TRUE(flushed.ok() || flushed.code() == Code::kFenced || flushed.code() == Code::kIo) << flushed.ToString();
    return std::move(*db);
  }
  Status Commit(DB& db, const std::string& key) {
    const Status put = db.Put(key, key, Durability::kPower);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (put.ok()) owed_.insert(key);
    return put;
  }
  // Both have entered. Each commits once more, to the log and to the manifest.
  void Decide(DB* const writers[2], int round) {
    int holders = 0;
    for (int me = 0; me < 2; ++me) {
      if (writers[me] == nullptr) continue;
      Status last = Commit(*writers[me], "last/" + std::to_string(round) + "/" + std::to_string(me));
      if (last.ok()) last = writers[me]->Flush();
      holders += last.ok() ? 1 : 0;
      fenced_ += last.code() == Code::kFenced ? 1 : 0;
      in_doubt_ += last.code() == Code::kIo ? 1 : 0;
      EXPECT_TRUE(last.ok() || last.code() == Code::kFenced || last.code() == Code::kIo) << last.ToString();
    }
    EXPECT_LE(holders, 1) << "round " << round << ": both commit";
    if (writers[0] != nullptr && writers[1] != nullptr) ++duels_;
  }
  // What is in the bucket now is what the book says, as far as it is new.
  void CheckObjects(Backend& bucket) {
    for (const char* folder : {"manifest/", "wal/"}) {
      const Result<ListPage> page = bucket.List(folder, "", 1000);
      ASSERT_TRUE(page.ok()) << page.status().ToString();
      for (const BlobInfo& blob : page->blobs) {
        if (!checked_.insert(blob.name).second) continue;
        const auto reader = bucket.Open(blob.name);
        ASSERT_TRUE(reader.ok()) << reader.status().ToString();
        std::string bytes((*reader)->size(), '\0');
        ASSERT_TRUE((*reader)->Read(0, bytes).ok());
        if (Matters(blob.name, bytes)) book_.Check(blob.name, bytes);
      }
    }
  }
  void CheckOwed() {
    const auto db = Open(server.endpoint);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    for (const std::string& key : owed_) {
      std::string found;
      const Status got = (*db)->Get(key, &found);
      ASSERT_TRUE(got.ok() && found == key) << "acknowledged and lost: " << key << ": " << got.ToString();
    }
    EXPECT_TRUE((*db)->Verify().ok());
  }

  std::unique_ptr<FaultProxy> proxy_;
  Book book_;
  std::mutex mutex_;  // guards owed_ while both write
  std::set<std::string> owed_, checked_;
  std::atomic<int> refused_{0};
  int fenced_ = 0, in_doubt_ = 0, duels_ = 0;
};

TEST_F(S3RaceTest, OneCommitsEachManifestAndTheLoserIsFenced) {
  const int rounds = static_cast<int>(FromEnvironment("TARN_S3_RACES", 5));
  auto started = FaultProxy::Start({.upstream = server.endpoint, .seed = FromEnvironment("TARN_SEED", 1)});
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  proxy_ = std::move(*started);
  ASSERT_TRUE(Open(proxy_->endpoint()).ok());  // the proof, undisturbed
  const auto bucket = OpenOnServer(server, ServerOptions(server, OwnPrefix()));
  ASSERT_TRUE(bucket.ok()) << bucket.status().ToString();
  // Few 503: each slows its client down to 20 requests a second for a while.
  for (const char* rule :
       {"lose-answer,probability=0.02", "late,delay=30,probability=0.02,method=PUT", "cut-request,probability=0.02",
        "cut-answer,bytes=10,probability=0.01", "refuse,status=503,probability=0.001",
        "refuse,status=500,probability=0.01", "duplicate,probability=0.03,method=PUT",
        "delay-answer,delay=10,probability=0.05", "delay-request,delay=10,probability=0.05"}) {
    proxy_->AddRule(*ParseFaultRule(rule));
  }
  std::barrier both(2);
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    std::unique_ptr<DB> writers[2];
    const auto enter = [&](int me) {
      both.arrive_and_wait();
      writers[me] = Enter(std::to_string(round) + "/" + std::to_string(me));
    };
    std::thread other(enter, 1);
    enter(0);
    other.join();
    DB* const open[2] = {writers[0].get(), writers[1].get()};
    Decide(open, round);
    CheckObjects(**bucket);
    if (round % 20 == 19) {
      for (auto& writer : writers) writer.reset();
      CheckOwed();
    }
  }
  proxy_->ClearRules();
  proxy_->AwaitLate();
  CheckOwed();
  CheckObjects(**bucket);
  book_.ExpectOneWinnerEach();
  EXPECT_GT(owed_.size(), static_cast<size_t>(rounds));
  EXPECT_GT(fenced_, 0);
  std::printf(
      "%d rounds: %d in which both opened, %d openings refused; %d were told Fenced, %d a commit was in "
      "doubt; %zu manifest records and %zu log objects, each with one winner; %zu puts acknowledged, none lost\n",
      rounds, duels_, refused_.load(), fenced_, in_doubt_, book_.Won("manifest/"), book_.Won("wal/"), owed_.size());
  EXPECT_TRUE(EmptyStore(**bucket).ok());
}

}  // namespace
}  // namespace tarn::test
