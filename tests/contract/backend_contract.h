// The contract suite of storage backends: what include/tarn/sdk/backend.h promises, as tests. For authors of
// backends: a backend is right when this suite passes.
//
// Use: include it in one .cc file, then instantiate it for a store that the suite may fill:
//
//   class MyStore : public tarn::test::ContractStore { ... };
//   INSTANTIATE_TEST_SUITE_P(Mine, BackendContract, testing::Values(tarn::test::ContractParam{
//       "Mine", [] { return std::make_unique<MyStore>(); }}), tarn::test::ContractParamName);
//
// Each test starts with an empty store. Features that a backend does not hand out are tested for their absence
// only. What a crash leaves cannot be seen through the contract itself; it is tested elsewhere for each backend.
#pragma once

#include "tests/contract/backend_contract_fixture.h"

namespace tarn::test {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BackendContract);

// --- blobs -------------------------------------------------------------------------------------------------

TEST_P(BackendContract, SaysWhatItIs) {
  const BackendInfo& info = backend_->info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_FALSE(info.read_engine.empty());
  EXPECT_GT(info.best_write_bytes, 0u);
  EXPECT_GT(info.parallel_reads, 0u);
  const BackendFeatures features = backend_->features();
  EXPECT_TRUE(features.append == nullptr || features.locks != nullptr) << "append files need locks";
}

TEST_P(BackendContract, ReadsWhatWasWritten) {
  auto writer = backend_->Create("table/1");
  TARN_ASSERT_OK(writer.status());
  const std::string bytes = Pattern(1, 10000);
  for (size_t at = 0, n = 1; at < bytes.size(); at += n, n = n * 3 + 1) {
    n = std::min(n, bytes.size() - at);
    TARN_ASSERT_OK((*writer)->Append(std::string_view(bytes).substr(at, n)));
  }
  TARN_ASSERT_OK((*writer)->Append(""));
  TARN_ASSERT_OK((*writer)->Finish());
  ExpectBlob("table/1", bytes);

  auto reader = backend_->Open("table/1");
  TARN_ASSERT_OK(reader.status());
  EXPECT_EQ((*reader)->size(), bytes.size());
  for (const auto& [offset, n] : {std::pair<size_t, size_t>{0, 1}, {0, 10000}, {9999, 1}, {511, 513}, {10000, 0}}) {
    auto part = ReadRange(**reader, offset, n);
    TARN_ASSERT_OK(part.status());
    EXPECT_TRUE(*part == bytes.substr(offset, n)) << offset << " " << n;
  }
}

TEST_P(BackendContract, SurvivesReopen) {
  TARN_ASSERT_OK(Write(*backend_, "a/b/c", "deep"));
  TARN_ASSERT_OK(Write(*backend_, "top", ""));
  Reopen();
  ExpectBlob("a/b/c", "deep");
  ExpectBlob("top", "");
  ExpectNames("", {"a/b/c", "top"});
}

