// What the lake's tests share: a lake on a backend in memory, and short ways to say things.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lake/lake.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::lake {

#define ASSERT_OK(expr)                                            \
  do {                                                             \
    const ::tarn::Status assert_status_ = (expr);                  \
    ASSERT_TRUE(assert_status_.ok()) << assert_status_.ToString(); \
  } while (0)
#define EXPECT_OK(expr)                                            \
  do {                                                             \
    const ::tarn::Status expect_status_ = (expr);                  \
    EXPECT_TRUE(expect_status_.ok()) << expect_status_.ToString(); \
  } while (0)
#define EXPECT_ERRNO(number, expr)                                           \
  do {                                                                       \
    const ::tarn::Status errno_status_ = (expr);                             \
    EXPECT_EQ(number, errno_status_.os_error()) << errno_status_.ToString(); \
    EXPECT_FALSE(errno_status_.message().empty());                           \
  } while (0)

// A clock that stands where the test puts it.
class ManualClock final : public Clock {
 public:
  uint64_t MonotonicNanos() override { return nanos; }
  uint64_t WallNanos() override { return nanos; }
  void SleepNanos(uint64_t) override {}
  uint64_t nanos = 1000;
};

inline std::string Pattern(size_t size, uint64_t seed) {
  test::SeededRandom random(seed);
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t word = random.Next();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  bytes.resize(size);
  return bytes;
}

inline uint64_t CountRows(Lake& lake, const char* family) {
  const auto found = lake.db().FindFamily(family);
  EXPECT_TRUE(found.ok());
  uint64_t rows = 0;
  const auto walk = lake.db().NewIterator(*found);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) ++rows;
  EXPECT_OK(walk->status());
  return rows;
}

class LakeFixture : public ::testing::Test {
 protected:
  LakeFixture() : backend_(std::make_shared<test::MemBackend>()), clock_(std::make_shared<ManualClock>()) {
    options_.settings.memory_bytes = 32 << 20;
  }
  ~LakeFixture() override {
    if (lake_ != nullptr) EXPECT_OK(lake_->Close());
  }

  Components Parts() {
    Components components;
    components.backend = backend_;
    components.clock = clock_;
    return components;
  }
  void Init() {
    auto lake = Lake::Init(Parts(), options_);
    ASSERT_TRUE(lake.ok()) << lake.status().ToString();
    lake_ = std::move(*lake);
  }
  void Open() {
    auto lake = Lake::Open(Parts(), options_);
    ASSERT_TRUE(lake.ok()) << lake.status().ToString();
    lake_ = std::move(*lake);
  }
  void Reopen() {
    EXPECT_OK(lake_->Close());
    lake_.reset();
    Open();
  }
  // As if the process had been killed here.
  void Crash() {
    auto survivor = backend_->CrashClone(1, test::CrashMode::kProcessKill);
    lake_.reset();
    backend_ = survivor;
    Open();
  }

  Ino Dir(Ino parent, std::string_view name) {
    const auto made = lake_->MakeDir(parent, name, 0755, {});
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return made.ok() ? made->ino : 0;
  }
  Ino File(Ino parent, std::string_view name, std::string_view content = {}) {
    const auto made = lake_->Create(parent, name, 0644, 0, {});
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    if (!made.ok()) return 0;
    if (!content.empty()) EXPECT_OK(lake_->Write(made->ino, 0, content));
    return made->ino;
  }
  Attr Stat(Ino ino) {
    const auto attr = lake_->Head().GetAttr(ino);
    EXPECT_TRUE(attr.ok()) << attr.status().ToString();
    return attr.ok() ? *attr : Attr();
  }
  static std::string Content(View& view, Ino ino) {
    const auto attr = view.GetAttr(ino);
    EXPECT_TRUE(attr.ok()) << attr.status().ToString();
    std::string bytes(attr.ok() ? attr->size : 0, '?');
    const auto got = view.Read(ino, 0, bytes);
    EXPECT_TRUE(got.ok()) << got.status().ToString();
    EXPECT_EQ(got.ok() ? *got : 0, bytes.size());
    return bytes;
  }
  std::string Content(Ino ino) { return Content(lake_->Head(), ino); }
  std::vector<std::string> Names(Ino dir) {
    std::vector<std::string> names;
    const auto entries = lake_->Head().ReadDir(dir, {}, 1000);
    EXPECT_TRUE(entries.ok()) << entries.status().ToString();
    if (entries.ok()) {
      for (const DirEntry& entry : *entries) names.push_back(entry.name);
    }
    return names;
  }
  void ExpectClean() {
    const auto report = lake_->Check(true, {});
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->problems, std::vector<std::string>());
  }

  std::shared_ptr<test::MemBackend> backend_;
  std::shared_ptr<ManualClock> clock_;
  LakeOptions options_;
  std::unique_ptr<Lake> lake_;
};

}  // namespace tarn::lake
