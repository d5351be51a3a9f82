// The promise of RFC 0001 that a cached read touches no allocator, counted by a replaced operator new.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "tests/format/table_support.h"

namespace {
thread_local size_t allocations = 0;
[[gnu::noinline]] void* Allocate(size_t bytes) {
  ++allocations;
  return std::malloc(bytes > 0 ? bytes : 1);
}
[[gnu::noinline]] void Free(void* p) { std::free(p); }
}  // namespace
void* operator new(size_t bytes) {
  if (void* p = Allocate(bytes)) return p;
  throw std::bad_alloc();
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return Allocate(bytes); }
void operator delete(void* p) noexcept { Free(p); }
void operator delete[](void* p) noexcept { Free(p); }
void operator delete(void* p, size_t) noexcept { Free(p); }
void operator delete[](void* p, size_t) noexcept { Free(p); }

namespace tarn::test {
namespace {

TEST(TableAllocation, TheCounterCounts) {
  const size_t before = allocations;
  const auto p = std::make_unique<std::string>(100, 'x');
  EXPECT_EQ(allocations - before, 2u) << p->size();
}

TEST(TableAllocation, CachedPointReadsMakeNone) {
  const Entries entries = Mixed(4, 3000);
  const Built built = Build(entries, {}, {512, Compression::kLz4, 10});
  BlobSource source(true);
  TableProbe probe;
  std::vector<std::string> keys;
  for (const auto& [key, value] : entries) keys.emplace_back(UserKeyOf(key));
  for (int i = 0; i < 200; ++i) keys.push_back("absent " + std::to_string(i));
  for (const std::string& key : keys) Drive(&probe, *built.table, source, key, 20);  // warm-up
  size_t present = 0;
  const size_t before = allocations;
  for (const std::string& key : keys) {
    probe.Start(built.table.get(), key, 20);
    ASSERT_EQ(probe.Run(source), TableProbe::Step::kDone);
    present += probe.present() ? 1 : 0;
  }
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_GT(present, 100u);
}

// A source that has everything and writes nothing down.
class QuietSource final : public BlockSource {
 public:
  explicit QuietSource(BlobSource* warm) : warm_(warm) {}
  BlockRef Lookup(const Table& table, BlockHandle handle) override { return warm_->Lookup(table, handle); }
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override { return warm_->Load(table, handle); }
  void Prefetch(const Table&, std::span<const BlockHandle> handles) override { hinted += handles.size(); }
  size_t hinted = 0;

 private:
  BlobSource* const warm_;
};

TEST(TableAllocation, CachedScansMakeNone) {
  const Entries entries = Numbered(3000);
  const Built built = Build(entries, {}, {512, Compression::kLz4, 10});
  BlobSource warm(true);
  ASSERT_TRUE(ScanForward(*built.table, warm).ok());
  QuietSource source(&warm);
  const auto cursor = built.table->NewCursor(source);
  for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) {
  }
  ASSERT_GT(source.hinted, 0u);
  size_t seen = 0;
  const size_t before = allocations;
  for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) ++seen;
  for (cursor->SeekToLast(); cursor->valid(); cursor->Prev()) ++seen;
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_EQ(seen, 2 * entries.size());
}

}  // namespace
}  // namespace tarn::test
