// The S3 backend on an S3 in memory: the contract suite, what each verb costs in requests, lost answers, servers
// whose conditions are not to be trusted.
#include <algorithm>

#include "tests/contract/backend_contract.h"
#include "tests/s3/mem_store.h"

namespace tarn::test {
namespace {

using s3::HttpRequest;
using s3::S3Stats;
using s3::Verb;

class MemStore final : public ContractStore {
 public:
  explicit MemStore(Habits habits) : world_(habits) {}
  std::shared_ptr<Backend> Open() override { return world_.Must(); }

 private:
  MemWorld world_;
};

std::vector<ContractParam> Servers() {
  const auto store = [](Habits habits) { return [=] { return std::make_unique<MemStore>(habits); }; };
  return {{"Strict", store({})},
          {"OldGateway", store({.honours_it_on_complete = false,
                                .lost_race_status = 500,
                                .lost_race_code = "UnknownError",
                                .quotes_etags = false})},
          {"Conflicting", store({.lost_race_status = 409, .lost_race_code = "ConcurrentModification"})}};
}

INSTANTIATE_TEST_SUITE_P(S3InMemory, BackendContract, testing::ValuesIn(Servers()), ContractParamName);

Status Write(Backend& backend, const std::string& name, const std::string& bytes) {
  TARN_ASSIGN(auto writer, backend.Create(name));
  TARN_TRY(writer->Append(bytes));
  return writer->Finish();
}

std::string ReadAll(Backend& backend, const std::string& name) {
  const auto reader = backend.Open(name);
  if (!reader.ok()) return reader.status().ToString();
  std::string out((*reader)->size(), '?');
  const Status read = (*reader)->Read(0, out);
  return read.ok() ? out : read.ToString();
}

size_t Count(const std::vector<std::string>& log, const std::string& start) {
  return std::count_if(log.begin(), log.end(), [&](const std::string& line) { return line.starts_with(start); });
}

// --- what is paid ------------------------------------------------------------------------------------------

TEST(S3BackendTest, RequestsOfEachVerb) {
  MemWorld world;
  const auto backend = world.Must();
  ASSERT_TRUE(Write(*backend, "a", "bytes").ok());
  EXPECT_EQ(world.server->TakeLog(), std::vector<std::string>{"PUT /bucket/p/a"});
  EXPECT_EQ(ReadAll(*backend, "a"), "bytes");
  EXPECT_EQ(world.server->TakeLog(), std::vector<std::string>{"GET /bucket/p/a"}) << "its size is known here";
  EXPECT_EQ(ReadAll(*backend, "a"), "bytes");
  EXPECT_EQ(world.server->TakeLog(), (std::vector<std::string>{"HEAD /bucket/p/a", "GET /bucket/p/a"}));
  ASSERT_TRUE(backend->List("", "", 10).ok());
  EXPECT_EQ(world.server->TakeLog().size(), 1u);
  EXPECT_EQ(ReadAll(*backend, "a"), "bytes");
  EXPECT_EQ(world.server->TakeLog(), std::vector<std::string>{"GET /bucket/p/a"}) << "it was listed";
  ASSERT_EQ(*backend->PutIfAbsent("a", "others"), PutOutcome::kExists);
  EXPECT_EQ(world.server->TakeLog(), (std::vector<std::string>{"PUT /bucket/p/a", "HEAD /bucket/p/a"}));
  ASSERT_TRUE(backend->Delete("a").ok());
  EXPECT_EQ(world.server->TakeLog(), (std::vector<std::string>{"HEAD /bucket/p/a", "DELETE /bucket/p/a"}));
  const S3Stats stats = backend->stats();
  EXPECT_EQ(stats.requests[static_cast<size_t>(Verb::kHead)], 3u);
  EXPECT_EQ(stats.requests[static_cast<size_t>(Verb::kDelete)], 1u);
  EXPECT_EQ(stats.requests[static_cast<size_t>(Verb::kList)], 1u);
  EXPECT_EQ(stats.retries, 0u);
}

TEST(S3BackendTest, TheProofIsPaidOnce) {
  MemWorld world;
  ASSERT_TRUE(world.Open().ok());
  const auto first = world.server->TakeLog();
  EXPECT_GT(first.size(), 30u);
  EXPECT_LT(first.size(), 50u);
  ASSERT_TRUE(world.Open().ok());
  EXPECT_EQ(world.server->TakeLog().size(), 1u);
  EXPECT_EQ(world.server->Keys().size(), 1u) << "the race left something behind";
  world.options.endpoint = "http://another-gateway";
  ASSERT_TRUE(world.Open().ok());
  EXPECT_GT(world.server->TakeLog().size(), 30u) << "another gateway was trusted unproved";
}

TEST(S3BackendTest, ReadOnlyProvesAndChangesNothing) {
  MemWorld world;
  ASSERT_TRUE(Write(*world.Must(), "a", "bytes").ok());
  MemWorld reading;
  reading.server = world.server;
  reading.options.read_only = true;
  reading.options.endpoint = "http://unproved";
  const auto backend = reading.Open();
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  EXPECT_EQ(ReadAll(**backend, "a"), "bytes");
  EXPECT_EQ((*backend)->Create("b").status().code(), Code::kInvalid);
  EXPECT_EQ((*backend)->PutIfAbsent("b", "").status().code(), Code::kInvalid);
  EXPECT_EQ((*backend)->Delete("a").code(), Code::kInvalid);
  EXPECT_EQ(Count(world.server->TakeLog(), "PUT /bucket/p/b"), 0u);
}

// --- servers that must be refused ----------------------------------------------------------------------------

TEST(S3BackendTest, ServersWithoutAtomicPutIfAbsentAreRefused) {
  for (const auto& [habits, why] :
       {std::pair<Habits, const char*>{{.honours_if_none_match = false}, "racing writers win"},
        {{.knows_conditions = false}, "is not there (501)"}}) {
    MemWorld world(habits);
    const Status status = world.Open().status();
    EXPECT_EQ(status.code(), Code::kUnsupported) << status.ToString();
    EXPECT_NE(status.message().find(why), std::string_view::npos) << status.ToString();
    EXPECT_NE(status.message().find("open read-only, or use another server"), std::string_view::npos);
    EXPECT_TRUE(world.server->Keys().empty()) << "a marker or a racer stayed";
  }
}

TEST(S3BackendTest, ProofHoldsOnABadNetwork) {
  int opened = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    MemWorld world({}, seed);
    auto random = std::make_shared<SeededRandom>(seed);
    world.server->SetPlan([=](const HttpRequest&, uint64_t) {
      if (!random->OneIn(5)) return Plan();
      return Plan{random->OneIn(2) ? Plan::What::kLoseAnswer : Plan::What::kLoseRequest};
    });
    const Status status = world.Open().status();
    EXPECT_NE(status.code(), Code::kUnsupported) << "a good server was refused: " << status.ToString();
    opened += status.ok() ? 1 : 0;
  }
  EXPECT_GE(opened, 45);
}

TEST(S3BackendTest, MissingBucketAndWrongKeysAreToldAtOpen) {
  for (const auto& [status, code, means] : {std::tuple<int, const char*, Code>{404, "NoSuchBucket", Code::kNotFound},
                                            {403, "SignatureDoesNotMatch", Code::kInvalid}}) {
    MemWorld world;
    world.server->SetPlan([answer = ErrorAnswer(status, code)](const HttpRequest&, uint64_t) {
      return Plan{Plan::What::kRefuse, answer};
    });
    EXPECT_EQ(world.Open().status().code(), means);
    world.options.read_only = true;
    EXPECT_EQ(world.Open().status().code(), means);
  }
}

// --- what happens once ---------------------------------------------------------------------------------------

TEST(S3BackendTest, LostAnswerOfOnesOwnSuccessIsSuccess) {
  MemWorld world;
  const auto backend = world.Must();
  Befall(world.server.get(), Method("PUT"), 1, {Plan::What::kLoseAnswer});
  const auto put = backend->PutIfAbsent("a", "mine");
  ASSERT_TRUE(put.ok()) << put.status().ToString();
  EXPECT_EQ(*put, PutOutcome::kCreated) << "412 to the second attempt is one's own first";
  EXPECT_EQ(world.server->TakeLog(),
            (std::vector<std::string>{"PUT /bucket/p/a", "PUT /bucket/p/a", "HEAD /bucket/p/a"}));
  EXPECT_EQ(*backend->PutIfAbsent("a", "mine"), PutOutcome::kExists) << "equal bytes of another call are another's";
}

TEST(S3BackendTest, RefusedWriteThatComesLateIsOnesOwn) {
  MemWorld world;
  const auto backend = world.Must();
  Plan late{Plan::What::kLate, ErrorAnswer(503, "SlowDown")};
  late.later = 1;  // before the second attempt
  Befall(world.server.get(), Method("PUT"), 1, late);
  EXPECT_EQ(*backend->PutIfAbsent("a", "mine"), PutOutcome::kCreated);
  EXPECT_EQ(ReadAll(*backend, "a"), "mine");
}

TEST(S3BackendTest, UnknownOutcomeIsIoAndNeverAGuess) {
  MemWorld world;
  world.options.deadline_nanos = 5'000'000'000;
  const auto backend = world.Must();
  world.server->SetPlan([](const HttpRequest& request, uint64_t) {
    return request.method == "PUT" ? Plan{Plan::What::kLoseRequest} : Plan();
  });
  Status status = backend->PutIfAbsent("a", "mine").status();
  EXPECT_EQ(status.code(), Code::kIo) << status.ToString();
  EXPECT_NE(status.message().find("nobody can tell"), std::string_view::npos);
  world.server->SetPlan([](const HttpRequest& request, uint64_t) {
    return request.method == "PUT" ? Plan{Plan::What::kLoseAnswer} : Plan{Plan::What::kLoseRequest};
  });
  status = backend->PutIfAbsent("a", "mine").status();
  EXPECT_EQ(status.code(), Code::kIo) << status.ToString();
  // Where nothing was sent, nothing happened.
  s3::HttpResponse unreachable;
  unreachable.failure = s3::HttpFailure::kConnect;
  unreachable.why = "connection refused";
  world.server->SetPlan([=](const HttpRequest&, uint64_t) { return Plan{Plan::What::kRefuse, unreachable}; });
  status = backend->PutIfAbsent("b", "mine").status();
  EXPECT_EQ(status.code(), Code::kUnavailable) << status.ToString();
}

TEST(S3BackendTest, LostAnswersOfAMultipartUpload) {
  const std::string bytes(11 << 20, 'x');
  for (uint64_t nth = 1; nth <= 6; ++nth) {  // create, three parts, ask, complete
    MemWorld world;
    const auto backend = world.Must();
    Befall(world.server.get(), [](const HttpRequest&) { return true; }, nth, {Plan::What::kLoseAnswer});
    const Status status = Write(*backend, "big", bytes);
    EXPECT_TRUE(status.ok()) << nth << ": " << status.ToString();
    EXPECT_TRUE(ReadAll(*backend, "big") == bytes) << nth;
    EXPECT_EQ(backend->stats().retries, 1u) << nth;
  }
}

TEST(S3BackendTest, CompletedWithAnErrorInsideIsAskedFor) {
  MemWorld world;
  const auto backend = world.Must();
  const auto completes = [](const HttpRequest& request) {
    return request.method == "POST" && request.url.find("uploadId=") != std::string::npos;
  };
  Befall(world.server.get(), completes, 1, {Plan::What::kRefuse, ErrorAnswer(200, "InternalError")});
  EXPECT_TRUE(Write(*backend, "big", std::string(11 << 20, 'x')).ok());
  EXPECT_EQ(ReadAll(*backend, "big").size(), 11u << 20);
}

TEST(S3BackendTest, UploadsAreAborted) {
  MemWorld world;
  const auto backend = world.Must();
  {
    auto writer = backend->Create("big");
    ASSERT_TRUE((*writer)->Append(std::string(11 << 20, 'x')).ok());
    EXPECT_EQ(world.server->uploads(), 1u);
  }
  EXPECT_EQ(world.server->uploads(), 0u) << "given up";
  ASSERT_TRUE(Write(*backend, "big", "first").ok());
  EXPECT_EQ(Write(*backend, "big", std::string(11 << 20, 'x')).code(), Code::kBusy);
  EXPECT_EQ(world.server->uploads(), 0u) << "lost";
  EXPECT_EQ(ReadAll(*backend, "big"), "first");
}

// --- readers -------------------------------------------------------------------------------------------------

TEST(S3BackendTest, DeletedBlobWithReadersIsCopiedAsideUntilTheLastIsGone) {
  MemWorld world;
  const auto backend = world.Must();
  ASSERT_TRUE(Write(*backend, "a", "old").ok());
  auto one = backend->Open("a"), two = backend->Open("a");
  ASSERT_TRUE(backend->Delete("a").ok());
  ASSERT_TRUE(Write(*backend, "a", "new").ok());
  std::string out(3, '?');
  for (auto* reader : {&one, &two}) {
    ASSERT_TRUE((**reader)->Read(0, out).ok());
    EXPECT_EQ(out, "old");
    EXPECT_EQ(world.server->Keys().size(), 3u) << "the marker, the new blob, the copy";
    reader->value().reset();
  }
  EXPECT_EQ(world.server->Keys().size(), 2u) << "the copy stayed";
  EXPECT_EQ(ReadAll(*backend, "a"), "new");
}

TEST(S3BackendTest, ReadsNeverMixTwoObjects) {
  MemWorld world;
  const auto mine = world.Must(), others = world.Must();
  ASSERT_TRUE(Write(*mine, "a", "old").ok());
  const auto reader = mine->Open("a");
  ASSERT_TRUE(others->Delete("a").ok());
  std::string out(3, '?');
  EXPECT_EQ((*reader)->Read(0, out).code(), Code::kNotFound);
  ASSERT_TRUE(Write(*others, "a", "new").ok());
  const Status status = (*reader)->Read(0, out);
  EXPECT_EQ(status.code(), Code::kNotFound) << status.ToString();
  EXPECT_NE(status.message().find("open it again"), std::string_view::npos);
  EXPECT_EQ(ReadAll(*mine, "a"), "new") << "opening again asks";
}

TEST(S3BackendTest, LargeReadsAreSplit) {
  MemWorld world;
  const auto backend = world.Must();
  std::string bytes(20 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 8);
  ASSERT_TRUE(Write(*backend, "big", bytes).ok());
  world.server->TakeLog();
  EXPECT_TRUE(ReadAll(*backend, "big") == bytes);
  EXPECT_EQ(Count(world.server->TakeLog(), "GET /bucket/p/big"), 3u);
}

TEST(S3BackendTest, WrongRangesAreErrors) {
  MemWorld world;
  const auto backend = world.Must();
  ASSERT_TRUE(Write(*backend, "a", "0123456789").ok());
  const auto reader = backend->Open("a");
  s3::HttpResponse other;
  other.status = 206;
  other.headers = {{"content-range", "bytes 5-9/10"}};
  other.body = "56789";
  Befall(world.server.get(), Method("GET"), 1, {Plan::What::kRefuse, other});
  std::string out(5, '?');
  EXPECT_EQ((*reader)->Read(0, out).code(), Code::kIo);
  EXPECT_EQ(out, "?????");
}

// --- many deletions ------------------------------------------------------------------------------------------

TEST(S3BackendTest, BulkDeleteIsARequestForAThousand) {
  MemWorld world;
  const auto backend = world.Must();
  std::vector<std::string> names;
  for (int i = 0; i < 2500; ++i) {
    names.push_back("n/" + std::to_string(i));
    ASSERT_TRUE(Write(*backend, names.back(), "").ok());
  }
  auto reader = backend->Open("n/7");
  ASSERT_TRUE(reader.ok());
  world.server->TakeLog();
  ASSERT_TRUE(backend->features().bulk->DeleteAll(names).ok());
  const auto log = world.server->TakeLog();
  EXPECT_EQ(Count(log, "POST /bucket/?delete"), 3u);
  EXPECT_EQ(Count(log, "PUT /bucket/p/TARN-S3/ASIDE/"), 1u) << "what has a reader is copied";
  EXPECT_EQ(log.size(), 4u);
  reader->reset();
  EXPECT_EQ(world.server->Keys().size(), 1u) << "the marker";
}

TEST(S3BackendTest, WhatABulkDeleteLeavesIsDeletedAlone) {
  for (const bool knows : {true, false}) {
    MemWorld world({.deletes_many = knows});
    const auto backend = world.Must();
    const std::vector<std::string> names = {"a", "b", "c", "never-there"};
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(Write(*backend, names[i], "").ok());
    world.server->KeepInBulk({"p/b"});
    world.server->TakeLog();
    ASSERT_TRUE(backend->features().bulk->DeleteAll(names).ok());
    const auto log = world.server->TakeLog();
    EXPECT_EQ(Count(log, "POST"), knows ? 1u : 0u) << "the proof has asked already, and nobody asks twice";
    EXPECT_EQ(Count(log, "DELETE"), knows ? 1u : 4u);
    EXPECT_EQ(world.server->Keys().size(), 1u);
  }
}

TEST(S3BackendTest, AFailedBulkDeleteIsAnErrorAndMayBeRepeated) {
  MemWorld world;
  const auto backend = world.Must();
  for (const char* name : {"a", "b"}) ASSERT_TRUE(Write(*backend, name, "").ok());
  const std::vector<std::string> names = {"a", "b"};
  world.server->SetPlan([](const HttpRequest&, uint64_t) {
    return Plan{Plan::What::kRefuse, ErrorAnswer(403, "AccessDenied")};
  });
  EXPECT_EQ(backend->features().bulk->DeleteAll(names).code(), Code::kInvalid);
  s3::HttpResponse answer = ErrorAnswer(200, "");
  answer.body = "<DeleteResult><Error><Key>p/others</Key><Code>InternalError</Code></Error></DeleteResult>";
  world.server->SetPlan([=](const HttpRequest&, uint64_t) { return Plan{Plan::What::kRefuse, answer}; });
  EXPECT_EQ(backend->features().bulk->DeleteAll(names).code(), Code::kIo) << "it was not asked for that key";
  world.server->SetPlan(nullptr);
  EXPECT_EQ(world.server->Keys().size(), 3u);
  EXPECT_TRUE(backend->features().bulk->DeleteAll(names).ok());
  EXPECT_EQ(world.server->Keys().size(), 1u);
}

// --- what dead writers leave ---------------------------------------------------------------------------------

TEST(S3BackendTest, CopiesAndUploadsOfEarlierEpochsAreCollected) {
  MemWorld world({.uploads_a_page = 2});
  const auto first = world.Must(), second = world.Must(), third = world.Must();
  const auto is_old = [](std::string_view name) { return name < "t/5"; };
  const auto collect = [&](Backend& backend, uint64_t epoch) {
    return backend.features().collector->Collect(epoch, is_old);
  };
  std::vector<std::unique_ptr<BlobReader>> readers;
  std::vector<std::unique_ptr<BlobWriter>> writers;
  const auto leave = [&](Backend& backend, const std::string& name, const std::string& upload) {
    ASSERT_TRUE(Write(backend, name, name).ok());
    readers.push_back(std::move(*backend.Open(name)));
    ASSERT_TRUE(backend.Delete(name).ok());
    writers.push_back(std::move(*backend.Create(upload)));
    ASSERT_TRUE(writers.back()->Append(std::string(11 << 20, 'x')).ok());
  };
  ASSERT_TRUE(collect(*first, 1).ok());
  for (const char* upload : {"t/1", "t/2", "t/3"}) leave(*first, "a", upload);
  ASSERT_TRUE(collect(*third, 3).ok());
  leave(*third, "c", "t/7");
  ASSERT_EQ(world.server->uploads(), 1u) << "t/1 to t/3 were aborted";
  // The second one took the store before the third did, and is late.
  ASSERT_TRUE(collect(*second, 2).ok());
  std::string out(1, '?');
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(readers[i]->Read(0, out).code(), Code::kNotFound) << "the copy stayed";
    EXPECT_FALSE(writers[i]->Finish().ok()) << "the upload stayed";
  }
  EXPECT_TRUE(readers[3]->Read(0, out).ok()) << "a later epoch's copy was taken";
  EXPECT_TRUE(writers[3]->Finish().ok()) << "a later writer's upload was aborted";
  EXPECT_EQ(third->stats().collected_copies, 3u);
  EXPECT_EQ(third->stats().collected_uploads, 3u);
  EXPECT_EQ(second->stats().collected_copies + second->stats().collected_uploads, 0u);
}

