#include "tests/fuzz/damaged_store.h"

#include <algorithm>

#include "format/manifest_record.h"
#include "tarn/db.h"
#include "tests/fuzz/reseal.h"
#include "tests/kernel/sim_store.h"

namespace tarn::fuzz {
namespace {

class Maker {
 public:
  MadeStore Make() {
    backend_ = std::make_shared<test::MemBackend>();
    db_ = test::OpenSim(backend_, StoreSettings()).value();
    two_ = db_->CreateFamily("two").value();
    for (int i = 0; i < kStoreKeys; ++i)
      Put(i % 4 == 3, StoreKey(i), "first " + std::string(30, static_cast<char>('a' + i % 26)));
    Flush();
    batch_.DeleteRange(StoreKey(10), StoreKey(14));
    std::erase_if(now_[0], [](const auto& row) { return row.first >= StoreKey(10) && row.first < StoreKey(14); });
    for (int i = 0; i < kStoreKeys; i += 5) Put(false, StoreKey(i), "second " + StoreKey(i));
    for (int i = 3; i < kStoreKeys; i += 8) Delete(true, StoreKey(i));
    Flush();
    MUST(db_->CreateNamedSnapshot(kStoreSnapshot).ok(), "a store in memory makes no snapshot");
    made_.at_snapshot = now_[0];
    for (int i = 0; i < kStoreKeys; i += 3) Put(i % 2 == 0, StoreKey(i), "third");
    Flush();
    made_.states = {now_};
    for (int i = 0; i < 6; ++i) {
      Put(false, StoreKey(20), "log " + StoreKey(i));
      Put(true, StoreKey(30 + i), "log");
      Delete(false, StoreKey(2 * i));
      Write(i % 2 == 0 ? Durability::kPower : Durability::kProcess);
      made_.states.push_back(now_);
    }
    made_.killed = backend_->CrashClone(1, test::CrashMode::kProcessKill);
    MUST(db_->Close().ok(), "a store in memory does not close");
    db_.reset();
    made_.closed = backend_;
    const auto newest = backend_->List("manifest/", "", 1000);
    const std::string name = newest->blobs.back().name;
    made_.store_id =
        DecodeManifestRecord(backend_->Contents(name).value(), std::stoull(name.substr(9), nullptr, 16))->store_id;
    return std::move(made_);
  }

 private:
  void Put(bool two, const std::string& key, const std::string& value) {
    batch_.Put(two ? two_ : ColumnFamily{}, key, value);
    now_[two][key] = value;
  }
  void Delete(bool two, const std::string& key) {
    batch_.Delete(two ? two_ : ColumnFamily{}, key);
    now_[two].erase(key);
  }
  void Write(Durability durability) {
    MUST(db_->Write(batch_, durability).ok(), "a store in memory does not write");
    batch_.Clear();
  }
  void Flush() {
    Write(Durability::kPower);
    MUST(db_->Flush().ok(), "a store in memory does not flush");
  }

  std::shared_ptr<test::MemBackend> backend_;
  std::unique_ptr<DB> db_;
  ColumnFamily two_;
  WriteBatch batch_;
  State now_;
  MadeStore made_;
};

class Vandal {
 public:
  // `lone`: the damage is a single one.
  Vandal(Input* in, DamagedStore* damaged, bool lone)
      : in_(in), damaged_(*damaged), backend_(damaged->backend.get()), lone_(lone) {
    for (const char* prefix : {"manifest/", "table/", "wal/"}) {
      const auto page = backend_->List(prefix, "", 1000);
      for (const BlobInfo& blob : page->blobs) names_.push_back(blob.name);
    }
  }

  void Strike() {
    const std::string& name = names_[in_->Below(static_cast<uint32_t>(names_.size()))];
    const auto there = backend_->Contents(name);
    if (!there.ok()) return;  // deleted before
    std::string bytes = *there;
    const size_t at = in_->Below(65536) % (bytes.size() + 1);
    const uint8_t kind = in_->Byte();
    // Who loses the newest manifest record and what vouches for it (the log) has an older store.
    if (kind % 8 == 7 && (lone_ || !name.starts_with("manifest/"))) {
      Note(name);
      MUST(backend_->Delete(name).ok(), "memory does not delete");
      return;
    }
    Change(kind % 8, at, &bytes);
    if (bytes == *there) return;
    Note(name);
    if (damaged_.resealed) Reseal(name, &bytes);
    MUST(backend_->Corrupt(name, bytes).ok(), "memory does not change");
  }

 private:
  void Note(const std::string& name) {
    damaged_.any = true;
    damaged_.log = damaged_.log || name.starts_with("wal/");
    damaged_.tables = damaged_.tables || name.starts_with("table/");
    damaged_.manifest = damaged_.manifest || name.starts_with("manifest/");
  }
  void Change(int kind, size_t at, std::string* bytes) {
    switch (kind) {
      case 0: bytes->resize(at); break;
      case 1: *bytes += in_->Short(); break;
      case 2: {
        const size_t n = std::min<size_t>(in_->Byte(), bytes->size() - at);
        bytes->replace(at, n, n, '\0');
        break;
      }
      case 3: {  // a piece of another file, as a misdirected write leaves it
        const auto other = backend_->Contents(names_[in_->Below(static_cast<uint32_t>(names_.size()))]);
        if (!other.ok()) break;
        const size_t n = std::min<size_t>({size_t{64} * in_->Byte(), bytes->size() - at, other->size()});
        bytes->replace(at, n, *other, 0, n);
        break;
      }
      default:
        if (at < bytes->size()) (*bytes)[at] = static_cast<char>((*bytes)[at] ^ in_->Byte());
    }
  }
  void Reseal(const std::string& name, std::string* bytes) const {
    const uint64_t number = std::stoull(name.substr(name.find('/') + 1), nullptr, 16);
    if (name.starts_with("table/")) ResealTableFile(TheStore().store_id, number, bytes);
    if (name.starts_with("manifest/")) ResealRecord(number, bytes);
    if (name.starts_with("wal/")) ResealSegment(TheStore().store_id, number, {}, bytes);
  }

  Input* const in_;
  DamagedStore& damaged_;
  test::MemBackend* const backend_;
  const bool lone_;
  std::vector<std::string> names_;
};

}  // namespace

std::string StoreKey(int i) {
  return std::string("k") + static_cast<char>('0' + i / 10) + static_cast<char>('0' + i % 10);
}

Settings StoreSettings() {
  Settings settings = test::SmallSettings();
  settings.block_bytes = 512;
  return settings;
}

const MadeStore& TheStore() {
  static const MadeStore made = Maker().Make();
  return made;
}

// First byte: closed or killed, resealed (one of four), number of strikes.
DamagedStore Damage(Input* in) {
  const uint8_t control = in->Byte();
  DamagedStore damaged;
  damaged.killed = (control & 1) == 0;
  damaged.resealed = (control & 6) == 6;
  const auto& files = damaged.killed ? TheStore().killed : TheStore().closed;
  damaged.backend = files->CrashClone(1, test::CrashMode::kProcessKill);
  int strikes = control >> 3 & 3;
  Vandal vandal(in, &damaged, strikes == 1);
  for (; strikes > 0; --strikes) vandal.Strike();
  return damaged;
}

}  // namespace tarn::fuzz
