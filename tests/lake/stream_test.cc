// A file much larger than every budget goes in and out within bounded memory. On a real directory, because a
// backend in memory would hold the file itself.

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "backends/local/local.h"
#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * 4096;
}

// Block number n of the stream: cheap to make, different for each n, not compressible to nothing.
void FillBlock(uint64_t n, const std::string& noise, std::string* block) {
  block->assign(noise, (n * 7919) % (noise.size() - kBlockBytes), kBlockBytes);
  std::memcpy(block->data(), &n, sizeof n);
}

class StreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tarn-stream-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    place_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(place_); }
  std::filesystem::path place_;
};

TEST_F(StreamTest, FourGigabytesWithinTheBudgets) {
  constexpr uint64_t kBlocks = (4ull << 30) / kBlockBytes;
  auto backend = local::OpenLocal((place_ / "lake").string());
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  Components components;
  components.backend = std::move(*backend);
  LakeOptions options;
  options.settings.memory_bytes = 64 << 20;
  options.settings.compression = options.settings.last_level_compression = Compression::kNone;
  options.dirty_bytes = 16 << 20;
  auto lake = Lake::Init(components, options);
  ASSERT_TRUE(lake.ok()) << lake.status().ToString();
  const Ino file = (*lake)->Create(kRootIno, "big", 0644, 0, {})->ino;

  const std::string noise = Pattern(4 << 20, 1);
  std::string block;
  const uint64_t before = ResidentBytes();
  uint64_t most = before;
  for (uint64_t n = 0; n < kBlocks; ++n) {
    FillBlock(n, noise, &block);
    ASSERT_OK((*lake)->Write(file, n * kBlockBytes, block));
    if (n % 256 == 0) most = std::max(most, ResidentBytes());
  }
  ASSERT_OK((*lake)->Sync(file));
  std::string back(kBlockBytes, '?');
  for (uint64_t n = 0; n < kBlocks; ++n) {
    const auto got = (*lake)->Head().Read(file, n * kBlockBytes, back);
    ASSERT_TRUE(got.ok()) << got.status().ToString();
    FillBlock(n, noise, &block);
    ASSERT_EQ(*got, kBlockBytes);
    ASSERT_TRUE(back == block) << "block " << n;
    if (n % 256 == 0) most = std::max(most, ResidentBytes());
  }
  RecordProperty("grown_mib", static_cast<int>((most - before) >> 20));
  // Both budgets, as much again for what the allocator keeps for its threads, and the batches and merges in flight.
  const uint64_t bound = 2 * (options.settings.memory_bytes + options.dirty_bytes) + (96 << 20);
  EXPECT_LT(most - before, bound) << "grew by " << most - before;
  ASSERT_OK((*lake)->Unlink(kRootIno, "big"));
  const auto report = (*lake)->Check(false, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->problems, std::vector<std::string>());
  EXPECT_EQ(report->blocks, 0u);
  EXPECT_OK((*lake)->Close());
}

}  // namespace
}  // namespace tarn::lake
