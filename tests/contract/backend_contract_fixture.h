// What the contract suite of storage backends stands on: a store to fill, and shorthands. See backend_contract.h.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tarn/sdk/backend.h"

namespace tarn::test {

// One store, empty at first. Open may be called again and again, also while earlier opens are in use; each is
// what another process would see.
class ContractStore {
 public:
  virtual ~ContractStore() = default;
  virtual std::shared_ptr<Backend> Open() = 0;
};

struct ContractParam {
  std::string name;  // of letters and digits
  std::function<std::unique_ptr<ContractStore>()> make;
};
inline void PrintTo(const ContractParam& param, std::ostream* out) { *out << param.name; }
inline std::string ContractParamName(const testing::TestParamInfo<ContractParam>& info) { return info.param.name; }

#define TARN_ASSERT_OK(expr)                                             \
  do {                                                                   \
    const ::tarn::Status assert_ok_status_ = (expr);                     \
    ASSERT_TRUE(assert_ok_status_.ok()) << assert_ok_status_.ToString(); \
  } while (0)
#define TARN_EXPECT_CODE(expr, wanted)                                               \
  do {                                                                               \
    const ::tarn::Status expect_code_status_ = (expr);                               \
    EXPECT_EQ(expect_code_status_.code(), wanted) << expect_code_status_.ToString(); \
  } while (0)

class BackendContract : public testing::TestWithParam<ContractParam> {
 protected:
  void SetUp() override {
    store_ = GetParam().make();
    backend_ = store_->Open();
    ASSERT_NE(backend_, nullptr);
  }
  // Lets everything of the first open go and opens the store again.
  void Reopen() {
    backend_.reset();
    backend_ = store_->Open();
    ASSERT_NE(backend_, nullptr);
  }

  // `n` bytes that differ from place to place and from seed to seed.
  static std::string Pattern(uint64_t seed, size_t n) {
    std::string bytes(n, '\0');
    uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;
    for (char& c : bytes) {
      x = x * 6364136223846793005ull + 1442695040888963407ull;
      c = static_cast<char>(x >> 56);
    }
    return bytes;
  }
  static Status Write(Backend& backend, std::string_view name, std::string_view bytes) {
    TARN_ASSIGN(auto writer, backend.Create(name));
    TARN_TRY(writer->Append(bytes));
    return writer->Finish();
  }
  static Result<std::string> ReadRange(const BlobReader& reader, uint64_t offset, size_t n) {
    std::string out(n, '?');
    TARN_TRY(reader.Read(offset, out));
    return out;
  }
  static Result<std::string> ReadAll(Backend& backend, std::string_view name) {
    TARN_ASSIGN(auto reader, backend.Open(name));
    return ReadRange(*reader, 0, reader->size());
  }
  void ExpectBlob(std::string_view name, std::string_view bytes) {
    auto read = ReadAll(*backend_, name);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_TRUE(*read == bytes) << name << " has " << read->size() << " other bytes";
  }
  // The same for an append file that is open: zeros may follow.
  void ExpectAppended(std::string_view name, std::string_view bytes) {
    auto read = ReadAll(*backend_, name);
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read->substr(0, bytes.size()), bytes);
    EXPECT_EQ(read->find_first_not_of('\0', bytes.size()), std::string::npos) << "only zeros may follow";
  }
  // All names below `prefix`, gathered page by page.
  static Result<std::vector<std::string>> Names(Backend& backend, std::string_view prefix, size_t limit) {
    std::vector<std::string> names;
    std::string after;
    for (bool more = true; more;) {
      TARN_ASSIGN(const ListPage page, backend.List(prefix, after, limit));
      EXPECT_LE(page.blobs.size(), limit);
      if (page.more && page.blobs.empty()) return Status::Io("an empty page says that there is more");
      for (const BlobInfo& blob : page.blobs) names.push_back(blob.name);
      if (!names.empty()) after = names.back();
      more = page.more;
    }
    return names;
  }
  void ExpectNames(std::string_view prefix, const std::vector<std::string>& wanted, size_t limit = 1000) {
    const auto names = Names(*backend_, prefix, limit);
    ASSERT_TRUE(names.ok()) << names.status().ToString();
    EXPECT_EQ(*names, wanted) << "prefix '" << prefix << "', pages of " << limit;
  }
  // Runs body(0..count-1) on a thread each.
  static void InParallel(int count, const std::function<void(int)>& body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
    for (std::thread& thread : threads) thread.join();
  }
  // A read queue, or null when this backend or kernel has none.
  static std::unique_ptr<ReadQueue> QueueOf(Backend& backend) {
    ReadQueueSource* source = backend.features().queues;
    return source == nullptr ? nullptr : source->NewReadQueue();
  }
  // Does all the reads as the host does: through `queue`, or one by one where there is none.
  static void DoReads(ReadQueue* queue, std::vector<ReadRequest>& requests) {
    if (queue == nullptr) {
      for (ReadRequest& request : requests) request.status = request.blob->Read(request.offset, request.out);
      return;
    }
    for (ReadRequest& request : requests) queue->Submit(&request);
    std::set<ReadRequest*> back;
    while (back.size() < requests.size()) {
      const auto done = queue->Wait();
      ASSERT_FALSE(done.empty()) << back.size() << " of " << requests.size() << " reads came back";
      for (ReadRequest* request : done) EXPECT_TRUE(back.insert(request).second) << "a read came back twice";
    }
    EXPECT_TRUE(queue->Wait().empty());
    for (ReadRequest& request : requests) EXPECT_TRUE(back.contains(&request));
  }

  std::unique_ptr<ContractStore> store_;
  std::shared_ptr<Backend> backend_;
};

}  // namespace tarn::test
