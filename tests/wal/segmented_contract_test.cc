// The segmented log under the contract of all logs, with segments that are files and with segments that are objects.
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

std::unique_ptr<WalWorld> World(const test::MemOptions& options) {
  return std::make_unique<MemWorld>(std::make_shared<test::MemBackend>(options));
}

INSTANTIATE_TEST_SUITE_P(Segmented, WalContract,
                         testing::Values(WalContractParam{"files", [] { return NewSegmentedWal(); },
                                                          [] { return World({}); }},
                                         WalContractParam{"objects", [] { return NewSegmentedWal(); },
                                                          [] { return World({.append = false, .locks = false}); }}));

}  // namespace
}  // namespace tarn::contract
