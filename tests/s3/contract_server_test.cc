// The contract suite over the S3 backend on the real server. A large blob is a multipart upload (parts of 5 MiB).
#include "tests/contract/backend_contract.h"
#include "tests/s3/server_store.h"

namespace tarn::test {
namespace {

class ServerStore final : public ContractStore {
 public:
  explicit ServerStore(ServerEnv server) : server_(std::move(server)) {
    static int stores = 0;
    prefix_ = "contract/" + s3::Hex(Random()) + "/" + std::to_string(++stores);
  }
  ~ServerStore() override {
    const auto backend = Open();
    EXPECT_TRUE(backend != nullptr && EmptyStore(*backend).ok());
  }
  std::shared_ptr<Backend> Open() override {
    s3::S3Options options = ServerOptions(server_, prefix_);
    options.part_bytes = 5 << 20;
    auto backend = OpenOnServer(server_, options);
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    return backend.ok() ? *backend : nullptr;
  }

 private:
  static std::string Random() {
    std::string bytes(8, '\0');
    SystemEntropy()->Fill(bytes);
    return bytes;
  }
  const ServerEnv server_;
  std::string prefix_;
};

std::vector<ContractParam> Servers() {
  return {{"Server", [] {
             const auto server = ReadServerEnv();
             EXPECT_TRUE(server.ok()) << server.status().ToString();
             return std::make_unique<ServerStore>(server.ok() ? *server : ServerEnv());
           }}};
}

INSTANTIATE_TEST_SUITE_P(S3, BackendContract, testing::ValuesIn(Servers()), ContractParamName);

}  // namespace
}  // namespace tarn::test
