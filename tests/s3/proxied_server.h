// The test server with a proxy before it that records and spoils what passes. For tests/s3.
#pragma once

#include <memory>

#include "tests/s3/server_store.h"
#include "tests/support/fault_proxy.h"

namespace tarn::test {

class ProxiedServerTest : public S3ServerTest {
 protected:
  void SetUp() override {
    S3ServerTest::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    auto proxy = FaultProxy::Start({.upstream = server.endpoint});
    ASSERT_TRUE(proxy.ok()) << proxy.status().ToString();
    proxy_ = std::move(*proxy);
  }

  std::unique_ptr<FaultProxy> proxy_;
};

}  // namespace tarn::test
