// docs/statistics.md names exactly the statistics that a store reports.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "tarn/db.h"
#include "tests/s3/mem_store.h"
#include "tests/support/mem_backend.h"

namespace tarn {
namespace {

std::set<std::string> NamesInTheDocument() {
  std::set<std::string> names;
  std::ifstream page(TARN_STATISTICS_PAGE);
  EXPECT_TRUE(page.is_open()) << TARN_STATISTICS_PAGE;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `")) names.insert(line.substr(3, line.find('`', 3) - 3));
  }
  return names;
}

// On a disk, and in a bucket: what the S3 backend counts is in it.
TEST(StatisticsDoc, NamesWhatAStoreReports) {
  const test::MemWorld world;
  const std::shared_ptr<Backend> disk = std::make_shared<test::MemBackend>();
  std::set<std::string> reported, near;
  for (const std::shared_ptr<Backend>& backend : {disk, std::shared_ptr<Backend>(world.Must())}) {
    Components parts;
    parts.backend = backend;
    auto db = DB::Open({}, parts);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    for (const auto& [name, value] : (*db)->Statistics()) reported.insert(name);
    if (backend == disk) near = reported;
  }
  EXPECT_EQ(reported, NamesInTheDocument());
  EXPECT_GT(reported.size(), near.size()) << "the bucket tells nothing of its own";
}

}  // namespace
}  // namespace tarn
