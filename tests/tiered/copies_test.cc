// Copies on the near side: they serve reads, and nothing depends on them.
#include <gtest/gtest.h>

#include "backends/tiered/tiered.h"
#include "tests/contract/backend_contract_fixture.h"
#include "tests/support/fault_backend.h"
#include "tests/support/mem_backend.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

bool IsRead(const std::string& line) { return line.starts_with("read ") || line.starts_with("submit "); }

class Copies : public testing::Test {
 protected:
  void SetUp() override { Open({}); }
  void Open(const tiered::TieredOptions& options) {
    lock_.reset();
    backend_.reset();
    auto opened = tiered::OpenTiered(far_, near_, options);
    TARN_ASSERT_OK(opened.status());
    backend_ = std::move(*opened);
    if (options.read_only) return;
    auto lock = backend_->features().locks->TryLock("lock", "test");
    TARN_ASSERT_OK(lock.status());
    lock_ = std::move(*lock);
  }
  void Prefer(const std::string& name, Place place) { backend_->features().placement->Prefer(name, place); }
  Status Write(const std::string& name, const std::string& bytes) {
    TARN_ASSIGN(auto writer, backend_->Create(name));
    TARN_TRY(writer->Append(bytes.substr(0, bytes.size() / 2)));
    TARN_TRY(writer->Append(bytes.substr(bytes.size() / 2)));
    return writer->Finish();
  }
  void WriteNear(const std::string& name, const std::string& bytes) {
    Prefer(name, Place::kNear);
    TARN_ASSERT_OK(Write(name, bytes));
  }
  static std::string ReadBy(const BlobReader& blob, ReadQueue* queue) {
    std::string out(blob.size(), '?');
    if (queue == nullptr) return blob.Read(0, out).ok() ? out : "failed";
    ReadRequest request{.blob = &blob, .out = out, .status = Status::Io("not read")};
    queue->Submit(&request);
    while (!queue->Wait().empty()) {
    }
    return request.status.ok() ? out : "failed";
  }
  // Both ways, and how often far was read.
  std::pair<std::string, int> Read(const BlobReader& blob) {
    far_->TakeLines();
    std::string bytes = ReadBy(blob, nullptr);
    const auto queue = backend_->features().queues->NewReadQueue();
    if (ReadBy(blob, queue.get()) != bytes) bytes = "the queue reads something else";
    const auto lines = far_->TakeLines();
    return {bytes, static_cast<int>(std::count_if(lines.begin(), lines.end(), IsRead))};
  }
  std::pair<std::string, int> Read(const std::string& name) {
    auto blob = backend_->Open(name);
    return blob.ok() ? Read(**blob) : std::pair{blob.status().ToString(), 0};
  }
  uint64_t MeterOf(const std::string& name) {
    for (const Meter& meter : backend_->features().meters->Meters()) {
      if (meter.name == "tiered." + name) return meter.value;
    }
    return UINT64_MAX;
  }
  std::vector<std::string> NearNames() {
    std::vector<std::string> names;
    const auto page = disk_->List("near/", "", 1000);
    for (const BlobInfo& blob : page->blobs) names.push_back(blob.name);
    return names;
  }

  using Both = std::pair<std::string, int>;
  const std::shared_ptr<MemBackend> bucket_ =
      std::make_shared<MemBackend>(MemOptions{.append = false, .locks = false});
  const std::shared_ptr<MemBackend> disk_ = std::make_shared<MemBackend>();
  const std::shared_ptr<TraceBackend> far_ = std::make_shared<TraceBackend>(bucket_);
  const std::shared_ptr<FaultBackend> near_ = std::make_shared<FaultBackend>(disk_);
  std::shared_ptr<Backend> backend_;
  std::unique_ptr<Lock> lock_;
};

TEST_F(Copies, ServeReads) {
  WriteNear("table/1", "near and far");
  TARN_ASSERT_OK(Write("table/2", "far alone"));
  EXPECT_EQ(Read("table/1"), Both("near and far", 0));
  EXPECT_EQ(Read("table/2"), Both("far alone", 2));
  EXPECT_EQ(*bucket_->Contents("table/1"), "near and far");
  EXPECT_EQ(NearNames(), std::vector<std::string>{"near/table/1"});
  EXPECT_EQ(MeterOf("copies"), 1u);
  EXPECT_EQ(MeterOf("copy_bytes"), 12u);
  EXPECT_EQ(MeterOf("near_reads"), 2u);
  EXPECT_EQ(MeterOf("far_reads"), 2u);
}

TEST_F(Copies, GoWhenTheBlobIsCold) {
  WriteNear("table/1", "bytes");
  const auto reader = backend_->Open("table/1");
  TARN_ASSERT_OK(reader.status());
  Prefer("table/1", Place::kFar);
  EXPECT_TRUE(NearNames().empty());
  EXPECT_EQ(Read(**reader), Both("bytes", 2)) << "who has it open goes on";
  Prefer("table/1", Place::kNear);
  EXPECT_EQ(Read("table/1"), Both("bytes", 0)) << "hot again: fetched";
  EXPECT_EQ(MeterOf("copies_fetched"), 1u);
  TARN_ASSERT_OK(backend_->Delete("table/1"));
  EXPECT_TRUE(NearNames().empty());
  TARN_EXPECT_CODE(backend_->Open("table/1").status(), Code::kNotFound);
}

