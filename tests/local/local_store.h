// The local backend as a store of the contract suite. For tests/local.
#pragma once

#include <memory>

#include "backends/local/local.h"
#include "tests/contract/backend_contract_fixture.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {

class LocalStore final : public ContractStore {
 public:
  LocalStore(bool allow_io_uring, std::string engine) : allow_io_uring_(allow_io_uring), engine_(std::move(engine)) {}
  std::shared_ptr<Backend> Open() override {
    auto backend = local::OpenLocal(directory_.path(), {.allow_io_uring = allow_io_uring_});
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    if (!backend.ok()) return nullptr;
    EXPECT_EQ((*backend)->info().read_engine, engine_) << "this run tests another rung than its name says";
    return *backend;
  }

 private:
  const bool allow_io_uring_;
  const std::string engine_;
  const TempDirectory directory_;
};

}  // namespace tarn::test