TEST(S3BackendTest, OthersUploadsAreLeftAlone) {
  MemWorld world;
  const auto backend = world.Must();
  MemWorld others;
  others.server = world.server;
  others.options.prefix = "p/FILES";
  const auto theirs = others.Must();
  auto writer = theirs->Create("t/1");
  ASSERT_TRUE((*writer)->Append(std::string(11 << 20, 'x')).ok());
  ASSERT_TRUE(backend->features().collector->Collect(9, [](std::string_view) { return true; }).ok());
  EXPECT_TRUE((*writer)->Finish().ok());
}

// --- what it costs -------------------------------------------------------------------------------------------

TEST(S3BackendTest, CostIsAFunctionOfRequestsAndPrices) {
  S3Stats stats;
  for (size_t i = 0; i < s3::kVerbs; ++i) stats.requests[i] = 1000;
  stats.bytes_received = 2ull << 30;
  stats.bytes_sent = 5ull << 30;
  const s3::S3Cost aws = s3::CostOf(stats, {});
  EXPECT_DOUBLE_EQ(aws.requests, 7 * 0.005 + 2 * 0.0004) << "GET and HEAD are cheap, DELETE and abort free";
  EXPECT_DOUBLE_EQ(aws.transfer, 0.18);
  EXPECT_DOUBLE_EQ(s3::StorageCost(10ull << 30, {}), 0.23);
  const s3::S3Cost own = s3::CostOf(stats, {.thousand_writes = 1, .thousand_reads = 0, .egress = 0.5});
  EXPECT_DOUBLE_EQ(own.requests, 7);
  EXPECT_DOUBLE_EQ(own.transfer, 1);
  EXPECT_EQ(s3::CostOf({}, {}).requests, 0);
}

