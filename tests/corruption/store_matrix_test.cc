// The corruption matrix of a store: each kind of file x each class of damage. What must come out stands in judge.h.
//
// By default each byte is changed once; TARN_CORRUPTION=full changes each to three values, and tries each length and
// more places. The table of counts is printed. "tail lost" is the one accepted loss: commits at the end of the log
// of a writer that was killed, which neither a later record nor the manifest vouches for (docs/formats/wal.md).
#include <gtest/gtest.h>

#include "tests/corruption/store_subject.h"
#include "wal/record.h"

namespace tarn::test {
namespace {

std::string Newest(const Image& image, std::string_view kind) {
  std::string newest;
  for (const auto& [name, bytes] : image) {
    if (KindOf(name) == kind) newest = name;
  }
  return newest;
}

// Why nobody need notice the damage; "" when somebody must.
std::string WhyHarmless(const SoundStore& sound, const Damage& damage) {
  if (damage.what == "a stranger's file") {
    if (damage.blob.starts_with("wal/")) return "named like a segment, holds no record: as after a crash";
    return "not ours: neither read nor deleted";
  }
  if (damage.what == "extend by zeros" && KindOf(damage.blob) == "wal") return "space taken ahead, as after a crash";
  const std::string segment = Newest(sound.image, "wal");
  if (damage.blob == segment) {
    const std::vector<size_t> starts = RecordStarts(segment, sound.image.at(segment));
    const bool closed = starts.size() == sound.moments.size() + 1;
    const size_t data_end = closed ? starts[starts.size() - 2] : starts.back();
    if (damage.from >= data_end) return "behind the last commit of the log: it only vouched, or was never written";
  }
  if (damage.blob == Newest(sound.image, "manifest") && damage.what == "delete the file" &&
      sound.newest_only_vouches) {
    return "the record that Close published: it only vouched for the log";
  }
  return "";
}

// How many commits of the last segment must survive the damage, or an error must tell.
size_t LeastCommits(const SoundStore& sound, const Damage& damage) {
  const size_t all = sound.moments.size() - 1;
  const std::string segment = Newest(sound.image, "wal");
  if (damage.blob != segment) return all;
  const std::string& bytes = sound.image.at(segment);
  const std::vector<size_t> starts = RecordStarts(segment, bytes);
  size_t untouched = 0;
  while (untouched + 1 < starts.size() && starts[untouched + 1] <= damage.from) ++untouched;
  const bool one_byte = damage.what == "flip a bit" || damage.what.starts_with("set to");
  if (one_byte) {  // the records behind it speak up
    const size_t hit = damage.from < starts[0] ? 0 : starts[untouched];
    const uint64_t identity = wal::SegmentIdentity(bytes.substr(16, 16), *wal::SegmentNumber(segment));
    for (const size_t start : starts) {
      if (start <= damage.from || start == bytes.size()) continue;
      const auto header = wal::DecodeRecordHeader(std::string_view(bytes).substr(start), identity, start);
      if (header->durable_offset > hit) return all;
    }
  }
  return std::min(all, std::max<size_t>(untouched, sound.durable_moments));
}

class Matrix {
 public:
  explicit Matrix(const SoundStore& sound)
      : sound_(sound),
        subject_(sound),
        judge(
            subject_, subject_.Truths(), [this](const Damage& damage) { return LeastCommits(sound_, damage); },
            [this](const Damage& damage) { return WhyHarmless(sound_, damage); }) {}

  void ExpectSound() {
    Answers answers;
    const Status read = subject_.Read(DiskOf(sound_.image), &answers);
    ASSERT_TRUE(read.ok()) << read.ToString();
    const Answers truth = subject_.Truths().back();
    ASSERT_EQ(answers.size(), truth.size());
    for (size_t i = 0; i < truth.size(); ++i) {
      ASSERT_TRUE(answers[i].status.ok()) << answers[i].question << ": " << answers[i].status.ToString();
      ASSERT_EQ(answers[i].text, truth[i].text) << answers[i].question;
    }
  }

 private:
  const SoundStore& sound_;
  StoreSubject subject_;

 public:
  Judge judge;
};

void TryAll(const SoundStore& sound, const SoundStore& other, Judge* judge) {
  const Try each = [&](const Damage& damage) { judge->Try(damage); };
  Density density;
  density.all_values = FullMatrix();
  for (const auto& [name, bytes] : sound.image) DamageBytes(sound.image, name, density, each);
  DamageFiles(sound.image, other.image, each);
  DamageLogRecords(sound.image, each);
  AddStrangers(sound.image, each);
}

TEST(StoreMatrix, TheSoundStoreHasAllKindsOfBytes) {
  for (const Left left : {Left::kClosed, Left::kKilled}) {
    const SoundStore sound = BuildStore(left);
    Matrix matrix(sound);
    ASSERT_NO_FATAL_FAILURE(matrix.ExpectSound());
    std::map<std::string, size_t> files;
    for (const auto& [name, bytes] : sound.image) {
      ++files[KindOf(name)];
      std::printf("%-30s %6zu bytes\n", name.c_str(), bytes.size());
    }
    EXPECT_GE(files["table"], 6u);
    EXPECT_GE(files["manifest"], 6u);
    EXPECT_EQ(files["wal"], 2u);
  }
}

TEST(StoreMatrix, AfterClose) {
  const SoundStore sound = BuildStore(Left::kClosed), other = BuildStore(Left::kClosed, 2);
  Matrix matrix(sound);
  TryAll(sound, other, &matrix.judge);
  matrix.judge.Report("A store that was closed");
}

TEST(StoreMatrix, AfterAKill) {
  const SoundStore sound = BuildStore(Left::kKilled), other = BuildStore(Left::kKilled, 2);
  Matrix matrix(sound);
  TryAll(sound, other, &matrix.judge);
  matrix.judge.Report("A store whose writer was killed");
}

}  // namespace
}  // namespace tarn::test
