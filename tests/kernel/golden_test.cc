// The order of effects, as golden files: what the kernel asks of its backend to open, commit, flush, compact and
// close. Write, sync, then publish; publish before release. Read a difference in these files line by line.
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include "tests/kernel/sim_store.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

TEST(GoldenTrace, TheLifeOfAStore) {
  auto trace =
      std::make_shared<TraceBackend>(std::make_shared<MemBackend>(), TraceOptions{.sizes = false, .lookups = false});
  std::string text;
  const auto chapter = [&](const std::string& title) {
    text += "# " + title + "\n";
    for (const std::string& line : trace->TakeLines()) text += line + "\n";
  };
  auto opened = OpenSim(trace);
  ASSERT_TRUE(opened.ok());
  chapter("open a new store");
  ASSERT_TRUE((*opened)->Put("a", "1", Durability::kNone).ok());
  chapter("commit, none");
  ASSERT_TRUE((*opened)->Put("a", "2", Durability::kProcess).ok());
  chapter("commit, process");
  ASSERT_TRUE((*opened)->Put("b", "3", Durability::kPower).ok());
  chapter("commit, power");
  ASSERT_TRUE((*opened)->Flush().ok());
  chapter("flush");
  ASSERT_TRUE((*opened)->Put("c", "4").ok());
  ASSERT_TRUE((*opened)->Compact().ok());
  chapter("commit, flush and compact");
  ASSERT_TRUE((*opened)->CreateFamily("f").ok());
  chapter("create a column family");
  ASSERT_TRUE((*opened)->CreateNamedSnapshot("s").ok());
  chapter("create a named snapshot");
  ASSERT_TRUE((*opened)->Put("d", "5").ok());
  ASSERT_TRUE((*opened)->Close().ok());
  chapter("commit and close");
  opened->reset();
  opened = OpenSim(trace);
  ASSERT_TRUE(opened.ok());
  chapter("open again: recover");
  EXPECT_EQ(GoldenMismatch("kernel_trace.txt", text), "");
}

}  // namespace
}  // namespace tarn::test
