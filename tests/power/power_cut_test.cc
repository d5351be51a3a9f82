// power_cut_test: a store on a filesystem of its own, whose power is cut again and again.
//
//   power_cut_test [--cuts N] [--seed S] [--dir DIRECTORY]      defaults: TARN_POWER_CUTS, else 20; TARN_SEED, else
//   any
//
// N cuts on ext4, and N on xfs where there is mkfs.xfs. The image lies in memory; the store in it lives through all
// cuts. Four writers work (tests/kill/store_workload.h) until a random number of operations has returned, or the
// child is in DB::Open; then FS_IOC_SHUTDOWN stops the filesystem without a flush of its journal. Half of the
// children are killed then, half go on and meet errors: from then on they must acknowledge nothing as kPower. After
// umount and mount (which replays the journal) the store must hold what tests/kill/store_oracle.h says of a power
// cut.
//
// Exit: 0; 77 and a line when the machine lacks something; 1 with the cut and the first difference.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include "tests/kill/arguments.h"
#include "tests/kill/child.h"
#include "tests/kill/store_oracle.h"
#include "tests/power/loop_image.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

// The least size that mkfs makes an image of, and some room; only what is written takes memory.
uint64_t ImageBytes(const std::string& type) { return type == "ext4" ? 128 << 20 : 304 << 20; }

class PowerCuts {
 public:
  PowerCuts(const Arguments& arguments, const std::string& type)
      : seed_(arguments.seed),
        random_(arguments.seed),
        type_(type),
        file_(FileInMemory(ImageBytes(type))),
        image_(file_, arguments.directory + "/" + type),
        store_(image_.directory() + "/store"),
        oracle_(arguments.seed) {}
  ~PowerCuts() { close(file_); }

  Status Run(uint64_t cuts) {
    const auto begun = std::chrono::steady_clock::now();
    TARN_TRY(image_.MakeFilesystem(type_));
    TARN_TRY(image_.Mount(type_));
    for (uint64_t number = 1; number <= cuts; ++number) {
      TARN_TRY(Round(number).Annotate(type_ + ", power cut " + std::to_string(number)));
    }
    TARN_TRY(image_.Unmount());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    std::printf("%s: %" PRIu64 " power cuts (%" PRIu64 " in open); %" PRIu64
                " operations owed, none missing; %" PRIu64 " more were not synced, %" PRIu64
                " of them lost; %.1f cuts/s\n",
                type_.c_str(), cuts, opens_, owed_, loose_, lost_, static_cast<double>(cuts) / seconds);
    if (owed_ < 5 * cuts) return Status::Invalid("too few operations: this proved nothing");
    if (lost_ < cuts / 10) return Status::Invalid("next to nothing was lost: the power was not cut");
    return {};
  }

 private:
  Status Round(uint64_t number) {
    ledger_->Begin(number, oracle_.counts());
    const Settings settings = SomeSettings(random_);
    const bool in_open = random_.OneIn(8);
    Workload::Options options;
    options.seed = seed_;
    options.word_after = random_.OneIn(4) ? 1 + random_.Below(10) : 1 + random_.Below(300);
    Child child([&](int word) {
      options.word = word;
      const Status status = Live(settings, options, in_open);
      if (!status.ok()) ledger_->Fail(status.ToString());
      return 0;  // the power was cut: errors are what it is to get
    });
    if (!child.AwaitWord()) return Status::Io(std::string("the store failed: ") + ledger_->error.data());
    ledger_->power = kCutting;
    TARN_TRY(image_.CutPower());
    ledger_->power = kOff;
    if (random_.OneIn(2)) child.Kill();
    const int ended = child.Wait();
    if (ended != 0 && ended != -SIGKILL) return Status::Io("the child ended with " + std::to_string(ended));
    if (ledger_->lies > 0) return Status::Corruption("a write at kPower succeeded when the power was off");
    TARN_TRY(image_.Unmount());
    TARN_TRY(image_.Mount(type_));
    opens_ += in_open;
    return Judge();
  }

  // In the child.
  Status Live(const Settings& settings, Workload::Options options, bool in_open) {
    if (in_open) {
      if (write(options.word, "x", 1) != 1) return Status::Io("the supervisor is gone");
      options.word_after = 0;
    }
    TARN_ASSIGN(const Session session, StartSession(DB::Open(settings, store_)));
    return Workload(session, *ledger_, options).Run();
  }

  Status Judge() {
    const Bounds bounds = Bounds::AfterPowerCut(*ledger_);
    Settings settings = SomeSettings(random_);
    settings.read_only = random_.OneIn(2);
    Result<std::unique_ptr<DB>> opened = DB::Open(settings, store_);
    if (settings.read_only && opened.status().code() == Code::kNotFound) {  // cut before there was a store
      settings.read_only = false;
      opened = DB::Open(settings, store_);
    }
    TARN_TRY(opened.status());
    const std::unique_ptr<DB> db = std::move(opened).value();
    TARN_TRY(oracle_.Check(*db, *ledger_, bounds));
    oracle_.Adopt();
    const Counts reached = oracle_.counts();
    for (int w = 0; w < kWriters; ++w) {
      owed_ += bounds.least[w] - ledger_->first[w];
      loose_ += ledger_->writers[w].returned - bounds.least[w];
      lost_ += ledger_->writers[w].returned - std::min<uint64_t>(reached[w], ledger_->writers[w].returned);
    }
    return settings.read_only ? Status() : db->Close();
  }

  const uint64_t seed_;
  SeededRandom random_;
  const std::string type_;
  const int file_;
  LoopImage image_;
  const std::string store_;
  StoreOracle oracle_;
  Shared<Ledger> ledger_;
  uint64_t opens_ = 0, owed_ = 0, loose_ = 0, lost_ = 0;
};

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv, {"--cuts", "TARN_POWER_CUTS", 20});
  if (!arguments.has_value()) return 2;
  NeedLoopDevices();
  int failures = 0;
  for (const std::string type : {"ext4", "xfs"}) {
    if (!HasProgram("mkfs." + type)) {
      std::printf("%s: not tried, mkfs.%s is not installed\n", type.c_str(), type.c_str());
      continue;
    }
    const Status status = PowerCuts(*arguments, type).Run(arguments->count);
    if (status.ok()) continue;
    std::fprintf(stderr, "FAILED: %s\n", status.ToString().c_str());
    ++failures;
  }
  fs::remove_all(arguments->directory);
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