TEST_F(Copies, ThatCannotBeWrittenAreDropped) {
  for (const Op op : {Op::kCreate, Op::kBlobAppend, Op::kFinish}) {
    SCOPED_TRACE(static_cast<int>(op));
    const std::string name = "table/" + std::to_string(static_cast<int>(op));
    near_->Arm({.only = [op](const Call& call) { return call.op == op; }});
    const uint64_t before = MeterOf("copies_dropped");
    WriteNear(name, "bytes");
    near_->Disarm();
    EXPECT_EQ(MeterOf("copies_dropped"), before + 1);
    EXPECT_EQ(Read(name), Both("bytes", 2));
  }
  EXPECT_EQ(MeterOf("copy_bytes"), 0u);
}

TEST_F(Copies, ThatCannotBeReadAreDropped) {
  for (const Op op : {Op::kOpen, Op::kRead, Op::kSubmit, Op::kComplete}) {
    SCOPED_TRACE(static_cast<int>(op));
    const std::string name = "table/" + std::to_string(static_cast<int>(op));
    WriteNear(name, "bytes");
    near_->Arm({.forever = true, .only = [op](const Call& call) { return call.op == op; }});
    EXPECT_EQ(Read(name).first, "bytes");
    EXPECT_EQ(Read(name), Both("bytes", 2)) << "and not tried again";
    near_->Disarm();
  }
  EXPECT_EQ(MeterOf("copies_dropped"), 4u);
  EXPECT_TRUE(NearNames().empty());
}

TEST_F(Copies, TakeNoMoreThanTheLimit) {
  Open({.near_bytes = 100});
  for (int n = 1; n <= 5; ++n) WriteNear("table/" + std::to_string(n), std::string(40, 'x'));
  EXPECT_EQ(NearNames(), (std::vector<std::string>{"near/table/4", "near/table/5"})) << "the oldest go";
  EXPECT_EQ(MeterOf("copy_bytes"), 80u);
  EXPECT_EQ(MeterOf("copies_evicted"), 3u);
  Prefer("table/1", Place::kNear);
  EXPECT_EQ(NearNames().size(), 2u) << "nothing that is hot goes for one that is fetched";
  WriteNear("table/6", std::string(101, 'x'));
  EXPECT_EQ(Read("table/6").second, 2) << "larger than all";
  Open({.near_bytes = 50});
  EXPECT_LE(MeterOf("copy_bytes"), 50u) << "a smaller limit holds at once";
}

TEST_F(Copies, LeaveTheLogItsRoom) {
  disk_->SetCapacity(1000);
  Open({.near_bytes = 10'000, .keep_free_bytes = 500});
  WriteNear("table/1", std::string(400, 'x'));
  WriteNear("table/2", std::string(400, 'x'));
  EXPECT_EQ(NearNames(), std::vector<std::string>{"near/table/1"});
  EXPECT_EQ(Read("table/2"), Both(std::string(400, 'x'), 2));
  auto log = backend_->features().append->CreateAppend("wal/1");
  TARN_ASSERT_OK(log.status());
  TARN_ASSERT_OK((*log)->Append(std::string(500, 'x')));
}

TEST_F(Copies, OfAnEarlierProcessAreKeptIfTheyFit) {
  WriteNear("table/1", "one");
  WriteNear("table/2", "two");
  WriteNear("table/3", "three");
  TARN_ASSERT_OK(bucket_->Delete("table/2"));                   // by another machine
  TARN_ASSERT_OK(disk_->Corrupt("near/table/3", "threeeeee"));  // of another store that was in this place
  Open({});
  EXPECT_EQ(NearNames(), std::vector<std::string>{"near/table/1"});
  EXPECT_EQ(Read("table/1"), Both("one", 0));
  EXPECT_EQ(Read("table/3"), Both("three", 2));
  EXPECT_EQ(MeterOf("copy_bytes"), 3u);
}

TEST_F(Copies, ReadOnlyChangesNothingNear) {
  WriteNear("table/1", "one");
  WriteNear("table/2", "two");
  TARN_ASSERT_OK(bucket_->Delete("table/2"));
  Open({.read_only = true});
  EXPECT_EQ(Read("table/1"), Both("one", 0));
  Prefer("table/1", Place::kFar);
  EXPECT_EQ(Read("table/1"), Both("one", 2)) << "this process reads it no more";
  EXPECT_EQ(NearNames().size(), 2u);
}

TEST_F(Copies, TheLogIsNearAndAmongTheNames) {
  TARN_ASSERT_OK(Write("table/1", "t"));
  TARN_ASSERT_OK(Write("zebra", "z"));
  TARN_ASSERT_OK(Write("wal/7", "w"));
  TARN_ASSERT_OK(bucket_->PutIfAbsent("wal/3", "of a time before the log was near").status());
  for (const size_t limit : {1, 2, 3, 10}) {
    std::vector<std::string> names;
    for (bool more = true; more;) {
      const auto page = backend_->List("", names.empty() ? "" : names.back(), limit);
      TARN_ASSERT_OK(page.status());
      ASSERT_LE(page->blobs.size(), limit);
      ASSERT_TRUE(!page->more || !page->blobs.empty());
      for (const BlobInfo& blob : page->blobs) names.push_back(blob.name);
      more = page->more;
    }
    EXPECT_EQ(names, (std::vector<std::string>{"table/1", "wal/7", "zebra"})) << limit;
  }
  EXPECT_EQ(*disk_->Contents("wal/7"), "w");
  TARN_EXPECT_CODE(backend_->features().append->CreateAppend("log").status(), Code::kInvalid);
}

TEST_F(Copies, APlaceThatHoldsAStoreIsRefused) {
  TARN_ASSERT_OK(disk_->PutIfAbsent("manifest/1", "m").status());
  const auto refused = tiered::OpenTiered(far_, near_);
  TARN_EXPECT_CODE(refused.status(), Code::kInvalid);
  TARN_EXPECT_CODE(tiered::OpenTiered(far_, bucket_).status(), Code::kInvalid);
}

}  // namespace
}  // namespace tarn::test
