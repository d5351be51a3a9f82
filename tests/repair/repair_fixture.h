// A small store with every kind of blob in it, ways to damage it, and the guarantee of tarn/repair.h as a check.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/repair.h"
#include "tests/kernel/sim_store.h"

namespace tarn::test {

using RowsOf = std::map<std::string, std::string>;  // of one family
using Answers = std::map<std::string, RowsOf>;      // by family
using Moments = std::map<std::string, Answers>;     // by snapshot; "" is now
using Files = std::map<std::string, std::string>;

inline Settings RepairSettings() {
  Settings settings = SmallSettings();
  settings.block_bytes = 512;  // so that a table has several index partitions
  return settings;
}

inline Answers AnswersOf(DB& db, const Snapshot* snapshot) {
  Answers answers;
  for (const std::string& name : db.ListFamilies()) {
    RowsOf& rows = answers[name];
    const auto it = db.NewIterator(db.FindFamily(name).value(), {.snapshot = snapshot});
    for (it->SeekToFirst(); it->valid(); it->Next()) rows[std::string(it->key())] = it->value();
    EXPECT_TRUE(it->status().ok()) << it->status().ToString();
  }
  return answers;
}

inline Moments MomentsOf(DB& db) {
  Moments moments;
  for (const NamedSnapshot& named : db.ListNamedSnapshots()) {
    const auto snapshot = db.OpenNamedSnapshot(named.name).value();
    moments[named.name] = AnswersOf(db, snapshot.get());
  }
  moments[""] = AnswersOf(db, nullptr);
  return moments;
}

inline Files FilesOf(MemBackend& backend) {
  Files files;
  std::string after;
  for (bool more = true; more;) {
    const ListPage page = backend.List("", after, 100).value();
    for (const BlobInfo& blob : page.blobs) files[blob.name] = backend.Contents(after = blob.name).value();
    more = page.more && !page.blobs.empty();
  }
  return files;
}

// A backend with these files. The contents of blobs need not be what any store wrote.
inline std::shared_ptr<MemBackend> BackendOf(const Files& files) {
  auto backend = std::make_shared<MemBackend>();
  for (const auto& [name, bytes] : files) EXPECT_TRUE(backend->PutIfAbsent(name, bytes).ok());
  return backend;
}

struct Repaired {
  Result<RepairReport> report = Status::Invalid("not yet");
  Moments moments;
};

inline Repaired RepairFiles(const Files& files, const RepairOptions& options = {}) {
  Repaired repaired;
  const auto damaged = BackendOf(files);
  const auto target = std::make_shared<MemBackend>();
  repaired.report = Repair(*damaged, RepairSettings(), SimParts(target, 7), options);
  EXPECT_EQ(FilesOf(*damaged), files) << "repair changed the damaged store";
  if (!repaired.report.ok()) return repaired;
  Settings settings = RepairSettings();
  settings.create_if_missing = false;
  const auto db = OpenSim(target->CrashClone(1, CrashMode::kDropUnsynced), settings);  // it is durable
  EXPECT_TRUE(db.ok()) << db.status().ToString();
  if (!db.ok()) return repaired;
  EXPECT_TRUE((*db)->Verify().ok());
  repaired.moments = MomentsOf(**db);
  return repaired;
}

inline bool Covered(const RepairReport& report, const std::string& family, const std::string& key) {
  for (const RepairLoss& loss : report.losses) {
    if (loss.Covers(family, key)) return true;
  }
  return false;
}

inline std::string Listed(const RepairReport& report) {
  std::string text;
  for (const RepairLoss& loss : report.losses) text += "  " + loss.ToString() + "\n";
  return text;
}

// A family whose name is lost comes out as family-<id>, and the report says so.
inline std::string NameIn(const RepairReport& report, const std::string& family, uint32_t id) {
  const std::string nameless = "family-" + std::to_string(id);
  for (const RepairLoss& loss : report.losses) {
    if (!loss.keys && loss.family_name == nameless) return nameless;
  }
  return family;
}

inline const std::string* Answer(const RowsOf* rows, const std::string& key) {
  if (rows == nullptr) return nullptr;
  const auto it = rows->find(key);
  return it == rows->end() ? nullptr : &it->second;
}
inline const RowsOf* RowsIn(const Answers& answers, const std::string& family) {
  const auto it = answers.find(family);
  return it == answers.end() ? nullptr : &it->second;
}

// Every key outside the reported ranges has its answer, at every moment that was carried over. `families`: all of the
// original, by id. Returns how many of the keys of now are inside.
inline size_t ExpectGuarantee(const Moments& original, const std::vector<std::string>& families,
                              const Repaired& repaired, const std::string& what) {
  EXPECT_TRUE(repaired.report.ok()) << what << ": " << repaired.report.status().ToString();
  if (!repaired.report.ok()) return 0;
  const RepairReport& report = *repaired.report;
  size_t covered = 0;
  for (const auto& [moment, answers] : repaired.moments) {
    if (!original.contains(moment)) {
      ADD_FAILURE() << what << ": invented snapshot " << moment;
      continue;
    }
    for (uint32_t id = 0; id < families.size(); ++id) {
      const std::string name = NameIn(report, families[id], id);
      const RowsOf* const was = RowsIn(original.at(moment), families[id]);
      const RowsOf* const is = RowsIn(answers, name);
      std::set<std::string_view> keys;
      for (const RowsOf* const rows : {was, is}) {
        if (rows == nullptr) continue;
        for (const auto& [key, unused] : *rows) keys.insert(key);
      }
      for (const std::string_view key_view : keys) {
        const std::string key(key_view);
        if (Covered(report, name, key)) {
          covered += moment.empty();
          continue;
        }
        const std::string* const before = Answer(was, key);
        const std::string* const after = Answer(is, key);
        if (before == nullptr ? after == nullptr : after != nullptr && *before == *after) continue;
        ADD_FAILURE() << what << ": moment '" << moment << "' family " << families[id] << " key " << key << " was "
                      << (before == nullptr ? "absent" : *before) << ", is " << (after == nullptr ? "absent" : *after)
                      << "; reported:\n"
                      << Listed(report);
        return covered;
      }
    }
  }
  return covered;
}

}  // namespace tarn::test
