// docs/statistics.md names exactly the statistics that a store reports.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

#include "tarn/db.h"
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

TEST(StatisticsDoc, NamesWhatAStoreReports) {
  Components parts;
  parts.backend = std::make_shared<test::MemBackend>();
  auto db = DB::Open({}, parts);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  std::set<std::string> reported;
  for (const auto& [name, value] : (*db)->Statistics()) reported.insert(name);
  EXPECT_EQ(reported, NamesInTheDocument());
}

}  // namespace
}  // namespace tarn
