// A fresh directory that goes away with its contents. For tests of the local backend.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tarn::test {

class TempDirectory {
 public:
  explicit TempDirectory(const std::string& parent = testing::TempDir()) : path_(parent + "/tarn-local-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
    path_ = std::filesystem::canonical(path_);
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tarn::test
