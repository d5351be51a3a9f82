// block_replay_test: what a power cut leaves at the level of blocks, under the store and a real ext4.
//
//   block_replay_test [--images N] [--seed S] [--dir DIRECTORY]     defaults: TARN_CRASH_IMAGES, else 16; TARN_SEED
//
// One run of four writers on a logged device (block_log.h) is judged at many moments: for each, an image is made of
// all writes before the last flush and of a random choice of the writes after it, some of them torn at sectors; it is
// mounted (which replays the journal), the store is opened and must hold what was promised up to that moment and
// nothing that began later (tests/kill/store_oracle.h). Every 64 images another run is logged.
//
// Exit: 0; 77 and a line when the machine lacks something; 1 with the moment and the first difference.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include "tests/kill/arguments.h"
#include "tests/kill/store_oracle.h"
#include "tests/power/block_log.h"
#include "tests/power/loop_image.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kImagesOfRun = 64;
constexpr uint64_t kOperationsOfWriter = 150;  // some 3000 requests, and a second
constexpr size_t kSectorBytes = 512;

// The medium as a power cut leaves it; made for moments that ascend.
class Medium {
 public:
  Medium() : flushed_(kDeviceBytes) {}

  // Everything before the last flush among the first `count` requests, and of the others what chance lets through.
  std::vector<char> At(const std::vector<DeviceRequest>& requests, uint64_t count, SeededRandom& random) {
    uint64_t epoch = next_;  // the first request that no flush covers
    for (uint64_t i = next_; i < count; ++i) epoch = requests[i].flush ? i + 1 : epoch;
    for (; next_ < epoch; ++next_) Put(&flushed_, requests[next_], 0, requests[next_].bytes.size());
    std::vector<char> image = flushed_;
    const uint64_t mode = random.Below(4);  // nothing after the flush, all of it, most of it, little of it
    std::vector<uint64_t> chosen;
    for (uint64_t i = epoch; i < count; ++i) {
      const bool lost = mode == 0 || (mode == 2 && random.OneIn(4)) || (mode == 3 && !random.OneIn(4));
      lost ? ++lost_ : ++survived_;
      if (!lost) chosen.push_back(i);
    }
    // In any order: where two wrote the same sectors, either may be the one that stays.
    if (mode >= 2) {
      for (size_t i = chosen.size(); i > 1; --i) std::swap(chosen[i - 1], chosen[random.Below(i)]);
    }
    for (const uint64_t i : chosen) {
      const size_t bytes = requests[i].bytes.size();
      if (mode < 2 || bytes <= kSectorBytes || !random.OneIn(4)) {
        Put(&image, requests[i], 0, bytes);
        continue;
      }
      ++torn_;
      const size_t cut = (1 + random.Below(bytes / kSectorBytes)) * kSectorBytes;
      random.OneIn(2) ? Put(&image, requests[i], 0, cut) : Put(&image, requests[i], cut, bytes);
    }
    return image;
  }
  uint64_t survived() const { return survived_; }
  uint64_t lost() const { return lost_; }
  uint64_t torn() const { return torn_; }

 private:
  static void Put(std::vector<char>* image, const DeviceRequest& request, size_t begin, size_t end) {
    end = std::min(end, request.bytes.size());
    if (begin >= end) return;
    std::copy(request.bytes.begin() + static_cast<ptrdiff_t>(begin),
              request.bytes.begin() + static_cast<ptrdiff_t>(end),
              image->begin() + static_cast<ptrdiff_t>(request.offset + begin));
  }

  std::vector<char> flushed_;
  uint64_t next_ = 0;  // requests before it are in flushed_
  uint64_t survived_ = 0, lost_ = 0, torn_ = 0;
};

class Replays {
 public:
  explicit Replays(const Arguments& arguments) : random_(arguments.seed), directory_(arguments.directory) {}

  Status Run(uint64_t images) {
    const auto begun = std::chrono::steady_clock::now();
    while (images_ < images) TARN_TRY(OneRun(std::min(images - images_, kImagesOfRun)));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    std::printf("%" PRIu64 " images of %" PRIu64 " runs, %" PRIu64
                " requests; of the writes after the last flush %" PRIu64 " survived (%" PRIu64 " torn), %" PRIu64
                " did not; %" PRIu64 " operations owed, none missing; %.1f images/s\n",
                images_, runs_, requests_, survived_, torn_, lost_, owed_, static_cast<double>(images_) / seconds);
    if (owed_ < images_ || lost_ == 0 || survived_ == 0) return Status::Invalid("this proved nothing");
    return {};
  }

 private:
  Status OneRun(uint64_t images) {
    const uint64_t seed = random_.Next();
    const auto ledger = std::make_unique<Shared<Ledger>>();
    BlockLog log(directory_ + "/device", (*ledger)->requests);
    uint64_t first = 0;
    TARN_TRY(Work(seed, **ledger, log, &first));
    const std::vector<DeviceRequest> requests = log.Requests();
    if (requests.size() < first + 100) return Status::Invalid("the device saw too few requests: this proved nothing");
    ++runs_;
    requests_ += requests.size();
    const std::vector<uint64_t> moments = SomeMoments(requests, **ledger, first, images);
    Medium medium;
    for (const uint64_t moment : moments) {
      const std::vector<char> image = medium.At(requests, moment, random_);
      TARN_TRY(Judge(image, seed, **ledger, moment)
                   .Annotate("run " + std::to_string(runs_) + ", power cut after request " + std::to_string(moment) +
                             " of " + std::to_string(requests.size())));
      ++images_;
    }
    survived_ += medium.survived();
    torn_ += medium.torn();
    lost_ += medium.lost();
    return {};
  }

