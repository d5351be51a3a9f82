// Writes the seeds in corpus/ with the real encoders:
//
//   make_seeds DIRECTORY        (tests/fuzz/corpus; the files of equal name are replaced)
//
// A format that changes changes its seeds: run it again and commit what it wrote. Targets whose input is a script for
// a real writer (wal_damage, store, repair) get short scripts of each operation; the fuzzer finds the rest.
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "backends/overlay/overlay.h"
#include "base/coding.h"
#include "cli/text.h"
#include "format/backup_record.h"
#include "format/block.h"
#include "format/compress.h"
#include "format/filter.h"
#include "format/manifest_record.h"
#include "format/table_builder.h"
#include "format/table_layout.h"
#include "kernel/batch.h"
#include "kernel/manifest.h"
#include "lake/layout.h"
#include "tarn/write_batch.h"
#include "tests/fuzz/target.h"
#include "tests/support/mem_backend.h"
#include "wal/builtin.h"
#include "wal/record.h"

namespace tarn::fuzz {
namespace {

namespace fs = std::filesystem;

class Seeds {
 public:
  explicit Seeds(fs::path root) : root_(std::move(root)) {}
  void Add(const std::string& target, const std::string& name, const std::string& bytes) const {
    const Target* known = FindTarget(target);
    MUST(known != nullptr && bytes.size() <= known->max_bytes, target + "/" + name + " is no seed of a target");
    fs::create_directories(root_ / target);
    std::ofstream(root_ / target / name, std::ios::binary) << bytes;
  }

