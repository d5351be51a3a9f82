// A store on real files: what only a directory can suffer. Lost directories, files that are no blobs, a directory in
// the place of a file; and a sample of the matrix, so that what holds for blobs in memory is seen to hold for files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backends/local/local.h"
#include "tests/corruption/store_subject.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

class DirectoryTest : public testing::Test {
 protected:
  DirectoryTest() : sound_(BuildStore(Left::kClosed)), subject_(sound_), truth_(subject_.Truths().back()) { Fill(); }

  void Fill() {
    fs::remove_all(root_);
    fs::create_directory(root_);
    for (const auto& [name, bytes] : sound_.image) Write(name, bytes);
  }
  void Write(const std::string& name, const std::string& bytes) {
    const fs::path path = root_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::shared_ptr<Backend> Open(bool read_only) {
    auto backend = local::OpenLocal(root_, {.create = false, .read_only = read_only});
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    return backend.ok() ? *backend : nullptr;
  }
  void ExpectWhole() {
    Answers before, after, again;
    const Status opened = subject_.Rewrite(Open(false), &before, &after);
    ASSERT_TRUE(opened.ok()) << opened.ToString();
    ASSERT_TRUE(subject_.Read(Open(true), &again).ok());
    for (const Answers* answers : {&before, &after, &again}) {
      ASSERT_EQ(answers->size(), truth_.size());
      for (size_t i = 0; i < truth_.size(); ++i) {
        ASSERT_TRUE((*answers)[i].status.ok()) << (*answers)[i].question << (*answers)[i].status.ToString();
        ASSERT_EQ((*answers)[i].text, truth_[i].text) << (*answers)[i].question;
      }
    }
  }
  // Neither way of opening succeeds, and nothing is changed.
  void ExpectRefused(const std::string& file) {
    const Image was = ImageOf(*Open(true));
    Answers ignored, also_ignored;
    for (const Status& status :
         {subject_.Read(Open(true), &ignored), subject_.Rewrite(Open(false), &ignored, &also_ignored)}) {
      EXPECT_EQ(Amiss(status), "") << file;
      EXPECT_NE(status.message().find(file), std::string_view::npos) << status.ToString();
    }
    EXPECT_EQ(ImageOf(*Open(true)), was);
  }

  TempDirectory directory_;
  const fs::path root_ = fs::path(directory_.path()) / "store";
  const SoundStore sound_;
  StoreSubject subject_;
  const Answers truth_;
};

TEST_F(DirectoryTest, TheLockFileHoldsNothing) {
  ASSERT_NO_FATAL_FAILURE(ExpectWhole());
  for (const std::string& content : {std::string("not a pid\n\n"), std::string(), std::string(100000, '\xff')}) {
    Fill();
    Write("LOCK", content);
    ASSERT_NO_FATAL_FAILURE(ExpectWhole());
  }
  fs::remove(root_ / "LOCK");
  ASSERT_NO_FATAL_FAILURE(ExpectWhole());
}

TEST_F(DirectoryTest, FilesThatAreNoBlobsAreNotLookedAt) {
  Write("table/.TMP-1-1", "half a table of a dead writer");
  Write("README.md", "kept by people");
  Write("table/0000000000000003~", "an editor's copy");
  Write("lost+found/#17", "kept by fsck");
  ASSERT_NO_FATAL_FAILURE(ExpectWhole());
  EXPECT_FALSE(fs::exists(root_ / "table/.TMP-1-1")) << "the writer clears away what writers leave";
  EXPECT_TRUE(fs::exists(root_ / "README.md"));
  EXPECT_TRUE(fs::exists(root_ / "table/0000000000000003~"));
  EXPECT_TRUE(fs::exists(root_ / "lost+found/#17"));
}

TEST_F(DirectoryTest, LostDirectories) {
  for (const char* name : {"table", "manifest", "wal"}) {
    Fill();
    fs::remove_all(root_ / name);
    ExpectRefused(std::string_view(name) == "manifest" ? "table/" : std::string(name) + "/");
    Fill();
    fs::remove_all(root_ / name);
    Write(name, "a file in the place of the directory");
    ExpectRefused(std::string_view(name) == "manifest" ? "table/" : std::string(name) + "/");
  }
}

TEST_F(DirectoryTest, ADirectoryInThePlaceOfAFile) {
  const std::string newest = "manifest/000000000000000d";  // Close published it: it only vouches
  ASSERT_TRUE(sound_.image.contains(newest));
  for (const auto& [name, bytes] : sound_.image) {
    if (name == newest) continue;
    Fill();
    fs::remove(root_ / name);
    fs::create_directories(root_ / name / "x");
    Answers ignored, also_ignored;
    EXPECT_FALSE(subject_.Read(Open(true), &ignored).ok()) << name;
    EXPECT_FALSE(subject_.Rewrite(Open(false), &ignored, &also_ignored).ok()) << name;
  }
}

// As the matrix, on files: every 97th byte.
TEST_F(DirectoryTest, FlippedBytes) {
  size_t tried = 0;
  for (const auto& [name, bytes] : sound_.image) {
    const size_t end = bytes.size() - (name == sound_.image.rbegin()->first ? 29 : 0);  // the log's close mark
    for (size_t at = tried % 97; at < end; at += FullMatrix() ? 1 : 97) {
      std::string bad = bytes;
      bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
      Write(name, bad);
      Answers answers;
      const Status opened = subject_.Read(Open(true), &answers);
      bool noticed = !opened.ok();
      EXPECT_TRUE(opened.ok() || Amiss(opened).empty()) << Amiss(opened);
      for (size_t i = 0; i < answers.size(); ++i) {
        noticed |= !answers[i].status.ok();
        EXPECT_TRUE(!answers[i].status.ok() || answers[i].text == truth_[i].text) << answers[i].question;
      }
      EXPECT_TRUE(noticed) << name << " byte " << at;
      ++tried;
    }
    Write(name, bytes);
  }
  EXPECT_GT(tried, 40u);
}

}  // namespace
}  // namespace tarn::test
