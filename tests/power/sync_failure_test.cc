// sync_failure_test: a device that fails once, below a real ext4, while the store syncs its log.
//
//   sync_failure_test [--rounds N] [--seed S] [--dir DIRECTORY]     defaults: TARN_SYNC_FAILURES, else 2; TARN_SEED
//
// Linux reports such a failure to one fsync only: the next one succeeds, the page cache serves the bytes, and after
// they are evicted the disk's old bytes are back. So after the failure
//   1. the write at kPower returns an error with EIO, and so does every later write and sync: nobody asks again;
//   2. reads go on, and everything that was acknowledged is there;
//   3. a store opened anew, over the page cache or after it was dropped, has all that was acknowledged, the failed
//   write
//      as a whole or not at all, and writes again;
//   4. what that store showed and took is there after the next eviction: it did not trust the page cache.
// Twice per round the write of the log's data fails (block_log.h finds it by its content), once a flush of the
// device.
//
// Exit: 0; 77 and a line when the machine lacks something; 1 and the first difference.
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <map>

#include "tarn/db.h"
#include "tests/kill/arguments.h"
#include "tests/power/block_log.h"
#include "tests/power/loop_image.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMarker = "the write that fails";

enum class Fault { kWriteKeepCache, kWriteDropCache, kFlush };
const char* NameOf(Fault fault) {
  if (fault == Fault::kFlush) return "a flush failed";
  return fault == Fault::kWriteKeepCache ? "a write failed, opened again over the page cache"
                                         : "a write failed, opened again without the page cache";
}

Status Wrong(const std::string& what) { return Status::Corruption(what); }

class SyncFailure {
 public:
  SyncFailure(std::string directory, SeededRandom& random)
      : directory_(std::move(directory)), random_(random), log_(directory_ + "/device", requests_) {}

  Status Run(Fault fault) {
    TARN_TRY(log_.Start());
    const int device = log_.OpenDevice();
    if (device < 0) return Status::Io("the logged device cannot be opened");
    {
      LoopImage image(device, directory_ + "/mounted");
      TARN_TRY(image.MakeFilesystem("ext4"));
      TARN_TRY(image.Mount("ext4"));
      store_ = image.directory() + "/store";
      TARN_TRY(Fail(fault));
      if (fault != Fault::kWriteKeepCache) {
        TARN_TRY(image.Unmount());
        TARN_TRY(image.Mount("ext4"));
      }
      TARN_TRY(Recover());
      TARN_TRY(image.Unmount());
      TARN_TRY(image.Mount("ext4"));
      TARN_TRY(LookAgain());
      TARN_TRY(image.Unmount());
    }
    close(device);
    return log_.Stop();
  }

 private:
  // Acknowledged at kPower from now on.
  Status Put(DB& db, const std::string& key) {
    const std::string value(1 + random_.Below(6000), 'a' + static_cast<char>(random_.Below(26)));
    TARN_TRY(db.Put(key, value, Durability::kPower));
    acknowledged_[key] = value;
    return {};
  }

  Status Fail(Fault fault) {
    TARN_ASSIGN(const auto db, DB::Open({}, store_));
    const uint64_t before = 1 + random_.Below(30);
    for (uint64_t i = 0; i < before; ++i) TARN_TRY(Put(*db, "before" + std::to_string(i)));
    if (random_.OneIn(2)) TARN_TRY(db->Flush());
    failed_value_ = std::string(kMarker) + std::string(random_.Below(9000), 'f');
    fault == Fault::kFlush ? log_.FailFlush() : log_.FailWriteWith(kMarker);
    const Status failed = db->Put("failed", failed_value_, Durability::kPower);
    if (log_.failures() != 1) return Wrong("the device was not asked to fail: this proved nothing");
    if (failed.ok()) return Wrong("a write was acknowledged whose sync failed");
    if (failed.os_error() != EIO && failed.os_error() != EROFS) return Wrong("no EIO: " + failed.ToString());
    for (const Durability durability : {Durability::kNone, Durability::kProcess, Durability::kPower}) {
      if (db->Put("later", "x", durability).ok()) return Wrong("a write was taken after the log had failed");
    }
    if (db->SyncWal().ok()) return Wrong("SyncWal succeeded after the log had failed");
    TARN_TRY(ReadAll(*db));
    // Closing may well say again that the log failed; the store must be left as it is.
    if (random_.OneIn(2) && db->Close().ok()) return Wrong("Close hides that the log had failed");
    return {};
  }

  Status Recover() {
    TARN_ASSIGN(const auto db, DB::Open({}, store_));
    TARN_TRY(ReadAll(*db));
    std::string value;
    const Status got = db->Get("failed", &value);
    if (!got.ok() && got.code() != Code::kNotFound) return got;
    if (got.ok() && value != failed_value_) return Wrong("the write that failed is there, but not as it was");
    if (got.ok()) acknowledged_["failed"] = value;  // it was shown: it has to stay
    if (db->Get("later", &value).code() != Code::kNotFound) return Wrong("a refused write is there");
    for (int i = 0; i < 10; ++i) TARN_TRY(Put(*db, "after" + std::to_string(i)));
    TARN_TRY(db->Verify());
    return random_.OneIn(2) ? db->Close() : Status();
  }

  Status LookAgain() {
    TARN_ASSIGN(const auto db, DB::Open({}, store_));
    TARN_TRY(ReadAll(*db));
    std::string value;
    if (!acknowledged_.contains("failed") && db->Get("failed", &value).code() != Code::kNotFound) {
      return Wrong("the write that failed came back");
    }
    TARN_TRY(db->Verify());
    return db->Close();
  }

  Status ReadAll(DB& db) {
    for (const auto& [key, expected] : acknowledged_) {
      std::string value;
      TARN_TRY(db.Get(key, &value).Annotate(key + ", which was acknowledged"));
      if (value != expected) return Wrong(key + " is not what was acknowledged");
    }
    return {};
  }

  const std::string directory_;
  SeededRandom& random_;
  std::atomic<uint64_t> requests_{0};  // counted in the child; nobody asks here
  BlockLog log_;
  std::string store_, failed_value_;
  std::map<std::string, std::string> acknowledged_;
};

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv, {"--rounds", "TARN_SYNC_FAILURES", 2});
  if (!arguments.has_value()) return 2;
  NeedLoopDevices();
  NeedFuse();
  SeededRandom random(arguments->seed);
  Status status;
  for (uint64_t round = 0; round < arguments->count && status.ok(); ++round) {
    for (const Fault fault : {Fault::kWriteKeepCache, Fault::kWriteDropCache, Fault::kFlush}) {
      if (status.ok()) status = SyncFailure(arguments->directory, random).Run(fault).Annotate(NameOf(fault));
    }
  }
  if (!status.ok()) std::fprintf(stderr, "FAILED: %s\n", status.ToString().c_str());
  if (status.ok())
    std::printf("%" PRIu64 " failures reported, nothing acknowledged was lost\n", 3 * arguments->count);
  fs::remove_all(arguments->directory);
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
