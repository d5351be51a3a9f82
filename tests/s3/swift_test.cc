// Swift has no put-if-absent: the backend must not write to it, and may read. Run by swift_server.py.
#include <gmock/gmock.h>

#include "tests/s3/server_store.h"

namespace tarn::test {
namespace {

class SwiftTest : public S3ServerTest {};

TEST_F(SwiftTest, IsRefusedForWriting) {
  const auto backend = OpenOnServer(server, ServerOptions(server, "store"));
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.status().code(), Code::kUnsupported) << backend.status().ToString();
  EXPECT_THAT(std::string(backend.status().message()), testing::Not(testing::HasSubstr("\n")));
}

TEST_F(SwiftTest, CanBeRead) {
  s3::S3Options options = ServerOptions(server, "store");
  options.read_only = true;
  const auto backend = OpenOnServer(server, options);
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  const Result<ListPage> page = (*backend)->List("", "", 1000);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_TRUE(page->blobs.empty());
}

}  // namespace
}  // namespace tarn::test
