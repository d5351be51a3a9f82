#include "tests/kill/store_oracle.h"

#include <algorithm>

namespace tarn::test {
namespace {

Status Differs(const std::string& what) { return Status::Corruption("the store differs from its ledger: " + what); }

// The head of a value says who wrote it.
std::string Shown(const std::string& value) {
  const size_t n = std::min<size_t>(value.size(), 48);
  std::string text = "\"";
  for (const char c : value.substr(0, n)) text += c >= ' ' && c < 127 ? c : '?';
  return text + "\" (" + std::to_string(value.size()) + " bytes)";
}

std::string Where(int writer) { return "writer " + std::to_string(writer) + ": "; }

using Rows = std::vector<std::pair<std::string, std::string>>;

Result<Rows> ReadForward(DB& db, ColumnFamily family, const Snapshot& at) {
  ReadOptions options;
  options.snapshot = &at;
  const auto it = db.NewIterator(family, options);
  Rows rows;
  for (it->SeekToFirst(); it->valid(); it->Next()) rows.emplace_back(it->key(), it->value());
  TARN_TRY(it->status());
  return rows;
}

Status WalkBack(DB& db, ColumnFamily family, const Snapshot& at, const Rows& rows) {
  ReadOptions options;
  options.snapshot = &at;
  const auto it = db.NewIterator(family, options);
  auto expected = rows.rbegin();
  for (it->SeekToLast(); it->valid(); it->Prev(), ++expected) {
    if (expected == rows.rend()) return Differs("walking back, key " + std::string(it->key()) + " is there too");
    if (it->key() != expected->first || it->value() != expected->second) {
      return Differs("walking back, key " + std::string(it->key()) + " stands where " + expected->first + " was");
    }
  }
  TARN_TRY(it->status());
  return expected == rows.rend() ? Status() : Differs("walking back, key " + expected->first + " is not there");
}

}  // namespace

Bounds Bounds::AfterKill(const Ledger& ledger) {
  Bounds bounds{};
  for (int w = 0; w < kWriters; ++w) bounds.least[w] = ledger.writers[w].kept;
  bounds.most = ledger.Begun();
  bounds.position = std::numeric_limits<uint64_t>::max();
  return bounds;
}

Bounds Bounds::AfterPowerCut(const Ledger& ledger) {
  Bounds bounds = AfterKill(ledger);
  for (int w = 0; w < kWriters; ++w) bounds.least[w] = ledger.writers[w].synced;
  return bounds;
}

Bounds Bounds::AfterPowerCutAt(const Ledger& ledger, uint64_t requests) {
  Bounds bounds{ledger.first, ledger.first, requests + 1};
  for (int w = 0; w < kWriters; ++w) {
    const Ledger::Writer& writer = ledger.writers[w];
    for (uint64_t i = 0; i < kMostOperations; ++i) {
      const uint64_t begun = writer.begun_at[i], synced = writer.synced_at[i];
      if (begun != 0 && begun <= bounds.position) bounds.most[w] = ledger.first[w] + i + 1;
      if (synced != 0 && synced <= bounds.position) bounds.least[w] = ledger.first[w] + i + 1;
    }
  }
  return bounds;
}

void StoreOracle::WriterState::Apply(const Operation& operation) {
  for (const Change& change : operation.changes) {
    auto& map = rows[change.family];
    if (change.kind == Change::Kind::kPut) map[change.key] = change.value;
    if (change.kind == Change::Kind::kDelete) map.erase(change.key);
    if (change.kind == Change::Kind::kDeleteRange)
      map.erase(map.lower_bound(change.key), map.lower_bound(change.value));
  }
  ++count;
}

Counts StoreOracle::counts() const {
  Counts counts;
  for (int w = 0; w < kWriters; ++w) counts[w] = past_.state[w].count;
  return counts;
}

Status StoreOracle::Check(DB& db, const Ledger& ledger, const Bounds& bounds) {
  found_ = past_;
  const Result<Families> families = FindFamilies(db);
  if (!families.ok()) {
    const bool owes_nothing = counts() == Counts{} && bounds.least == Counts{} && past_.snapshots.empty();
    return families.status().code() == Code::kNotFound && owes_nothing ? Status() : families.status();
  }
  const std::unique_ptr<Snapshot> now = db.GetSnapshot();
  TARN_ASSIGN(const Counts reached, ReadCounters(db, *families, *now, ledger, counts()));
  for (int w = 0; w < kWriters; ++w) {
    if (reached[w] >= bounds.least[w] && reached[w] <= bounds.most[w]) continue;
    return Differs(Where(w) + "it has operations up to " + std::to_string(reached[w]) + "; promised were " +
                   std::to_string(bounds.least[w]) + ", begun " + std::to_string(bounds.most[w]));
  }
  TARN_ASSIGN(const auto snapshots, ReadSnapshots(db, *families, ledger, bounds, reached));
  TARN_TRY(Replay(ledger, reached, snapshots));
  TARN_TRY(Compare(db, *families, *now, found_.state));
  TARN_TRY(Lookups(db, *families, *now, found_.state, seed_ + ledger.generation));
  for (const auto& [id, seen] : snapshots) {
    TARN_TRY(
        Compare(db, *families, *seen.snapshot, found_.snapshots.at(id)).Annotate("snapshot s" + std::to_string(id)));
  }
  return db.Verify();
}

// Rule 1 within one moment, and rule 3.
Result<Counts> StoreOracle::ReadCounters(DB& db, const Families& families, const Snapshot& at, const Ledger& ledger,
                                         const Counts& past) {
  ReadOptions options;
  options.snapshot = &at;
  std::array<Counter, kWriters> counters;
  Counts counts{};
  for (int w = 0; w < kWriters; ++w) {
    std::array<std::string, 2> values;
    for (int f = 0; f < 2; ++f) {
      const Status got = db.Get(families[f], CounterKey(w), &values[f], options);
      if (!got.ok() && got.code() != Code::kNotFound) return got;
    }
    if (values[0] != values[1]) return Differs(Where(w) + "the families hold different counters: half a batch");
    if (!values[0].empty() && !DecodeCounter(values[0], &counters[w]))
      return Differs(Where(w) + "a counter is garbage");
    counts[w] = counters[w].number;
    if (counts[w] > past[w] && counters[w].generation != ledger.generation) {
      return Differs(Where(w) + "operation " + std::to_string(counts[w]) + " is of a generation that lost it");
    }
  }
  for (int w = 0; w < kWriters; ++w) {
    for (int other = 0; other < kWriters; ++other) {
      if (counters[w].seen[other] <= counts[other]) continue;
      return Differs("a hole: operation " + std::to_string(counts[w]) + " of writer " + std::to_string(w) +
                     " began after " + std::to_string(counters[w].seen[other]) + " operations of writer " +
                     std::to_string(other) + ", of which " + std::to_string(counts[other]) + " are there");
    }
  }
  return counts;
}

Result<std::map<uint64_t, StoreOracle::Seen>> StoreOracle::ReadSnapshots(DB& db, const Families& families,
                                                                         const Ledger& ledger, const Bounds& bounds,
                                                                         const Counts& now) {
  std::set<uint64_t> must, may;
  for (const auto& [id, state] : past_.snapshots) must.insert(id), may.insert(id);
  for (uint32_t i = 0; i < ledger.event_count; ++i) {
    const Ledger::SnapshotEvent& event = ledger.events[i];
    if (event.begun_at > bounds.position) break;
    const bool done = event.done_at != 0 && event.done_at <= bounds.position;
    if (event.make) may.insert(event.id);
    if (event.make && done) must.insert(event.id);
    if (!event.make) must.erase(event.id);
    if (!event.make && done) may.erase(event.id);
  }
  std::map<uint64_t, Seen> snapshots;
  for (const NamedSnapshot& named : db.ListNamedSnapshots()) {
    const uint64_t id = std::stoull(named.name.substr(1));
    if (!may.contains(id)) return Differs("snapshot " + named.name + " should not be there");
    must.erase(id);
    Seen& seen = snapshots[id];
    TARN_ASSIGN(seen.snapshot, db.OpenNamedSnapshot(named.name));
    const auto known = past_.snapshots.find(id);
    Counts past = counts();
    if (known != past_.snapshots.end()) past.fill(std::numeric_limits<uint64_t>::max());
    TARN_ASSIGN(seen.counts, ReadCounters(db, families, *seen.snapshot, ledger, past));
    if (known == past_.snapshots.end()) TARN_TRY(CheckNewSnapshot(id, seen, ledger, now));
  }
  if (!must.empty()) return Differs("snapshot s" + std::to_string(*must.begin()) + " is not there");
  return snapshots;
}

Status StoreOracle::CheckNewSnapshot(uint64_t id, const Seen& seen, const Ledger& ledger, const Counts& now) const {
  const auto end = ledger.events.begin() + ledger.event_count;
  const auto made = std::find_if(ledger.events.begin(), end, [&](const auto& e) { return e.make && e.id == id; });
  const Counts first = counts();
  for (int w = 0; w < kWriters; ++w) {
    const uint64_t least = std::max(made->least[w], first[w]);
    const uint64_t most = made->done_at != 0 ? std::min(made->most[w], now[w]) : now[w];
    if (seen.counts[w] >= least && seen.counts[w] <= most) continue;
    return Differs("snapshot s" + std::to_string(id) + ", " + Where(w) + "operations up to " +
                   std::to_string(seen.counts[w]) + "; it may have " + std::to_string(least) + ".." +
                   std::to_string(most));
  }
  return {};
}

// Makes found_ what the counters say, from past_.
Status StoreOracle::Replay(const Ledger& ledger, const Counts& now, const std::map<uint64_t, Seen>& snapshots) {
  std::erase_if(found_.snapshots, [&](const auto& known) { return !snapshots.contains(known.first); });
  for (int w = 0; w < kWriters; ++w) {
    WriterState& state = found_.state[w];
    for (;;) {
      for (const auto& [id, seen] : snapshots) {
        if (!past_.snapshots.contains(id) && seen.counts[w] == state.count) found_.snapshots[id][w] = state;
      }
      if (state.count >= now[w]) break;
      state.Apply(MakeOperation(seed_, ledger.generation, w, state.count + 1));
    }
  }
  return {};
}

Status StoreOracle::Compare(DB& db, const Families& families, const Snapshot& at, const State& expected) {
  for (int f = 0; f < 2; ++f) {
    TARN_ASSIGN(const Rows rows, ReadForward(db, families[f], at));
    auto row = rows.begin();
    for (int w = 0; w < kWriters; ++w) {
      const std::string where = "family " + std::to_string(f) + ", " + Where(w);
      // Its value was checked with the others.
      if (expected[w].count > 0 && (row == rows.end() || (row++)->first != CounterKey(w))) {
        return Differs(where + "its counter is not where it belongs");
      }
      for (const auto& [key, value] : expected[w].rows[f]) {
        if (row == rows.end() || row->first > key) return Differs(where + "key " + key + " is lost: " + Shown(value));
        if (row->first < key) return Differs(where + "key " + row->first + " came back: " + Shown(row->second));
        if (row->second != value) {
          return Differs(where + "key " + key + " holds " + Shown(row->second) + " instead of " + Shown(value));
        }
        ++row;
      }
    }
    if (row != rows.end()) return Differs("key " + row->first + " came back: " + Shown(row->second));
    TARN_TRY(WalkBack(db, families[f], at, rows));
  }
  return {};
}

Status StoreOracle::Lookups(DB& db, const Families& families, const Snapshot& at, const State& expected,
                            uint64_t seed) {
  ReadOptions options;
  options.snapshot = &at;
  SeededRandom random(seed);
  for (int f = 0; f < 2; ++f) {
    std::vector<std::string> keys, values;
    std::vector<const std::string*> wanted;
    for (int i = 0; i < 16; ++i) {
      const int w = static_cast<int>(random.Below(kWriters));
      keys.push_back(KeyOf(w, random.Below(kKeysOfWriter)));
      const auto& rows = expected[w].rows[f];
      const auto row = rows.find(keys.back());
      wanted.push_back(row == rows.end() ? nullptr : &row->second);
    }
    const std::vector<Status> got =
        db.MultiGet(families[f], std::vector<std::string_view>(keys.begin(), keys.end()), &values, options);
    for (size_t i = 0; i < keys.size(); ++i) {
      std::string one;
      const Status alone = db.Get(families[f], keys[i], &one, options);
      if (!got[i].ok() && got[i].code() != Code::kNotFound) return got[i];
      if (got[i].ok() != (wanted[i] != nullptr) || (got[i].ok() && values[i] != *wanted[i]) ||
          alone.code() != got[i].code() || (alone.ok() && one != *wanted[i])) {
        return Differs("looked up, key " + keys[i] + " is not what the walk found");
      }
    }
  }
  return {};
}

}  // namespace tarn::test
