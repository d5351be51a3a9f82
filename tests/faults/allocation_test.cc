// Memory that is not there: operator new fails in turn at each allocation of an operation that reads. What Tarn
// promises about it, and what it does not, is in README.md.
//
// For each N: the N-th allocation throws std::bad_alloc. It comes out to the caller or is not noticed; the store
// answers the same question right at once afterwards (no lock is held, no block half loaded, no budget leaked), and a
// write still works.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <new>

#include "tests/kernel/sim_store.h"
#include "tests/support/wrapping_backend.h"

namespace {

// Of this thread: allocations until one fails; 0 = none does.
thread_local uint64_t fail_after = 0;
thread_local uint64_t allocations = 0;

void* Allocate(size_t size) {
  ++allocations;
  if (fail_after != 0 && --fail_after == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tarn::test {
namespace {

constexpr uint64_t kRows = 120;

class WithoutQueues final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  BackendFeatures features() override {
    BackendFeatures features = WrappingBackend::features();
    features.queues = nullptr;
    return features;
  }

 private:
  Status Around(const Call&, const Effect& effect) override { return effect(); }
};

// Three levels and a memtable; nothing of the tables is in memory yet.
class Allocation : public testing::Test {
 protected:
  Allocation() {
    auto opened = OpenSim(disk_);
    EXPECT_TRUE(opened.ok());
    for (uint64_t n = 0; n < kRows; ++n) EXPECT_TRUE((*opened)->Put(NumberedKey(n), Value(n)).ok());
    EXPECT_TRUE((*opened)->Compact().ok());
    for (uint64_t n = 0; n < kRows; n += 5) EXPECT_TRUE((*opened)->Put(NumberedKey(n), Value(n)).ok());
    EXPECT_TRUE((*opened)->DeleteRange("none", "nond").ok());
    EXPECT_TRUE((*opened)->Flush().ok());
    EXPECT_TRUE((*opened)->Close().ok());
    for (uint64_t n = 0; n < kRows; n += 3) keys_.push_back(NumberedKey(n));
    views_.assign(keys_.begin(), keys_.end());
  }
  static std::string Value(uint64_t n) { return std::string(400, static_cast<char>('a' + n % 26)); }

  std::unique_ptr<DB> Cold() {
    std::shared_ptr<Backend> disk = disk_->CrashClone(1, CrashMode::kProcessKill);
    if (threads_) disk = std::make_shared<WithoutQueues>(std::move(disk));
    auto opened = OpenSim(std::move(disk));
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return std::move(*opened);
  }
  bool AllRight(DB& db) {
    std::vector<std::string> values;
    const auto statuses = db.MultiGet({}, views_, &values);
    for (size_t i = 0; i < views_.size(); ++i) {
      if (!statuses[i].ok() || values[i] != Value(i * 3)) return false;
    }
    return true;
  }
  enum : int { kNoticedNothing, kThrew, kBroken };
  static int WriteWithout(DB& db, uint64_t n) {
    bool threw = false;
    fail_after = n;
    try {
      if (!db.Put("key", std::string(50, 'v'), Durability::kPower).ok()) return kBroken;
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    const bool noticed = fail_after == 0;
    fail_after = 0;
    std::string value;
    if (!db.Put("next", "1", Durability::kPower).ok() || !db.Get("next", &value).ok()) return kBroken;
    if (threw && db.Get("key", &value).code() != Code::kNotFound) return kBroken;
    return threw ? kThrew : noticed ? kBroken : kNoticedNothing;
  }

  // To the budget, beside what caches and memtables say of themselves.
  static int64_t Charged(DB& db) {
    const auto facts = db.Statistics();
    return static_cast<int64_t>(facts.at("memory.used_bytes")) -
           static_cast<int64_t>(facts.at("memory.block_cache_bytes") + facts.at("memory.memtable_bytes"));
  }

  // `read` answers true when all it saw was right.
  template <typename Read>
  void Sweep(const char* name, const Read& read, uint64_t stride = 1) {
    uint64_t thrown = 0, points = 0, n = 1;
    const auto healthy = Cold();
    EXPECT_TRUE(read(*healthy));
    const int64_t usual = Charged(*healthy);
    for (bool clean = false; !clean; n += stride, ++points) {
      SCOPED_TRACE(std::string(name) + ": allocation " + std::to_string(n));
      const auto db = Cold();
      bool threw = false, right = true;
      allocations = 0;
      fail_after = n;
      try {
        right = read(*db);
      } catch (const std::bad_alloc&) {
        threw = true;
      }
      clean = fail_after != 0;  // it came to an end before
      fail_after = 0;
      thrown += threw;
      EXPECT_TRUE(right) << "a wrong answer in place of an error";
      EXPECT_TRUE(read(*db)) << "the next read is wrong";
      EXPECT_EQ(Charged(*db), usual) << "memory stays charged that nobody holds";
      EXPECT_TRUE(db->Put("after", "all", Durability::kPower).ok());
      EXPECT_TRUE(db->Close().ok());
      if (HasFailure()) return;
    }
    EXPECT_GT(thrown, 5u);
    std::cout << name << ": " << points << " points, " << thrown << " came out as bad_alloc\n";
  }

  const std::shared_ptr<MemBackend> disk_ = std::make_shared<MemBackend>();
  std::vector<std::string> keys_;
  std::vector<std::string_view> views_;
  bool threads_ = false;  // reads in flight are on the store's threads
};

TEST_F(Allocation, Get) {
  std::string value;
  Sweep("Get", [&](DB& db) {
    for (const uint64_t n : {5u, 7u, 60u, 119u}) {
      if (!db.Get(NumberedKey(n), &value).ok() || value != Value(n)) return false;
    }
    return db.Get("none", &value).code() == Code::kNotFound;
  });
}

TEST_F(Allocation, Iterator) {
  Sweep("Iterator", [&](DB& db) {
    uint64_t n = 0;
    const auto walk = db.NewIterator();
    for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
      if (walk->key() == "after") continue;
      if (walk->key() != NumberedKey(n) || walk->value() != Value(n)) return false;
      ++n;
    }
    return walk->status().ok() && n == kRows;
  });
}

TEST_F(Allocation, MultiGet) {
  Sweep("MultiGet", [this](DB& db) { return AllRight(db); });
}

// Reads are really under way when the exception comes by: into buffers that its way out must not free.
TEST_F(Allocation, MultiGetOnThreads) {
  threads_ = true;
  Sweep(
      "MultiGet on threads", [this](DB& db) { return AllRight(db); }, 9);
}

// A write is another matter: before the commit begins it throws and nothing has happened; from there on the process
// ends. Each attempt is a process of its own; one that hangs is ended by its alarm.
TEST_F(Allocation, AWriteThrowsOrEndsTheProcess) {
  uint64_t threw = 0, ended = 0;
  bool clean = false;
  for (uint64_t n = 1; !clean; ++n) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    const auto db = Cold();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(30);
      close(STDERR_FILENO);  // what the runtime has to say about it
      _exit(WriteWithout(*db, n));
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    ASSERT_TRUE(aborted || WIFEXITED(status)) << "status " << status;
    ASSERT_TRUE(aborted || WEXITSTATUS(status) != kBroken) << "the store is broken after the exception";
    ended += aborted;
    threw += !aborted && WEXITSTATUS(status) == kThrew;
    clean = !aborted && WEXITSTATUS(status) == kNoticedNothing;
  }
  EXPECT_GT(threw, 0u);
  EXPECT_GT(ended, 0u);
  std::cout << "Put: " << threw << " points threw, " << ended << " ended the process\n";
}

}  // namespace
}  // namespace tarn::test
