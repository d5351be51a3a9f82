// Where a table belongs: a pure function of its level, its family and its age.
#include "kernel/placement.h"

#include <gtest/gtest.h>

namespace tarn::kernel {
namespace {

TEST(PlaceOf, LevelsBelowTheNumberAreNear) {
  Settings settings;
  settings.near_levels = 2;
  EXPECT_EQ(PlaceOf(settings, "default", 0, 5, 5), Place::kNear);
  EXPECT_EQ(PlaceOf(settings, "default", 1, 5, 5), Place::kNear);
  EXPECT_EQ(PlaceOf(settings, "default", 2, 5, 5), Place::kFar);
  settings.near_levels = 0;
  EXPECT_EQ(PlaceOf(settings, "default", 0, 5, 5), Place::kFar);
}

TEST(PlaceOf, AFamilyMayHaveItsOwnNumber) {
  Settings settings;
  settings.near_levels = 2;
  settings.family_near_levels = {{"names", 64}, {"bulk", 0}};
  EXPECT_EQ(PlaceOf(settings, "names", 63, 5, 5), Place::kNear);
  EXPECT_EQ(PlaceOf(settings, "bulk", 0, 5, 5), Place::kFar);
  EXPECT_EQ(PlaceOf(settings, "others", 1, 5, 5), Place::kNear);
}

TEST(PlaceOf, ATableGrowsOldByTheChangesAfterIt) {
  Settings settings;
  settings.near_changes = 100;
  EXPECT_EQ(PlaceOf(settings, "default", 0, 50, 150), Place::kNear);
  EXPECT_EQ(PlaceOf(settings, "default", 0, 50, 151), Place::kFar);
  EXPECT_EQ(PlaceOf(settings, "default", 0, 150, 50), Place::kNear) << "newer than what is visible yet";
  settings.near_changes = 0;
  EXPECT_EQ(PlaceOf(settings, "default", 0, 50, UINT64_MAX), Place::kNear);
}

struct Log final : Placement {
  void Prefer(std::string_view name, Place place) override {
    said.emplace_back(name);
    said.back() += place == Place::kNear ? " near" : " far";
  }
  std::vector<std::string> said;
};

Version OneRun(uint32_t level, const std::vector<uint64_t>& tables) {
  auto run = std::make_shared<Run>();
  run->level = level;
  for (const uint64_t number : tables) {
    run->tables.push_back(std::make_shared<TableHandle>(
        *static_cast<Backend*>(nullptr), "", TableMeta{.number = number, .max_sequence = number}, nullptr));
  }
  auto family = std::make_shared<FamilyVersion>();
  family->name = "default";
  family->runs = {run};
  Version version;
  version.families[0] = family;
  return version;
}

TEST(Placer, SaysEachThingOnce) {
  Settings settings;
  settings.near_changes = 5;
  Log log;
  Placer placer(settings, &log);
  placer.BeforeCreate(3, "default", 0, 3, 3);
  EXPECT_EQ(log.said, std::vector<std::string>{TableBlobName(3) + " near"});
  const Version version = OneRun(0, {1, 2, 3});
  log.said.clear();
  for (const auto& advice : placer.Review(version, 7)) placer.Say(advice);
  EXPECT_EQ(log.said, (std::vector<std::string>{TableBlobName(1) + " far", TableBlobName(2) + " near"}))
      << "3 is known";
  EXPECT_TRUE(placer.Review(version, 7).empty());
  const auto later = placer.Review(version, 8);
  ASSERT_EQ(later.size(), 1u) << "2 has grown old";
  EXPECT_EQ(later[0].table, 2u);
  EXPECT_EQ(later[0].place, Place::kFar);
  EXPECT_TRUE(Placer(settings, nullptr).Review(version, 8).empty()) << "nobody listens";
}

}  // namespace
}  // namespace tarn::kernel
