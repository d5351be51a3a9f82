// The segmented log under the contract of all logs.
#include "tests/contract/wal_contract.h"
#include "tests/support/mem_backend.h"
#include "wal/builtin.h"

namespace tarn::contract {
namespace {

class MemWorld final : public WalWorld {
 public:
  explicit MemWorld(std::shared_ptr<test::MemBackend> disk) : disk_(std::move(disk)) {}
  Backend& backend() override { return *disk_; }
  std::unique_ptr<WalWorld> AfterKill() const override {
    return std::make_unique<MemWorld>(disk_->CrashClone(0, test::CrashMode::kProcessKill));
  }
  std::unique_ptr<WalWorld> AfterPowerCut(uint64_t seed) const override {
    const auto mode = seed % 3 == 0 ? test::CrashMode::kDropUnsynced : test::CrashMode::kTornSubset;
    return std::make_unique<MemWorld>(disk_->CrashClone(seed, mode));
  }

 private:
  std::shared_ptr<test::MemBackend> disk_;
};

INSTANTIATE_TEST_SUITE_P(Segmented, WalContract,
                         testing::Values(WalContractParam{
                             "segmented", [] { return NewSegmentedWal(); },
                             [] { return std::make_unique<MemWorld>(std::make_shared<test::MemBackend>()); }}));

}  // namespace
}  // namespace tarn::contract