  // Ascending. Two kinds: (1) the moment of a promise, when whatever was forgotten for it is missing; (2) a random
  // write is the last one, or its epoch, up to the next flush, is whole: so long epochs come up more often.
  std::vector<uint64_t> SomeMoments(const std::vector<DeviceRequest>& requests, const Ledger& ledger, uint64_t first,
                                    uint64_t count) {
    const std::vector<uint64_t> promises = Promises(ledger);
    std::vector<uint64_t> moments(count);
    for (uint64_t& moment : moments) {
      if (!promises.empty() && random_.OneIn(3)) {
        moment = promises[random_.Below(promises.size())];
        continue;
      }
      do {
        moment = first + random_.Below(requests.size() - first) + 1;
      } while (requests[moment - 1].flush);
      const bool whole_epoch = !random_.OneIn(3);
      while (whole_epoch && moment < requests.size() && !requests[moment].flush) ++moment;
    }
    std::sort(moments.begin(), moments.end());
    return moments;
  }

  // How many requests there were when a named snapshot was made or dropped, and when operations were synced: about as
  // many of these.
  std::vector<uint64_t> Promises(const Ledger& ledger) {
    std::vector<uint64_t> promises;
    for (uint32_t i = 0; i < ledger.event_count; ++i) {
      if (ledger.events[i].done_at != 0) promises.push_back(ledger.events[i].done_at - 1);
    }
    for (size_t tries = promises.size(); tries > 0; --tries) {
      const uint64_t at = ledger.writers[random_.Below(kWriters)].synced_at[random_.Below(kOperationsOfWriter)];
      if (at != 0) promises.push_back(at - 1);
    }
    return promises;
  }

  // The store's whole life on the device. `first`: the request at which the filesystem was there and the store was
  // not.
  Status Work(uint64_t seed, Ledger& ledger, BlockLog& log, uint64_t* first) {
    ledger.Begin(1, {});
    TARN_TRY(log.Start());
    const int device = log.OpenDevice();
    if (device < 0) return Status::Io("the logged device cannot be opened");
    const Settings settings = SomeSettings(random_);
    {
      LoopImage image(device, directory_ + "/live");
      TARN_TRY(image.MakeFilesystem("ext4"));
      TARN_TRY(image.Mount("ext4"));
      *first = ledger.requests;
      Child child([&](int) {
        const Status status = Live(settings, seed, ledger, image.directory() + "/store");
        if (!status.ok()) ledger.Fail(status.ToString());
        return status.ok() ? 0 : 1;
      });
      if (child.Wait() != 0) return Status::Io(std::string("the store failed: ") + ledger.error.data());
      TARN_TRY(image.Unmount());
    }
    close(device);
    return log.Stop();
  }

  static Status Live(const Settings& settings, uint64_t seed, Ledger& ledger, const std::string& store) {
    TARN_ASSIGN(const Session session, StartSession(DB::Open(settings, store)));
    Workload::Options options;
    options.seed = seed;
    options.most_operations = kOperationsOfWriter;
    TARN_TRY(Workload(session, ledger, options).Run());
    TARN_TRY(session.db->Close());
    ledger.Synced(ledger.Returned());
    return {};
  }

  Status Judge(const std::vector<char>& bytes, uint64_t seed, const Ledger& ledger, uint64_t moment) {
    const int file = FileInMemory(kDeviceBytes);
    if (file < 0 || pwrite(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      return Status::Io("no memory for an image");
    }
    const Status status = JudgeFile(file, seed, ledger, moment);
    close(file);
    return status;
  }

  Status JudgeFile(int file, uint64_t seed, const Ledger& ledger, uint64_t moment) {
    LoopImage image(file, directory_ + "/image");
    TARN_TRY(image.Mount("ext4"));
    const Bounds bounds = Bounds::AfterPowerCutAt(ledger, moment);
    for (int w = 0; w < kWriters; ++w) owed_ += bounds.least[w];
    {
      TARN_ASSIGN(const auto db, DB::Open(SomeSettings(random_), image.directory() + "/store"));
      TARN_TRY(StoreOracle(seed).Check(*db, ledger, bounds));
      TARN_TRY(db->Close());
    }
    return image.Unmount();
  }

  SeededRandom random_;
  const std::string directory_;
  uint64_t images_ = 0, runs_ = 0, requests_ = 0, survived_ = 0, torn_ = 0, lost_ = 0, owed_ = 0;
};

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv, {"--images", "TARN_CRASH_IMAGES", 16});
  if (!arguments.has_value()) return 2;
  NeedLoopDevices();
  NeedFuse();
  const Status status = Replays(*arguments).Run(arguments->count);
  if (!status.ok()) std::fprintf(stderr, "FAILED: %s\n", status.ToString().c_str());
  fs::remove_all(arguments->directory);
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
