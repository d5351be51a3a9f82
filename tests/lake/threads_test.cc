// Several threads at once: nothing is torn, nothing is lost, and the invariants hold throughout.

#include <atomic>
#include <thread>

#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

class ThreadsTest : public LakeFixture {
 protected:
  void SetUp() override {
    options_.dirty_bytes = 2 << 20;
    Init();
  }
  void Run(int threads, const std::function<void(int)>& body) {
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) running.emplace_back(body, i);
    for (std::thread& thread : running) thread.join();
  }
};

TEST_F(ThreadsTest, WritersShareBlocksAndCheckRunsBeside) {
  std::atomic<bool> stop{false};
  std::thread checker([&] {
    while (!stop) ExpectClean();
  });
  Run(4, [&](int t) {
    const Ino dir = Dir(kRootIno, "d" + std::to_string(t));
    for (int round = 0; round < 20; ++round) {
      // The same blocks in all threads: each is written, shared and dropped by all of them.
      const std::string data = Pattern(200000 + 1000 * (round % 3), round % 4);
      const Ino f = File(dir, "f", data);
      EXPECT_TRUE(Content(f) == data);
      EXPECT_OK(lake_->Flush(f));
      EXPECT_TRUE(Content(f) == data);
      const uint64_t size = round % 2 == 0 ? 70000 : 10;
      EXPECT_OK(lake_->SetAttr(f, {.size = size}).status());
      EXPECT_OK(lake_->Unlink(dir, "f"));
    }
  });
  stop = true;
  checker.join();
  ExpectClean();
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
}

TEST_F(ThreadsTest, OneFileManyWriters) {
  const Ino f = File(kRootIno, "f");
  constexpr size_t kPiece = 5000;
  Run(4, [&](int t) {
    for (size_t i = t; i < 400; i += 4) {
      EXPECT_OK(lake_->Write(f, i * kPiece, std::string(kPiece, static_cast<char>('a' + i % 26))));
      if (i % 50 == 0) {
        EXPECT_OK(lake_->Flush(f));
      }
      std::string back(kPiece, '?');
      const auto got = lake_->Head().Read(f, i * kPiece, back);
      EXPECT_TRUE(got.ok() && *got == kPiece && back == std::string(kPiece, static_cast<char>('a' + i % 26)));
    }
  });
  const std::string all = Content(f);
  ASSERT_EQ(all.size(), 400 * kPiece);
  for (size_t i = 0; i < 400; ++i) EXPECT_EQ(all[i * kPiece + 17], static_cast<char>('a' + i % 26));
  ExpectClean();
}

TEST_F(ThreadsTest, RenamesMeet) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(kRootIno, "b");
  File(a, "x");
  File(b, "x");
  Run(4, [&](int t) {
    for (int i = 0; i < 200; ++i) {
      const Status status = t % 2 == 0 ? lake_->Rename(a, "x", b, "x", RenameMode::kExchange)
                                       : lake_->Rename(kRootIno, "a", b, "a", RenameMode::kReplace);
      EXPECT_TRUE(status.ok() || status.os_error() == ENOENT) << status.ToString();
      if (t == 1) (void)lake_->Rename(b, "a", kRootIno, "a", RenameMode::kNoReplace).ok();
    }
  });
  ExpectClean();
}

TEST_F(ThreadsTest, OpenUnlinkRelease) {
  Run(4, [&](int t) {
    for (int i = 0; i < 100; ++i) {
      const std::string name = "n" + std::to_string(i % 5);
      const auto made = lake_->Create(kRootIno, name, 0644, 0, {});
      const auto found = made.ok() ? made : lake_->Head().Lookup(kRootIno, name);
      if (!found.ok()) continue;
      if (!lake_->Open(found->ino).ok()) continue;
      EXPECT_OK(lake_->Write(found->ino, 0, Pattern(70000, t)));
      const Status gone = lake_->Unlink(kRootIno, name);
      EXPECT_TRUE(gone.ok() || gone.os_error() == ENOENT);
      std::string back(10, '?');
      EXPECT_TRUE(lake_->Head().Read(found->ino, 0, back).ok());
      lake_->Release(found->ino);
    }
  });
  ExpectClean();
}

}  // namespace
}  // namespace tarn::lake
