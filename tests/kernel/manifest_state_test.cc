// Manifest records that do not fit together: each is Corruption that names the record and what is wrong with it, and
// what was applied before stays.
#include "kernel/manifest_state.h"

#include <gtest/gtest.h>

#include <functional>

#include "kernel/manifest.h"
#include "tests/support/mem_backend.h"

namespace tarn::kernel {
namespace {

ManifestTable TableOf(uint64_t number, uint32_t family) {
  ManifestTable table;
  table.family = family;
  table.run = number;
  table.meta.number = number;
  table.meta.smallest = "a";
  table.meta.largest = "b";
  return table;
}

// Two families with a table each.
ManifestRecord Base() {
  ManifestRecord record;
  record.number = record.base = 5;
  record.epoch = 1;
  record.writer = "somebody";
  record.store_id = std::string(16, 'i');
  record.next_family = 2;
  record.next_table = record.next_run = 10;
  record.families_added = {{0, "default"}, {1, "other"}};
  record.tables_added = {TableOf(3, 0), TableOf(4, 1)};
  return record;
}

ManifestRecord After(const ManifestState& state) {
  ManifestRecord record = state.last();
  ++record.number;
  return record;
}

TEST(ManifestState, ARecordThatFits) {
  ManifestState state;
  ASSERT_TRUE(state.Apply(Base()).ok());
  ManifestRecord next = After(state);
  next.families_dropped = {1};
  next.tables_removed = {4};
  next.tables_added = {TableOf(7, 0)};
  ASSERT_TRUE(state.Apply(next).ok());
  EXPECT_EQ(state.families().size(), 1u);
  EXPECT_EQ(state.tables().size(), 2u);
}

TEST(ManifestState, EachMisfitIsNamed) {
  struct Case {
    const char* says;
    std::function<void(ManifestRecord*)> spoil;
  };
  const std::vector<Case> cases = {
      {"is not the successor of manifest/0000000000000005", [](auto* r) { r->number = 8; }},
      {"is not the successor", [](auto* r) { r->base = 4; }},
      {"is not the successor", [](auto* r) { r->store_id = std::string(16, 'x'); }},
      {"takes back numbers", [](auto* r) { r->next_table = 9; }},
      {"takes back numbers", [](auto* r) { r->next_run = 9; }},
      {"takes back numbers", [](auto* r) { r->next_family = 1; }},
      {"adds family 2 twice",
       [](auto* r) {
         r->families_added = {{2, "never given out"}};
       }},
      {"adds family 1 twice",
       [](auto* r) {
         r->families_added = {{1, "again"}};
       }},
      {"drops unknown family 7", [](auto* r) { r->families_dropped = {7}; }},
      {"removes unknown table table/0000000000000009", [](auto* r) { r->tables_removed = {9}; }},
      {"drops a family but keeps table/0000000000000004", [](auto* r) { r->families_dropped = {1}; }},
      {"has a table of an unknown family", [](auto* r) { r->tables_added = {TableOf(8, 6)}; }},
      {"never given out", [](auto* r) { r->tables_added = {TableOf(10, 0)}; }},
      {"never given out",
       [](auto* r) {
         r->tables_added = {TableOf(8, 0)};
         r->tables_added[0].run = 10;
       }},
      {"adds table table/0000000000000004 twice", [](auto* r) { r->tables_added = {TableOf(4, 0)}; }},
  };
  for (const Case& one : cases) {
    ManifestState state;
    ASSERT_TRUE(state.Apply(Base()).ok());
    ManifestRecord record = After(state);
    one.spoil(&record);
    const Status status = state.Apply(record);
    EXPECT_EQ(status.code(), Code::kCorruption) << one.says;
    EXPECT_NE(status.message().find(one.says), std::string_view::npos) << status.ToString();
    EXPECT_EQ(status.message().find(ManifestBlobName(record.number)), 0u) << status.ToString();
    EXPECT_NE(status.message().find("tarn repair"), std::string_view::npos) << "no next step: " << status.ToString();
  }
}

// The same in a store: the record was published, and is refused by whoever opens.
TEST(ManifestState, ALoadNamesTheRecordThatDoesNotFit) {
  const auto backend = std::make_shared<test::MemBackend>();
  Manifest manifest(*backend);
  ASSERT_TRUE(manifest.Create(std::string(16, 'i'), "w").ok());
  ASSERT_TRUE(manifest.Publish(manifest.NextStep()).ok());
  const auto publish = [&](const std::function<void(ManifestRecord*)>& spoil) {
    ManifestRecord record = manifest.state().last();
    record.number = 3;
    spoil(&record);
    test::MemBackend& disk = *backend;
    (void)disk.Delete(ManifestBlobName(3));
    ASSERT_TRUE(disk.PutIfAbsent(ManifestBlobName(3), EncodeManifestRecord(record)).ok());
    Manifest again(disk);
    const Status status = again.Load();
    EXPECT_EQ(status.code(), Code::kCorruption) << status.ToString();
    const bool named = status.message().find(ManifestBlobName(3)) != std::string_view::npos;
    EXPECT_TRUE(named || record.base == 2) << status.ToString();
  };
  publish([](ManifestRecord* r) { r->families_dropped = {9}; });
  publish([](ManifestRecord* r) { r->base = 2; });  // which is no full record
  publish([](ManifestRecord* r) {
    r->next_table = r->next_run = 9;
    r->tables_added = {TableOf(8, 6)};
  });
}

}  // namespace
}  // namespace tarn::kernel
