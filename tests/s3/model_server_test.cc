// The model run on the real server: one list of operations (tests/metamorphic) is answered by a store in the bucket,
// alone, behind a cache and with its log on a disk, exactly as by one in memory. TARN_S3_MODEL_SEEDS=n for more
// lists.
#include "backends/cached/cached.h"
#include "backends/local/local.h"
#include "backends/tiered/tiered.h"
#include "base/assert.h"
#include "tests/local/temp_directory.h"
#include "tests/metamorphic/performance.h"
#include "tests/s3/server_store.h"
#include "tests/support/from_environment.h"

namespace tarn::test {
namespace {

enum class Layer : uint8_t { kNone, kCache, kNearLog };

class BucketHome final : public Home {
 public:
  BucketHome(const ServerEnv& server, std::string prefix, Layer layer)
      : server_(server), options_(ServerOptions(server, std::move(prefix))), layer_(layer) {}
  ~BucketHome() override {
    const auto bucket = OpenOnServer(server_, options_);
    CHECK(bucket.ok() && EmptyStore(**bucket).ok());
  }

  std::shared_ptr<Backend> Open(bool reading) override {
    s3::S3Options options = options_;
    options.read_only = reading;
    std::shared_ptr<Backend> bucket = Must(OpenOnServer(server_, options));
    if (layer_ == Layer::kNone) return bucket;
    const bool read_only = reading && layer_ == Layer::kNearLog;
    auto disk = local::OpenLocal(directory_.path(), {.read_only = read_only});
    if (layer_ == Layer::kCache) {
      return Must(
          cached::OpenCached(std::move(bucket), std::move(disk), {.limit_bytes = 16 << 20, .reserve_bytes = 0}));
    }
    return Must(tiered::OpenTiered(std::move(bucket), Must(std::move(disk)), {.read_only = reading}));
  }

 private:
  template <typename T>
  static T Must(Result<T> result) {
    CHECK(result.ok());
    return std::move(*result);
  }

  const ServerEnv server_;
  const s3::S3Options options_;
  const Layer layer_;
  const TempDirectory directory_;
};

class S3ModelTest : public S3ServerTest, public testing::WithParamInterface<Layer> {};

TEST_P(S3ModelTest, AnswersAreThoseOfAStoreInMemory) {
  constexpr uint64_t kOperations = 400;
  const uint64_t seeds = FromEnvironment("TARN_S3_MODEL_SEEDS", 2);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const Recipe memory = MakeRecipe(Combination(Axes().size(), 0));
    Recipe remote = memory;
    remote.real_threads = true;
    remote.home = [&] {
      return std::make_unique<BucketHome>(server, OwnPrefix() + std::to_string(seed), GetParam());
    };
    const std::vector<std::string> expected = Performance(memory, seed).Play(kOperations);
    const std::vector<std::string> answers = Performance(remote, seed).Play(kOperations);
    ASSERT_EQ(answers.size(), expected.size()) << "seed " << seed;
    for (size_t n = 0; n < answers.size(); ++n) {
      ASSERT_EQ(answers[n], expected[n]) << "seed " << seed << ": answer " << n + 1;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, S3ModelTest, testing::Values(Layer::kNone, Layer::kCache, Layer::kNearLog));

}  // namespace
}  // namespace tarn::test
