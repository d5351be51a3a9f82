// The fsync rule (docs/architecture.md, invariant 9), said aloud: after a failed write or sync nothing that was not
// known durable is acknowledged, by anybody, until recovery has read the log again.
//
// A kernel that fails an fsync may drop the dirty pages and answer the next fsync with success, so the device below
// does just that: the k-th call of a kind fails once and everything after it "succeeds". For every k of a scripted
// life: the caller gets the error; every later write and sync returns that same first error, which says that the
// store is read-only and what to do; the log is not touched again; reads go on; a snapshot is not named. Then the
// power goes, and all that was acknowledged as power-safe is there, and nothing that was refused after the error.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/kernel/sim_store.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

struct Rule {
  const char* name;
  Op op;
  Code code;
  bool effect_happens;
};

void PrintTo(const Rule& rule, std::ostream* out) { *out << rule.name; }

bool TouchesLog(const Call& call) {
  return call.op == Op::kCreateAppend || call.op == Op::kLogAppend || call.op == Op::kLogSync;
}

// A life of single rows "key<n>" -> n. Ends at the first error.
struct Life {
  std::unique_ptr<DB> db;
  Status error;               // the first one; OK when the life ended by itself
  uint64_t written = 0;       // rows acknowledged
  uint64_t power = 0;         // of these, up to the last one that is power-safe
  bool doubtful_row = false;  // the error was a write's, so that row written + 1 may survive
  bool closing_failed = false;

  void Run() {
    for (uint64_t n = 1; n <= 40 && error.ok(); ++n) {
      const Durability level = n % 5 == 0   ? Durability::kPower
                               : n % 3 == 0 ? Durability::kNone
                                            : Durability::kProcess;
      error = db->Put(NumberedKey(n), std::to_string(n), level);
      doubtful_row = !error.ok();
      if (!error.ok()) return;
      written = n;
      if (level == Durability::kPower) power = n;
      if (n % 8 == 0) Step(db->SyncWal());
      if (n % 13 == 0) Step(db->Flush());
      if (n == 17) Step(db->CreateNamedSnapshot("seventeen").status());
      if (n == 30) Step(db->Compact());
    }
    if (!error.ok()) return;
    Step(db->Close());
    closing_failed = !error.ok();
  }

 private:
  void Step(const Status& status) {
    if (!error.ok()) return;
    error = status;
    if (error.ok()) power = written;
  }
};

Life OpenLife(const std::shared_ptr<Backend>& backend) {
  Life life;
  auto opened = OpenSim(backend);
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  if (opened.ok()) life.db = std::move(*opened);
  return life;
}

void ExpectRows(DB& db, uint64_t at_least, uint64_t at_most) {
  uint64_t rows = 0;
  const auto walk = db.NewIterator();
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    ++rows;
    EXPECT_EQ(walk->key(), NumberedKey(rows)) << "the log has a hole";
    EXPECT_EQ(walk->value(), std::to_string(rows));
  }
  ASSERT_TRUE(walk->status().ok()) << walk->status().ToString();
  EXPECT_GE(rows, at_least);
  EXPECT_LE(rows, at_most);
  for (uint64_t n = 1; n <= rows; n += 3) {
    std::string value;
    EXPECT_TRUE(db.Get(NumberedKey(n), &value).ok());
    EXPECT_EQ(value, std::to_string(n));
  }
}

class FsyncRule : public testing::TestWithParam<Rule> {
 protected:
  static std::function<bool(const Call&)> Selected() {
    return [op = GetParam().op](const Call& call) { return call.op == op; };
  }

  // The store that met the error, while the device claims to be well again.
  static void ExpectReadOnly(Life& life, FaultBackend& device) {
    DB& db = *life.db;
    device.Arm({.at_call = UINT64_MAX, .only = TouchesLog});
    const Status refused = db.Put("later", "1", Durability::kNone);
    const std::string first = refused.ToString();
    EXPECT_EQ(refused.code(), GetParam().code) << first;
    EXPECT_NE(first.find("the store is read-only until it is reopened"), std::string::npos) << first;
    EXPECT_NE(first.find("injected"), std::string::npos) << first;
    EXPECT_EQ(first.find('\n'), std::string::npos) << first;
    EXPECT_EQ(db.Put("later", "2", Durability::kPower).ToString(), first);
    EXPECT_EQ(db.SyncWal().ToString(), first) << "a later sync was believed";
    EXPECT_EQ(db.Flush().ToString(), first);
    EXPECT_EQ(db.Compact().ToString(), first);
    EXPECT_EQ(db.CreateFamily("later").status().ToString(), first);
    EXPECT_EQ(db.CreateNamedSnapshot("later").status().ToString(), first);
    EXPECT_EQ(device.calls(), 0u) << "the log was touched after it had failed";
    ExpectRows(db, life.written, life.written);
    EXPECT_EQ(db.Close().ToString(), first) << "closing claims that all is well";
    EXPECT_EQ(device.calls(), 0u) << "closing touched the log";
  }

