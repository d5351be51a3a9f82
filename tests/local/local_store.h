// The local backend as a store of the contract suite. For tests/local.
#pragma once

#include <memory>

#include "backends/local/local.h"
#include "tests/contract/backend_contract_fixture.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {

class LocalStore final : public ContractStore {
 public:
  LocalStore(local::LocalOptions options, std::string engine) : options_(options), engine_(std::move(engine)) {}
  std::shared_ptr<Backend> Open() override {
    auto backend = local::OpenLocal(directory_.path(), options_);
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    if (!backend.ok()) return nullptr;
    EXPECT_EQ((*backend)->info().read_engine, engine_) << "this run tests another rung than its name says";
    return *backend;
  }

 private:
  const local::LocalOptions options_;
  const std::string engine_;
  const TempDirectory directory_;
};

}  // namespace tarn::test