TEST_P(BackendContract, LargeBlobInOddPieces) {
  const std::string bytes = Pattern(7, (8 << 20) + 4097);
  auto writer = backend_->Create("big");
  TARN_ASSERT_OK(writer.status());
  for (size_t at = 0; at < bytes.size(); at += 333'333) {
    TARN_ASSERT_OK((*writer)->Append(std::string_view(bytes).substr(at, 333'333)));
  }
  TARN_ASSERT_OK((*writer)->Finish());
  ExpectBlob("big", bytes);
}

TEST_P(BackendContract, UnfinishedBlobNeverExisted) {
  {
    auto writer = backend_->Create("table/1");
    TARN_ASSERT_OK(writer.status());
    TARN_ASSERT_OK((*writer)->Append("half"));
    TARN_EXPECT_CODE(backend_->Open("table/1").status(), Code::kNotFound);
    ExpectNames("", {});
  }
  TARN_EXPECT_CODE(backend_->Open("table/1").status(), Code::kNotFound);
  TARN_EXPECT_CODE(backend_->Delete("table/1"), Code::kNotFound);
  ExpectNames("", {});
  TARN_ASSERT_OK(Write(*backend_, "table/1", "whole"));
  ExpectBlob("table/1", "whole");
}

TEST_P(BackendContract, FinishReplacesNothing) {
  TARN_ASSERT_OK(Write(*backend_, "x", "first"));
  TARN_EXPECT_CODE(Write(*backend_, "x", "second"), Code::kBusy);
  ExpectBlob("x", "first");
  auto one = backend_->Create("y");
  auto two = backend_->Create("y");
  TARN_ASSERT_OK(one.status());
  TARN_ASSERT_OK(two.status());
  TARN_ASSERT_OK((*one)->Append("one"));
  TARN_ASSERT_OK((*two)->Append("two"));
  TARN_ASSERT_OK((*two)->Finish());
  TARN_EXPECT_CODE((*one)->Finish(), Code::kBusy);
  EXPECT_FALSE((*one)->Finish().ok()) << "an error of a writer is final";
  ExpectBlob("y", "two");
}

TEST_P(BackendContract, FinishedWriterIsDone) {
  auto writer = backend_->Create("x");
  TARN_ASSERT_OK(writer.status());
  TARN_ASSERT_OK((*writer)->Finish());
  EXPECT_FALSE((*writer)->Append("late").ok());
  EXPECT_FALSE((*writer)->Finish().ok());
  ExpectBlob("x", "");
}

TEST_P(BackendContract, MissingIsNotFound) {
  TARN_EXPECT_CODE(backend_->Open("nothing").status(), Code::kNotFound);
  TARN_EXPECT_CODE(backend_->Open("no/such/blob").status(), Code::kNotFound);
  TARN_EXPECT_CODE(backend_->Delete("nothing"), Code::kNotFound);
  TARN_EXPECT_CODE(backend_->Delete("no/such/blob"), Code::kNotFound);
  EXPECT_NE(backend_->Open("no/such/blob").status().message().find("no/such/blob"), std::string_view::npos);
}

TEST_P(BackendContract, DeletedNameIsFree) {
  TARN_ASSERT_OK(Write(*backend_, "d/x", "old"));
  TARN_ASSERT_OK(backend_->Delete("d/x"));
  TARN_EXPECT_CODE(backend_->Open("d/x").status(), Code::kNotFound);
  TARN_EXPECT_CODE(backend_->Delete("d/x"), Code::kNotFound);
  ExpectNames("", {});
  TARN_ASSERT_OK(Write(*backend_, "d/x", "new"));
  ExpectBlob("d/x", "new");
}

TEST_P(BackendContract, ReaderSurvivesDelete) {
  const std::string bytes = Pattern(3, 5000);
  TARN_ASSERT_OK(Write(*backend_, "x", bytes));
  auto reader = backend_->Open("x");
  TARN_ASSERT_OK(reader.status());
  TARN_ASSERT_OK(backend_->Delete("x"));
  TARN_ASSERT_OK(Write(*backend_, "x", "other"));
  EXPECT_EQ((*reader)->size(), bytes.size());
  auto read = ReadRange(**reader, 0, bytes.size());
  TARN_ASSERT_OK(read.status());
  EXPECT_TRUE(*read == bytes);
}

TEST_P(BackendContract, BulkDeleteTakesWhatIsThere) {
  BulkDelete* const bulk = backend_->features().bulk;
  if (bulk == nullptr) return;
  constexpr int kMany = 1010;  // more than a request of S3 takes
  std::vector<std::string> names;
  for (int i = 0; i < kMany; ++i) names.push_back("many/" + std::to_string(i));
  InParallel(8, [&](int me) {
    for (int i = me; i < kMany; i += 8) TARN_EXPECT_CODE(Write(*backend_, names[i], "x"), Code::kOk);
  });
  TARN_ASSERT_OK(Write(*backend_, "many/kept", "kept"));
  names.emplace_back("many/never-there");
  TARN_ASSERT_OK(bulk->DeleteAll({}));
  TARN_ASSERT_OK(bulk->DeleteAll(names));
  ExpectNames("", {"many/kept"});
  TARN_ASSERT_OK(bulk->DeleteAll(names));
  TARN_EXPECT_CODE(bulk->DeleteAll(std::vector<std::string>{"many/kept", "NO NAME"}), Code::kInvalid);
  ExpectBlob("many/kept", "kept");
  TARN_ASSERT_OK(Write(*backend_, names[0], "again"));
  ExpectBlob(names[0], "again");
}

TEST_P(BackendContract, ReadersSurviveBulkDelete) {
  BulkDelete* const bulk = backend_->features().bulk;
  if (bulk == nullptr) return;
  const std::string bytes = Pattern(4, 5000);
  std::vector<std::unique_ptr<BlobReader>> readers;
  const std::vector<std::string> names = {"a", "b", "c"};
  for (const std::string& name : names) {
    TARN_ASSERT_OK(Write(*backend_, name, bytes));
    auto reader = backend_->Open(name);
    TARN_ASSERT_OK(reader.status());
    if (name != "b") readers.push_back(std::move(*reader));
  }
  TARN_ASSERT_OK(bulk->DeleteAll(names));
  ExpectNames("", {});
  for (const auto& reader : readers) {
    auto read = ReadRange(*reader, 0, bytes.size());
    TARN_ASSERT_OK(read.status());
    EXPECT_TRUE(*read == bytes);
  }
}

TEST_P(BackendContract, PastTheEndIsCorruption) {
  TARN_ASSERT_OK(Write(*backend_, "dir/short", "12345"));
  auto reader = backend_->Open("dir/short");
  TARN_ASSERT_OK(reader.status());
  TARN_ASSERT_OK(ReadRange(**reader, 5, 0).status());
  for (const auto& [offset, n] : {std::pair<uint64_t, size_t>{5, 1},
                                  {4, 2},
                                  {0, 6},
                                  {6, 0},
                                  {1 << 30, 1},
                                  {UINT64_MAX, 1},
                                  {UINT64_MAX - 1, 4}}) {
    const Status status = ReadRange(**reader, offset, n).status();
    TARN_EXPECT_CODE(status, Code::kCorruption);
    EXPECT_NE(status.message().find("dir/short"), std::string_view::npos) << status.ToString();
    EXPECT_NE(status.message().find(std::to_string(offset)), std::string_view::npos) << status.ToString();
  }
}

TEST_P(BackendContract, NameRule) {
  const std::string longest(255, 'a');
  const std::vector<std::string> good = {"x", "0", "a-b_c.d", "a/b/c/d/e/f/g/h", ".hidden", ".tmp-1", "...", longest};
  for (const std::string& name : good) {
    TARN_EXPECT_CODE(Write(*backend_, name, name), Code::kOk);
    ExpectBlob(name, name);
  }
  const std::vector<std::string> bad = {"",
                                        "/",
                                        "/x",
                                        "x/",
                                        "a//b",
                                        ".",
                                        "..",
                                        "../x",
                                        "a/./b",
                                        "a/..",
                                        "A",
                                        "a b",
                                        "caf\xc3\xa9",
                                        "a\\b",
                                        "a:b",
                                        "a+b",
                                        std::string("a\0b", 3),
                                        longest + "a",
                                        "1/2/3/4/5/6/7/8/9"};
  for (const std::string& name : bad) {
    TARN_EXPECT_CODE(backend_->Open(name).status(), Code::kInvalid);
    TARN_EXPECT_CODE(backend_->Create(name).status(), Code::kInvalid);
    TARN_EXPECT_CODE(backend_->PutIfAbsent(name, "x").status(), Code::kInvalid);
    TARN_EXPECT_CODE(backend_->Delete(name), Code::kInvalid);
    const BackendFeatures features = backend_->features();
    if (features.append != nullptr) TARN_EXPECT_CODE(features.append->CreateAppend(name).status(), Code::kInvalid);
    if (features.locks != nullptr) TARN_EXPECT_CODE(features.locks->TryLock(name, "me").status(), Code::kInvalid);
  }
  const auto names = Names(*backend_, "", 1000);
  TARN_ASSERT_OK(names.status());
  EXPECT_EQ(names->size(), good.size());
}

// --- put-if-absent -----------------------------------------------------------------------------------------

TEST_P(BackendContract, PutIfAbsentPutsOnce) {
  auto first = backend_->PutIfAbsent("manifest/1", "first");
  TARN_ASSERT_OK(first.status());
  EXPECT_EQ(*first, PutOutcome::kCreated);
  auto second = backend_->PutIfAbsent("manifest/1", "second");
  TARN_ASSERT_OK(second.status());
  EXPECT_EQ(*second, PutOutcome::kExists);
  ExpectBlob("manifest/1", "first");
  TARN_EXPECT_CODE(Write(*backend_, "manifest/1", "third"), Code::kBusy);
  TARN_ASSERT_OK(Write(*backend_, "blob", "b"));
  auto over_blob = backend_->PutIfAbsent("blob", "c");
  TARN_ASSERT_OK(over_blob.status());
  EXPECT_EQ(*over_blob, PutOutcome::kExists);
  auto empty = backend_->PutIfAbsent("empty", "");
  TARN_ASSERT_OK(empty.status());
  EXPECT_EQ(*empty, PutOutcome::kCreated);
  Reopen();
  ExpectBlob("manifest/1", "first");
  ExpectBlob("blob", "b");
  ExpectBlob("empty", "");
}

TEST_P(BackendContract, PutIfAbsentRaceHasOneWinner) {
  constexpr int kThreads = 6, kRounds = 40;
  std::vector<std::shared_ptr<Backend>> opens;
  for (int i = 0; i < kThreads; ++i) opens.push_back(i % 2 == 0 ? backend_ : store_->Open());
  std::vector<std::atomic<int>> winners(kRounds);
  for (auto& winner : winners) winner = -1;
  std::atomic<int> double_wins{0}, errors{0};
  InParallel(kThreads, [&](int me) {
    for (int round = 0; round < kRounds; ++round) {
      const auto outcome = opens[me]->PutIfAbsent("race/" + std::to_string(round), std::string(2000, 'a' + me));
      if (!outcome.ok()) ++errors;
      if (outcome.ok() && *outcome == PutOutcome::kCreated && winners[round].exchange(me) != -1) ++double_wins;
    }
  });
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(double_wins, 0);
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_GE(winners[round], 0) << "nobody won round " << round;
    ExpectBlob("race/" + std::to_string(round), std::string(2000, 'a' + winners[round]));
  }
}

TEST_P(BackendContract, FinishRaceHasOneWinner) {
  constexpr int kThreads = 4, kRounds = 20;
  std::vector<std::atomic<int>> wins(kRounds);
  std::atomic<int> others{0};
  InParallel(kThreads, [&](int me) {
    for (int round = 0; round < kRounds; ++round) {
      const Status status = Write(*backend_, "race/" + std::to_string(round), std::string(100, 'a' + me));
      if (status.ok()) ++wins[round];
      if (!status.ok() && status.code() != Code::kBusy) ++others;
    }
  });
  EXPECT_EQ(others, 0) << "losers see Busy";
  for (const auto& win : wins) EXPECT_EQ(win, 1);
}

// --- list --------------------------------------------------------------------------------------------------

TEST_P(BackendContract, ListsInBytewiseOrder) {
  // '-' and '.' sort before '/', digits and letters after it: directories may not be sorted as if they were files.
  std::vector<std::string> names = {"a-b", "a.b", "a/x", "a/y", "a0", "aa", "b/0/1", "b/0.5", "b/0-1", "z"};
  for (const std::string& name : names) TARN_ASSERT_OK(Write(*backend_, name, name));
  std::sort(names.begin(), names.end());
  for (size_t limit = 1; limit <= names.size() + 1; ++limit) ExpectNames("", names, limit);
  ExpectNames("a", {"a-b", "a.b", "a/x", "a/y", "a0", "aa"}, 2);
  ExpectNames("a/", {"a/x", "a/y"}, 1);
  ExpectNames("a/x", {"a/x"});
  ExpectNames("b/0", {"b/0-1", "b/0.5", "b/0/1"}, 1);
  ExpectNames("b/0/1/2", {});
  ExpectNames("c", {});
  ExpectNames("a/x/y", {});
}

TEST_P(BackendContract, ListPages) {
  for (int i = 0; i < 10; ++i) TARN_ASSERT_OK(Write(*backend_, "p/" + std::to_string(i), std::string(i, 'x')));
  TARN_ASSERT_OK(Write(*backend_, "a", ""));
  TARN_ASSERT_OK(Write(*backend_, "q", ""));
  auto page = backend_->List("p/", "p/2", 3);
  TARN_ASSERT_OK(page.status());
  ASSERT_EQ(page->blobs.size(), 3u);
  EXPECT_EQ(page->blobs[0].name, "p/3");
  EXPECT_EQ(page->blobs[2].name, "p/5");
  EXPECT_EQ(page->blobs[2].size, 5u);
  EXPECT_TRUE(page->more);
  // `after` need not exist, may come before the prefix, and may come behind everything.
  page = backend_->List("p/", "p/55", 100);
  TARN_ASSERT_OK(page.status());
  ASSERT_EQ(page->blobs.size(), 4u);
  EXPECT_EQ(page->blobs[0].name, "p/6");
  EXPECT_FALSE(page->more);
  page = backend_->List("p/", "b", 100);
  TARN_ASSERT_OK(page.status());
  EXPECT_EQ(page->blobs.size(), 10u);
  page = backend_->List("p/", "p/9", 100);
  TARN_ASSERT_OK(page.status());
  EXPECT_TRUE(page->blobs.empty());
  EXPECT_FALSE(page->more);
  page = backend_->List("p/", "zz", 100);
  TARN_ASSERT_OK(page.status());
  EXPECT_TRUE(page->blobs.empty());
  page = backend_->List("p/", "", 10);
  TARN_ASSERT_OK(page.status());
  EXPECT_EQ(page->blobs.size(), 10u);
  EXPECT_FALSE(page->more) << "what comes next has another prefix";
}

TEST_P(BackendContract, ListBesideWriters) {
  for (int i = 0; i < 20; ++i) TARN_ASSERT_OK(Write(*backend_, "stay/" + std::to_string(i), "x"));
  std::atomic<bool> stop{false};
  std::atomic<int> errors{0};
  std::thread churn([&] {
    for (int i = 0; !stop; ++i) {
      const std::string name = "stay/churn-" + std::to_string(i % 7);
      if (!Write(*backend_, name, "y").ok() || !backend_->Delete(name).ok()) ++errors;
    }
  });
  for (int round = 0; round < 30; ++round) {
    const auto names = Names(*backend_, "stay/", 7);
    EXPECT_TRUE(names.ok()) << names.status().ToString();
    if (!names.ok()) break;
    EXPECT_TRUE(std::is_sorted(names->begin(), names->end()));
    const auto stayed = std::count_if(names->begin(), names->end(),
                                      [](const std::string& n) { return n.find("churn") == std::string::npos; });
    EXPECT_EQ(stayed, 20);
  }
  stop = true;
  churn.join();
  EXPECT_EQ(errors, 0);
}

// --- many threads ------------------------------------------------------------------------------------------

TEST_P(BackendContract, ManyThreads) {
  constexpr int kThreads = 6, kBlobs = 15;
  TARN_ASSERT_OK(Write(*backend_, "shared", Pattern(99, 100'000)));
  auto shared = backend_->Open("shared");
  TARN_ASSERT_OK(shared.status());
  const std::string wanted = Pattern(99, 100'000);
  std::atomic<int> failures{0};
  InParallel(kThreads, [&](int me) {
    for (int i = 0; i < kBlobs; ++i) {
      const std::string name = "t/" + std::to_string(me) + "/" + std::to_string(i);
      const std::string bytes = Pattern(me * 1000 + i, 1000 + 77 * i);
      if (!Write(*backend_, name, bytes).ok()) ++failures;
      const auto read = ReadAll(*backend_, name);
      if (!read.ok() || *read != bytes) ++failures;
      const auto part = ReadRange(**shared, 1000 * i + me, 3000);
      if (!part.ok() || *part != wanted.substr(1000 * i + me, 3000)) ++failures;
      if (i % 3 == 0 && !backend_->Delete(name).ok()) ++failures;
    }
  });
  EXPECT_EQ(failures, 0);
  const auto names = Names(*backend_, "t/", 10);
  TARN_ASSERT_OK(names.status());
  EXPECT_EQ(names->size(), static_cast<size_t>(kThreads * kBlobs * 2 / 3));
}

// --- read queues -------------------------------------------------------------------------------------------

TEST_P(BackendContract, QueueReadsABigBatch) {
  const auto queue = QueueOf(*backend_);
  std::vector<std::unique_ptr<BlobReader>> readers;
  std::vector<std::string> bytes;
  for (int i = 0; i < 4; ++i) {
    bytes.push_back(Pattern(i, 300'000));
    TARN_ASSERT_OK(Write(*backend_, "q/" + std::to_string(i), bytes.back()));
    auto reader = backend_->Open("q/" + std::to_string(i));
    TARN_ASSERT_OK(reader.status());
    readers.push_back(std::move(*reader));
  }
  for (const size_t count : {size_t{1}, size_t{64}, size_t{65}, size_t{1000}}) {
    std::vector<ReadRequest> requests(count);
    std::vector<std::string> out(count);
    for (size_t i = 0; i < count; ++i) {
      out[i].resize(1 + i * 37 % 9000);
      requests[i] = {readers[i % 4].get(), i * 7919 % 290'000, out[i], Status::Io("not read"), &out[i]};
    }
    DoReads(queue.get(), requests);
    for (size_t i = 0; i < count; ++i) {
      TARN_ASSERT_OK(requests[i].status);
      EXPECT_EQ(requests[i].context, &out[i]);
      EXPECT_TRUE(out[i] == bytes[i % 4].substr(requests[i].offset, out[i].size())) << i;
    }
  }
}

TEST_P(BackendContract, QueueMixesErrorsAndSizes) {
  const auto queue = QueueOf(*backend_);
  const std::string bytes = Pattern(5, 6 << 20);
  TARN_ASSERT_OK(Write(*backend_, "big", bytes));
  TARN_ASSERT_OK(Write(*backend_, "empty", ""));
  auto big = backend_->Open("big");
  auto empty = backend_->Open("empty");
  TARN_ASSERT_OK(big.status());
  TARN_ASSERT_OK(empty.status());
  std::string whole(bytes.size(), '?'), tail(4096, '?'), past(4096, '?'), one(1, '?');
  std::vector<ReadRequest> requests = {{big->get(), 0, whole, Status::Io("not read")},
                                       {big->get(), bytes.size() - 4096, tail, Status::Io("not read")},
                                       {big->get(), bytes.size() - 4095, past, Status::Ok()},
                                       {empty->get(), 0, one, Status::Ok()},
                                       {empty->get(), 0, {}, Status::Io("not read")},
                                       {big->get(), UINT64_MAX, one, Status::Ok()}};
  DoReads(queue.get(), requests);
  TARN_EXPECT_CODE(requests[0].status, Code::kOk);
  TARN_EXPECT_CODE(requests[1].status, Code::kOk);
  TARN_EXPECT_CODE(requests[2].status, Code::kCorruption);
  TARN_EXPECT_CODE(requests[3].status, Code::kCorruption);
  TARN_EXPECT_CODE(requests[4].status, Code::kOk);
  TARN_EXPECT_CODE(requests[5].status, Code::kCorruption);
  EXPECT_TRUE(whole == bytes);
  EXPECT_TRUE(tail == bytes.substr(bytes.size() - 4096));
}

TEST_P(BackendContract, QueueTakesMoreWhileReadsAreInFlight) {
  const auto queue = QueueOf(*backend_);
  if (queue == nullptr) return;  // nothing to be in flight; the batches above were read one by one
  const std::string bytes = Pattern(8, 200'000);
  TARN_ASSERT_OK(Write(*backend_, "x", bytes));
  auto reader = backend_->Open("x");
  TARN_ASSERT_OK(reader.status());
  EXPECT_TRUE(queue->Wait().empty());
  constexpr size_t kReads = 500, kWindow = 100;
  std::vector<ReadRequest> requests(kReads);
  std::vector<std::string> out(kReads, std::string(333, '?'));
  size_t submitted = 0, back = 0;
  while (back < kReads) {
    for (; submitted < kReads && submitted < back + kWindow; ++submitted) {
      requests[submitted] = {reader->get(), submitted * 399, out[submitted], Status::Io("not read")};
      queue->Submit(&requests[submitted]);
    }
    const size_t got = queue->Wait().size();
    ASSERT_GT(got, 0u);
    back += got;
  }
  for (size_t i = 0; i < kReads; ++i) {
    TARN_ASSERT_OK(requests[i].status);
    EXPECT_TRUE(out[i] == bytes.substr(i * 399, 333)) << i;
  }
}

TEST_P(BackendContract, QueuesOfManyThreads) {
  const std::string bytes = Pattern(6, 500'000);
  TARN_ASSERT_OK(Write(*backend_, "x", bytes));
  auto reader = backend_->Open("x");
  TARN_ASSERT_OK(reader.status());
  InParallel(4, [&](int me) {
    const auto queue = QueueOf(*backend_);
    for (int round = 0; round < 10; ++round) {
      std::vector<std::string> out(100, std::string(2000, '?'));
      std::vector<ReadRequest> requests(out.size());
      for (size_t i = 0; i < out.size(); ++i) {
        requests[i] = {reader->get(), i * 4567 + me * 100 + round, out[i], Status::Io("not read")};
      }
      DoReads(queue.get(), requests);
      for (size_t i = 0; i < out.size(); ++i) {
        EXPECT_TRUE(requests[i].status.ok() && out[i] == bytes.substr(requests[i].offset, 2000));
      }
    }
  });
}

TEST_P(BackendContract, IdleQueueMayChangeItsOwner) {
  TARN_ASSERT_OK(Write(*backend_, "x", Pattern(4, 10'000)));
  auto reader = backend_->Open("x");
  TARN_ASSERT_OK(reader.status());
  const auto queue = QueueOf(*backend_);
  for (int round = 0; round < 3; ++round) {
    InParallel(1, [&](int) {
      std::string out(5000, '?');
      std::vector<ReadRequest> requests = {{reader->get(), 1000, out, Status::Io("not read")}};
      DoReads(queue.get(), requests);
      EXPECT_TRUE(requests[0].status.ok()) << requests[0].status.ToString();
      EXPECT_TRUE(out == Pattern(4, 10'000).substr(1000, 5000));
    });
  }
}

TEST_P(BackendContract, QueueThatMayMoveGoesOnElsewhere) {
  ReadQueueSource* const source = backend_->features().queues;
  if (source == nullptr || !source->MayMove()) return;
  const auto queue = source->NewReadQueue();
  if (queue == nullptr) return;
  TARN_ASSERT_OK(Write(*backend_, "x", Pattern(4, 100'000)));
  auto reader = backend_->Open("x");
  TARN_ASSERT_OK(reader.status());
  std::vector<std::string> out(20, std::string(5000, '?'));
  std::vector<ReadRequest> requests;
  for (size_t i = 0; i < out.size(); ++i)
    requests.push_back({reader->get(), i * 1000, out[i], Status::Io("not read")});
  size_t back = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    InParallel(1, [&](int) {
      queue->Submit(&requests[i]);
      if (i % 4 == 3) back += queue->Wait().size();
    });
  }
  while (back < out.size()) InParallel(1, [&](int) { back += queue->Wait().size(); });
  for (size_t i = 0; i < out.size(); ++i) {
    EXPECT_TRUE(requests[i].status.ok()) << requests[i].status.ToString();
    EXPECT_TRUE(out[i] == Pattern(4, 100'000).substr(i * 1000, 5000)) << i;
  }
}

// --- append files ------------------------------------------------------------------------------------------

TEST_P(BackendContract, AppendFileGrowsInSight) {
  AppendStore* append = backend_->features().append;
  if (append == nullptr) return;
  auto file = append->CreateAppend("wal/1");
  TARN_ASSERT_OK(file.status());
  ExpectAppended("wal/1", "");
  ExpectNames("wal/", {"wal/1"});
  TARN_ASSERT_OK((*file)->Append("one "));
  ExpectAppended("wal/1", "one ");
  auto early = backend_->Open("wal/1");
  TARN_ASSERT_OK(early.status());
  const uint64_t size = (*early)->size();
  TARN_ASSERT_OK((*file)->Append("two"));
  TARN_ASSERT_OK((*file)->Append(""));
  TARN_ASSERT_OK((*file)->Sync());
  TARN_ASSERT_OK((*file)->Sync());
  ExpectAppended("wal/1", "one two");
  EXPECT_EQ((*early)->size(), size) << "fixed when it was opened";
  TARN_EXPECT_CODE(ReadRange(**early, 0, size + 1).status(), Code::kCorruption);
  file->reset();
  early->reset();
  auto page = backend_->List("wal/", "", 10);
  TARN_ASSERT_OK(page.status());
  ASSERT_EQ(page->blobs.size(), 1u);
  EXPECT_EQ(page->blobs[0].size, 7u);
  Reopen();
  ExpectBlob("wal/1", "one two");
  TARN_ASSERT_OK(backend_->Delete("wal/1"));
  TARN_EXPECT_CODE(backend_->Open("wal/1").status(), Code::kNotFound);
}

TEST_P(BackendContract, AppendFileReplacesNothing) {
  AppendStore* append = backend_->features().append;
  if (append == nullptr) return;
  TARN_ASSERT_OK(Write(*backend_, "wal/blob", "b"));
  TARN_EXPECT_CODE(append->CreateAppend("wal/blob").status(), Code::kBusy);
  TARN_ASSERT_OK(append->CreateAppend("wal/log").status());
  TARN_EXPECT_CODE(append->CreateAppend("wal/log").status(), Code::kBusy);
  TARN_EXPECT_CODE(Write(*backend_, "wal/log", "b"), Code::kBusy);
  const auto put = backend_->PutIfAbsent("wal/log", "b");
  TARN_ASSERT_OK(put.status());
  EXPECT_EQ(*put, PutOutcome::kExists);
  ExpectBlob("wal/blob", "b");
  ExpectBlob("wal/log", "");
}

TEST_P(BackendContract, AppendFileIsReadBesideItsWriter) {
  AppendStore* append = backend_->features().append;
  if (append == nullptr) return;
  auto file = append->CreateAppend("wal/1");
  TARN_ASSERT_OK(file.status());
  const std::string bytes = Pattern(2, 200'000);
  std::atomic<size_t> written{0};
  std::atomic<int> failures{0};
  std::thread writer([&] {
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      if (!(*file)->Append(std::string_view(bytes).substr(at, 1000)).ok()) ++failures;
      written = at + 1000;
    }
  });
  for (size_t at_least = 0; at_least < bytes.size();) {
    at_least = written;
    const auto read = ReadAll(*backend_, "wal/1");
    EXPECT_TRUE(read.ok()) << read.status().ToString();
    if (!read.ok()) break;
    EXPECT_GE(read->size(), at_least);
    EXPECT_TRUE(read->substr(0, at_least) == bytes.substr(0, at_least));
  }
  writer.join();
  EXPECT_EQ(failures, 0);
}

// --- locks and space ---------------------------------------------------------------------------------------

TEST_P(BackendContract, LockExcludesOtherOpens) {
  if (backend_->features().locks == nullptr) return;
  const auto other = store_->Open();
  auto lock = backend_->features().locks->TryLock("lock", "pid 71 (tarn mount /mnt/x)");
  TARN_ASSERT_OK(lock.status());
  for (Backend* backend : {other.get(), backend_.get()}) {
    const Status refused = backend->features().locks->TryLock("lock", "pid 72 (who comes too late)").status();
    TARN_EXPECT_CODE(refused, Code::kBusy);
    EXPECT_NE(refused.message().find("pid 71 (tarn mount /mnt/x)"), std::string_view::npos) << refused.ToString();
  }
  TARN_ASSERT_OK(other->features().locks->TryLock("second", "me").status());  // another lock is another lock
  lock->reset();
  auto again = other->features().locks->TryLock("lock", "pid 9");
  TARN_ASSERT_OK(again.status());
  const Status refused = backend_->features().locks->TryLock("lock", "pid 10").status();
  EXPECT_NE(refused.message().find("pid 9"), std::string_view::npos) << refused.ToString();
  EXPECT_EQ(refused.message().find("/mnt/x"), std::string_view::npos)
      << "nothing of the longer line before it: " << refused.ToString();
  ExpectNames("", {});  // a lock is no blob
}

TEST_P(BackendContract, LockRaceHasOneHolder) {
  if (backend_->features().locks == nullptr) return;
  std::atomic<int> inside{0}, taken{0}, wrong{0};
  InParallel(4, [&](int me) {
    const auto mine = store_->Open();
    for (int round = 0; round < 200; ++round) {
      const auto lock = mine->features().locks->TryLock("lock", "thread " + std::to_string(me));
      if (lock.ok()) {
        ++taken;
        if (++inside != 1) ++wrong;
        --inside;
      } else if (lock.status().code() != Code::kBusy) {
        ++wrong;
      }
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(taken, 0);
}

TEST_P(BackendContract, SpaceIsPlausible) {
  if (backend_->features().space == nullptr) return;
  const auto space = backend_->features().space->Space();
  TARN_ASSERT_OK(space.status());
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->free_bytes, space->total_bytes);
}

}  // namespace tarn::test