  // Returns whether the store failed.
  static bool FailAt(uint64_t k) {
    const auto disk = std::make_shared<MemBackend>();
    const auto device = std::make_shared<FaultBackend>(disk);
    Life life = OpenLife(device);
    if (life.db == nullptr) return false;
    device->Arm({.at_call = k,
                 .error = Status(GetParam().code, "cannot reach the device: injected: check it"),
                 .effect_happens = GetParam().effect_happens,
                 .only = Selected()});
    life.Run();
    EXPECT_EQ(device->fired(), 1u);
    bool failed = life.closing_failed;
    if (failed) {
      EXPECT_EQ(life.db->Close().ToString(), life.error.ToString()) << "closing again claims that all is well";
    } else {
      failed = life.db->Put("probe", "1", Durability::kNone).code() == GetParam().code;
      if (failed) {
        EXPECT_NE(life.error.message().find("read-only"), std::string_view::npos)
            << "the first error does not say what has happened to the store: " << life.error.ToString();
        ExpectReadOnly(life, *device);
      }
    }
    // What a merge could not write was not needed yet.
    if (!failed && GetParam().op != Op::kFinish) ADD_FAILURE() << "the error was forgotten";
    const auto after = disk->CrashClone(k, CrashMode::kTornSubset);
    life.db.reset();
    const auto reopened = OpenSim(after);
    EXPECT_TRUE(reopened.ok()) << reopened.status().ToString();
    if (reopened.ok() && failed) {
      ExpectRows(**reopened, life.power, life.written + life.doubtful_row);
      EXPECT_TRUE((*reopened)->Put(NumberedKey(99), "99", Durability::kPower).ok());
    }
    return failed;
  }
};

TEST_P(FsyncRule, TheFirstErrorIsTheLastWord) {
  const auto rehearsal = std::make_shared<FaultBackend>(std::make_shared<MemBackend>());
  uint64_t calls = 0;
  {
    Life life = OpenLife(rehearsal);
    rehearsal->Arm({.at_call = UINT64_MAX, .only = Selected()});
    life.Run();
    ASSERT_TRUE(life.error.ok()) << life.error.ToString();
    calls = rehearsal->calls();
  }
  ASSERT_GE(calls, 4u);
  uint64_t failed = 0;
  for (uint64_t k = 1; k <= calls && !HasFailure(); ++k) {
    SCOPED_TRACE(std::string(GetParam().name) + " " + std::to_string(k) + " of " + std::to_string(calls));
    failed += FailAt(k);
  }
  EXPECT_GT(failed, 0u);
  std::cout << GetParam().name << ": " << calls << " points, the store stopped at " << failed << "\n";
}

INSTANTIATE_TEST_SUITE_P(Calls, FsyncRule,
                         testing::Values(Rule{"Sync", Op::kLogSync, Code::kIo, false},
                                         Rule{"SyncThatHappened", Op::kLogSync, Code::kIo, true},
                                         Rule{"SyncOnAFullDevice", Op::kLogSync, Code::kNoSpace, false},
                                         Rule{"Append", Op::kLogAppend, Code::kIo, false},
                                         Rule{"AppendThatHappened", Op::kLogAppend, Code::kIo, true},
                                         Rule{"AppendOnAFullDevice", Op::kLogAppend, Code::kNoSpace, false},
                                         Rule{"NewSegment", Op::kCreateAppend, Code::kIo, false},
                                         Rule{"Finish", Op::kFinish, Code::kIo, false},
                                         Rule{"FinishThatHappened", Op::kFinish, Code::kIo, true},
                                         Rule{"Publish", Op::kPutIfAbsent, Code::kIo, false},
                                         Rule{"PublishThatHappened", Op::kPutIfAbsent, Code::kIo, true}),
                         [](const auto& rule) { return std::string(rule.param.name); });

}  // namespace
}  // namespace tarn::test