TEST(S3BackendTest, MetersAreTheRequestsOfThisBackend) {
  MemWorld world;
  world.options.prices = {.thousand_writes = 1000, .thousand_reads = 10, .egress = 1 << 30, .storage = 7};
  world.Must();
  const auto backend = world.Must();  // one GET
  ASSERT_TRUE(Write(*backend, "a", "bytes").ok());
  EXPECT_EQ(ReadAll(*backend, "a"), "bytes");
  std::map<std::string, uint64_t> meters;
  for (const Meter& meter : backend->features().meters->Meters()) meters[meter.name] = meter.value;
  EXPECT_EQ(meters.at("s3.requests.put"), 1u);
  EXPECT_EQ(meters.at("s3.requests.get"), 2u);
  EXPECT_EQ(meters.at("s3.requests.delete_many"), 0u);
  EXPECT_EQ(meters.at("s3.bytes_sent"), 5u);
  const uint64_t received = meters.at("s3.bytes_received");
  EXPECT_GT(received, 5u) << "and the marker";
  EXPECT_EQ(meters.at("s3.cost.requests_billionths"), 1'020'000'000u);
  EXPECT_EQ(meters.at("s3.cost.transfer_billionths"), received * 1'000'000'000);
  EXPECT_EQ(meters.at("s3.cost.gb_month_billionths"), 7'000'000'000u);
}

// --- listing -------------------------------------------------------------------------------------------------

TEST(S3BackendTest, ListsPastAThousandAndSkipsWhatIsNoBlob) {
  MemWorld world;
  const auto backend = world.Must();
  std::vector<std::string> wanted;
  for (int i = 0; i < 2345; ++i) {
    wanted.push_back("n/" + std::to_string(10000 + i));
    ASSERT_TRUE(Write(*backend, wanted.back(), "").ok());
  }
  world.server->TakeLog();
  const auto page = backend->List("", "", 5000);
  ASSERT_TRUE(page.ok());
  EXPECT_FALSE(page->more);
  ASSERT_EQ(page->blobs.size(), wanted.size()) << "the marker is no blob";
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(page->blobs[i].name, wanted[i]);
  EXPECT_EQ(world.server->TakeLog().size(), 3u);
}

TEST(S3BackendTest, ForeignObjectsDoNotCostARequestEach) {
  MemWorld world;
  const auto backend = world.Must();
  MemWorld others;  // somebody who keeps files with capital letters in the same place
  others.server = world.server;
  others.options.prefix = "p/FILES";
  const auto theirs = others.Must();
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(Write(*theirs, std::to_string(i), "").ok());
  for (const char* name : {"z1", "z2", "z3"}) ASSERT_TRUE(Write(*backend, name, "").ok());
  world.server->TakeLog();
  auto page = backend->List("", "", 1);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  ASSERT_EQ(page->blobs.size(), 1u);
  EXPECT_EQ(page->blobs[0].name, "z1");
  EXPECT_TRUE(page->more);
  EXPECT_LE(world.server->TakeLog().size(), 12u);
  page = backend->List("", "z1", 2);
  ASSERT_EQ(page->blobs.size(), 2u);
  EXPECT_EQ(page->blobs[1].name, "z3");
  EXPECT_FALSE(page->more);
}

TEST(S3BackendTest, AServerThatListsWhatItWasNotAskedForIsRefused) {
  MemWorld world;
  const auto backend = world.Must();
  s3::HttpResponse answer = ErrorAnswer(200, "");
  answer.body = "<ListBucketResult><Contents><Key>elsewhere/a</Key><Size>1</Size></Contents></ListBucketResult>";
  Befall(world.server.get(), Method("GET"), 1, {Plan::What::kRefuse, answer});
  EXPECT_EQ(backend->List("", "", 10).status().code(), Code::kIo);
  answer.body =
      "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>p/a</Key><Size>1</Size></Contents>"
      "</ListBucketResult>";
  world.server->SetPlan([=](const HttpRequest&, uint64_t) { return Plan{Plan::What::kRefuse, answer}; });
  EXPECT_EQ(backend->List("", "", 10).status().code(), Code::kIo) << "the same page again and again";
}

}  // namespace
}  // namespace tarn::test