 private:
  fs::path root_;
};

std::string Prefixed(std::initializer_list<int> front, std::string_view rest) {
  std::string out;
  for (const int byte : front) out += static_cast<char>(byte);
  return out.append(rest);
}
std::string Short(std::string_view bytes) { return Prefixed({static_cast<int>(bytes.size())}, bytes); }

void AddCoding(const Seeds& seeds) {
  std::string kinds = {0, 1, 2, 3, 4, 2, 4}, values;
  PutFixed32(&values, 7);
  PutFixed64(&values, 1ull << 40);
  PutVarint(&values, UINT64_MAX);
  PutVarint(&values, UINT32_MAX);
  PutBytes(&values, "bytes");
  PutVarint(&values, 300);
  PutBytes(&values, "");
  kinds.resize(values.size() / 3 + 1);
  seeds.Add("coding", "each", kinds + values);
  seeds.Add("internal_key", "versions",
            Short(MakeInternalKey("k", 7, Kind::kPut)) + Short(MakeInternalKey("k", 3, Kind::kDelete)) +
                Short(SeekKey("kk", 5)));
  WriteBatch batch;
  batch.Put("key", "value");
  batch.Delete(ColumnFamily{3}, "gone");
  batch.DeleteRange("a", "b");
  std::string payload;
  kernel::AppendPayloadHeader(&payload, 9, 2, batch.count());
  seeds.Add("payload", "batch", payload + std::string(batch.bytes()));
}

std::string DataBlock(int from, int count) {
  BlockBuilder builder(kDataRestartInterval);
  for (int i = from; i < from + count; ++i) {
    const std::string key = "key" + std::to_string(100 + i);
    builder.Add(MakeInternalKey(key, 5, Kind::kPut), "value " + std::to_string(i));
    builder.Add(MakeInternalKey(key, 2, i % 3 == 0 ? Kind::kDelete : Kind::kPut), "");
  }
  return std::string(builder.Finish());
}

std::string Pack(Compression method, std::string_view payload) {
  std::string packed;
  const Compression used = BlockCompressor(method).Append(payload, &packed);
  return Prefixed({static_cast<int>(used)}, packed);
}

TableMeta MetaOfSeeds() {
  TableMeta meta;
  meta.smallest = "key100";
  meta.largest = "key129";
  meta.min_sequence = 2;
  meta.max_sequence = 5;
  meta.entries = 60;
  meta.deletions = 10;
  meta.raw_bytes = 1000;
  return meta;
}

void AddFormat(const Seeds& seeds) {
  BlockBuilder index(kIndexRestartInterval);
  for (int i = 0; i < 5; ++i) {
    std::string handle;
    PutHandle(&handle, {static_cast<uint64_t>(i) * 100, 100});
    index.Add(SeekKey("sep" + std::to_string(i), 1), handle);
  }
  seeds.Add("block", "data", DataBlock(0, 30));
  seeds.Add("block", "one", DataBlock(0, 1));
  seeds.Add("block", "index", std::string(index.Finish()));
  for (const Compression method : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    seeds.Add("compressed", "method" + std::to_string(static_cast<int>(method)), Pack(method, DataBlock(0, 10)));
  }
  FilterBuilder filter(10);
  filter.Add("key1");
  filter.Add("key2");
  seeds.Add("filter", "two_keys", Prefixed({10, 2}, Short("key1") + Short("key2") + filter.Finish()));
  TableFooter footer;
  footer.store_id = "0123456789abcdef";
  footer.number = 7;
  footer.properties = {300, 40};
  seeds.Add("properties", "small",
            EncodeFooter(footer, 0) + std::string(2, '\0') + EncodeProperties(MetaOfSeeds(), {3, "three"}));
  std::string ranges = "bz";
  for (const char* range : {"a\2ff\1", "c\1g\2", "c\1g\2", "b\1z\7"}) ranges += range;
  seeds.Add("ranges", "overlapping", ranges);
}

void AddTable(const Seeds& seeds, const std::string& name, const TableOptions& options, int keys, bool ranges) {
  test::MemBackend backend;
  auto builder = TableBuilder::Create(backend, "0123456789abcdef", 7, options).value();
  for (int i = 0; i < keys; ++i) {
    const std::string key = "key" + std::to_string(1000 + i / 2);
    const Sequence sequence = i % 2 == 0 ? 9 : 4;
    MUST(builder
             ->Add(MakeInternalKey(key, sequence, i % 7 == 0 ? Kind::kDelete : Kind::kPut),
                   i % 7 == 0 ? "" : "value of " + key)
             .ok(),
         "memory takes no entry");
  }
  if (ranges) {
    builder->AddRangeTombstone({"b", "key1003", 6});
    builder->AddRangeTombstone({"key1001", "z", 8});
  }
  MUST(builder->Finish().ok(), "memory takes no table");
  seeds.Add("table", name, backend.Contents(TableBlobName(7)).value());
}

void AddTables(const Seeds& seeds) {
  TableOptions options;
  options.block_bytes = 128;
  options.compression = Compression::kNone;
  AddTable(seeds, "blocks", options, 40, true);
  AddTable(seeds, "one", options, 1, false);
  AddTable(seeds, "ranges", options, 0, true);
  options.filter_bits_per_key = 0;
  AddTable(seeds, "no_filter", options, 12, false);
  options.block_bytes = 512;
  options.compression = Compression::kZstd;
  AddTable(seeds, "zstd", options, 60, false);
  const std::string none(1, '\0');
  FilterBuilder filter(10);
  for (int i = 100; i < 130; ++i) filter.Add("key" + std::to_string(i));
  BlockBuilder ranges(kDataRestartInterval);
  ranges.Add(MakeInternalKey("b", 4, Kind::kRangeDelete), "d");
  const std::string properties = none + EncodeProperties(MetaOfSeeds(), {3, "three"});
  seeds.Add("table_parts", "two_blocks",
            JoinSections({Prefixed({60}, ""), none + filter.Finish(), "", properties, "", none + DataBlock(0, 15),
                          none + DataBlock(15, 15)}));
  seeds.Add("table_parts", "ranges",
            JoinSections({Prefixed({4}, ""), "", none + std::string(ranges.Finish()), properties, "",
                          Pack(Compression::kLz4, DataBlock(0, 2))}));
}

void AddLogs(const Seeds& seeds) {
  constexpr std::string_view kStore = "example-store-01";
  test::MemBackend backend;
  auto writer = NewSegmentedWal()->Open(backend, kStore, 1).value();
  const auto must = [](const Status& status) { MUST(status.ok(), status.ToString()); };
  must(writer->Append("one", Durability::kPower));
  must(writer->Append("two", Durability::kProcess));
  must(writer->Rotate().status());
  must(writer->Append("three", Durability::kPower));
  must(writer->Append("", Durability::kProcess));
  const auto segment = [&](int number) {
    return Prefixed({number - 1}, backend.Contents(wal::SegmentName(static_cast<uint64_t>(number))).value());
  };
  seeds.Add("wal", "unsealed", JoinSections({std::string(1, '\0'), segment(1), segment(2)}));
  must(writer->Close());
  seeds.Add("wal", "closed", JoinSections({std::string(1, '\0'), segment(1), segment(2)}));
  seeds.Add("wal", "released", JoinSections({std::string(1, '\1'), segment(2)}));
  auto second = NewSegmentedWal()->Open(backend, kStore, 3).value();
  must(second->Append("four", Durability::kPower));
  seeds.Add("wal", "two_writers", JoinSections({std::string(1, '\0'), segment(1), segment(2), segment(3)}));
  // Appends (3: none, 11: process, 19: power) with sizes, a rotation, a second writer, then damage.
  seeds.Add("wal_damage", "flip", Prefixed({5, 19, 9, 11, 5, 19, 1, 3, 7, 0, 0, 0, 0, 100, 0, 1}, ""));
  seeds.Add("wal_damage", "rotate", Prefixed({6, 19, 9, 1, 11, 5, 10, 11, 3, 0, 1, 1, 5, 90, 0}, ""));
  seeds.Add("wal_damage", "cut", Prefixed({4, 11, 9, 2, 11, 5, 3, 20, 1, 0, 5, 80, 0}, ""));
}

ManifestTable TableOfSeeds(uint64_t number, uint64_t run) {
  ManifestTable table;
  table.run = run;
  table.meta = MetaOfSeeds();
  table.meta.number = number;
  table.meta.file_bytes = 4000;
  return table;
}

void AddManifest(const Seeds& seeds) {
  test::MemBackend backend;
  kernel::Manifest manifest(backend);
  const auto must = [](const Status& status) { MUST(status.ok(), status.ToString()); };
  must(manifest.Create("0123456789abcdef", "seeds"));
  ManifestRecord step = manifest.NextStep();
  step.next_table = 3;
  step.next_run = 3;
  step.next_family = 2;
  step.families_added.push_back({1, "two"});
  step.tables_added = {TableOfSeeds(1, 1), TableOfSeeds(2, 2)};
  step.snapshots_added.push_back({"then", 4, 1000});
  must(manifest.Publish(step));
  must(manifest.Publish(manifest.NextStep()));
  step = manifest.NextStep();
  step.next_table = 4;
  step.next_run = 4;
  step.tables_removed = {1, 2};
  step.tables_added = {TableOfSeeds(3, 3)};
  step.snapshots_dropped = {"then"};
  step.families_dropped = {1};
  must(manifest.Publish(step));
  const auto record = [&](uint64_t number) { return backend.Contents(ManifestBlobName(number)).value(); };
  seeds.Add("manifest", "first", JoinSections({record(1)}));
  seeds.Add("manifest", "deltas", JoinSections({record(1), record(2), record(3), record(4)}));
  seeds.Add("manifest", "empty_delta", JoinSections({record(1), record(2), record(3)}));
  seeds.Add("manifest", "full", JoinSections({EncodeManifestRecord([&] {
              kernel::ManifestState state;
              must(state.Apply(*DecodeManifestRecord(record(1), 1)));
              must(state.Apply(*DecodeManifestRecord(record(2), 2)));
              return state.Full(1);
            }())}));
}

void AddBackup(const Seeds& seeds) {
  const std::string store = "0123456789abcdef";
  const auto record = [&](std::vector<ManifestTable> tables) {
    BackupRecord made;
    made.state.number = made.state.base = 1;
    made.state.store_id = store;
    made.state.next_table = made.state.next_run = 9;
    made.state.families_added = {{0, "default"}};
    made.state.tables_added = std::move(tables);
    made.info.number = 1;
    made.info.label = "seeds";
    DescribeTables(made.state, &made.info);
    return EncodeBackupRecord(BackupBlobName(1), made);
  };
  ManifestTable table = TableOfSeeds(1, 1);
  table.family = 0;
  const std::string list = overlay::EncodeBase({"s3://bucket/p", "clone/0123456789abcdef", {{"table/1", 400}}});
  seeds.Add("backup", "empty", JoinSections({record({}), EncodeRepository(store), list}));
  seeds.Add("backup", "table", JoinSections({record({table}), EncodeRepository(store), list}));
}

void AddLake(const Seeds& seeds) {
  lake::Inode inode;
  inode.mode = S_IFLNK | 0777;
  inode.nlink = 1;
  inode.size = 4;
  inode.mtime = -5;
  inode.target = "to/x";
  lake::Extent extent;
  extent.length = 5000;
  lake::LogRecord record;
  record.sequence = 12;
  record.who = "me@here";
  record.command = "tarn import x";
  record.files = 3;
  const auto row = [](int kind, const std::string& key, const std::string& value) {
    return Prefixed({kind, static_cast<int>(key.size())}, key + value);
  };
  seeds.Add("lake_rows", "inode", row(0, lake::MetaKey(lake::kInodeRow, 2), lake::Encode(inode)));
  seeds.Add("lake_rows", "entry", row(1, lake::NameKey('D', 1, "name"), lake::Encode(lake::Entry{2, S_IFDIR})));
  seeds.Add("lake_rows", "extent", row(2, lake::ExtentKey(2, 9), lake::Encode(extent)));
  seeds.Add("lake_rows", "log", row(3, lake::MetaKey(lake::kLogRow, 1), lake::Encode(record)));
  seeds.Add("lake_rows", "superblock", row(4, "Z", lake::Encode(lake::Superblock{1026, true, 3, 5})));
  seeds.Add("lake_rows", "backref", row(1, lake::BackrefKey({}, 2, 9), ""));
  seeds.Add("paths", "plain", Short("a") + "/a/b");
  seeds.Add("paths", "link", Short("../a/./b") + "/l/");
  seeds.Add("paths", "loop", Short("/l") + "//l/x/../y");
  seeds.Add("paths", "new", Short("f") + "/a/n/");
}

void AddCli(const Seeds& seeds) {
  seeds.Add("text", "escapes", "a\\n\\x41\\101\\\\ b'c");
  seeds.Add("text", "bytes", "caf\xc3\xa9 \xc2\x85 \xed\xa0\x80 \xf0\x9f\x98\x80\x01\n");
  seeds.Add("location", "url", "file:///data/lake");
  seeds.Add("location", "relative", "file://lake");
  seeds.Add("location", "scheme", "s3://bucket/x");
  seeds.Add("location", "path", "a/b://c");
  const auto request = [](const std::string& body) {
    std::string out = Prefixed({0}, "tarn");
    PutFixed32(&out, 1);
    PutFixed32(&out, static_cast<uint32_t>(body.size()));
    return out + body;
  };
  seeds.Add("wire", "request", request(R"({"args": ["ls", "-l", "/\\303"], "lake": "~/lake"})"));
  seeds.Add("wire", "short", request(R"({"args": [], "lake": ""})").substr(0, 30));
  seeds.Add("wire", "deep", request(std::string(4000, '[')));
  seeds.Add("wire", "other_json", request(R"({"args": [1, null, {"a": 1e9}], "lake": false})"));
  seeds.Add("wire_arguments", "words", JoinSections({"ls", "-l", "/a b", "\xff\n", "", "/lake"}));
}

// Status (from 100), header, body; and URL, profile, file.
void AddS3(const Seeds& seeds) {
  const auto answer = [](int status, std::string_view header, std::string_view body) {
    const int code = status - 100;
    return Prefixed({code & 255, code >> 8}, Short(header)).append(body);
  };
  seeds.Add(
      "s3_answers", "listing",
      answer(
          200, "bytes 0-9/100",
          "<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
          "<Contents><Key>a%20b+c</Key><Size>5</Size><ETag>&quot;e&quot;</ETag></Contents></ListBucketResult>"));
  seeds.Add("s3_answers", "error",
            answer(503, "3", "<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"));
  seeds.Add("s3_answers", "redirect",
            answer(301, "eu-west-1", "<Error><Code>PermanentRedirect</Code><Region>eu-west-1</Region></Error>"));
  seeds.Add("s3_answers", "upload",
            answer(200, "", "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"));
  seeds.Add("s3_answers", "deleted",
            answer(200, "", "<DeleteResult><Error><Code>AccessDenied</Code></Error></DeleteResult>"));
  seeds.Add("s3_answers", "bomb", answer(200, "", "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>"));
  seeds.Add("s3_answers", "page", answer(407, "", "<html><body>Sign in<br></body></html>"));
  const auto text = [](std::string_view url, std::string_view profile, std::string_view file) {
    return Short(url) + Short(profile).append(file);
  };
  seeds.Add(
      "s3_text", "profile",
      text("s3://bucket/a%20b?endpoint=http://h:9000&region=r&secret_key=env:S&hedge=off", "me",
           "[default]\nregion = r\n[profile me]\naws_access_key_id = a\ns3 =\n  x = y\naws_secret_access_key=s\n"));
  seeds.Add(
      "s3_text", "metadata",
      text("s3://b.c.d?addressing=virtual&part_mib=8&connections=9&deadline_seconds=1", "default",
           R"({"AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-11-21T00:00:00Z"})"));
  seeds.Add("s3_text", "date", text("s3://bucket?endpoint=https://[::1]:443", "", "Fri, 24 May 2013 00:00:00 GMT"));
}

// Control (closed or killed, resealed, strikes), strikes (file, place, kind, value), then open and operations.
void AddStore(const Seeds& seeds) {
  seeds.Add("store", "sound", Prefixed({1, 1, 11, 5, 4, 7, 2, 3, 5, 0, 6, 8, 18}, ""));
  seeds.Add("store", "sound_killed", Prefixed({0, 0, 11, 5, 1, 6, 7, 3, 4, 5, 8}, ""));
  seeds.Add("store", "flip", Prefixed({9, 6, 90, 0, 5, 255, 1, 8, 5, 4, 3, 8}, ""));
  seeds.Add("store", "cut_log", Prefixed({8, 14, 200, 0, 0, 1, 4, 8, 1, 8, 5}, ""));
  seeds.Add("store", "cut_closed_log", Prefixed({9, 14, 200, 0, 0, 1, 4, 8, 1, 8, 5}, ""));
  seeds.Add("store", "copy", Prefixed({17, 5, 0, 1, 3, 6, 2, 7, 20, 0, 2, 9, 1, 8, 4, 3, 5}, ""));
  seeds.Add("store", "resealed", Prefixed({15, 6, 90, 0, 5, 255, 1, 8, 5, 4, 3, 8}, ""));
  seeds.Add("repair", "sound", Prefixed({1}, ""));
  seeds.Add("repair", "sound_killed", Prefixed({0}, ""));
  seeds.Add("repair", "flip", Prefixed({9, 6, 90, 0, 5, 255}, ""));
  seeds.Add("repair", "cut_log", Prefixed({8, 14, 200, 0, 0}, ""));
  seeds.Add("repair", "cut_closed_log", Prefixed({9, 14, 200, 0, 0}, ""));
  seeds.Add("repair", "manifest", Prefixed({25, 0, 70, 0, 5, 1, 1, 80, 0, 0, 7, 9, 0, 7}, ""));
  seeds.Add("store", "resealed_manifest", Prefixed({14, 1, 60, 0, 5, 1, 1, 8, 5, 4, 3, 8}, ""));
}

}  // namespace
}  // namespace tarn::fuzz

int main(int argc, char** argv) {
  using namespace tarn::fuzz;
  if (argc != 2) {
    std::fprintf(stderr, "make_seeds: name the directory to write to: make_seeds tests/fuzz/corpus\n");
    return 2;
  }
  const Seeds seeds{argv[1]};
  AddCoding(seeds);
  AddFormat(seeds);
  AddTables(seeds);
  AddLogs(seeds);
  AddManifest(seeds);
  AddBackup(seeds);
  AddLake(seeds);
  AddCli(seeds);
  AddS3(seeds);
  AddStore(seeds);
}
