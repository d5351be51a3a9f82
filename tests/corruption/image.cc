#include "tests/corruption/image.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "tests/support/sim_effects.h"
#include "wal/segment_reader.h"

namespace tarn::test {
namespace {

// A sector of a disk, what a block layer shifts by, and two lengths that straddle fields.
constexpr size_t kStretches[] = {7, 64, 512};

Damage Changed(const Image& sound, std::string what, const std::string& blob, std::string bytes, std::string detail) {
  Damage damage{std::move(what), blob, 0, blob + " " + detail, sound};
  const std::string& was = sound.at(blob);
  const size_t common = std::min(was.size(), bytes.size());
  damage.from = static_cast<size_t>(
      std::mismatch(was.begin(), was.begin() + static_cast<ptrdiff_t>(common), bytes.begin()).first - was.begin());
  damage.image[blob] = std::move(bytes);
  return damage;
}

void TryBytes(const Image& sound, const std::string& blob, std::string what, std::string bytes, std::string detail,
              const Try& each) {
  if (bytes != sound.at(blob)) each(Changed(sound, std::move(what), blob, std::move(bytes), std::move(detail)));
}

void ChangeEachByte(const Image& sound, const std::string& blob, const Density& density, const Try& each) {
  const std::string& bytes = sound.at(blob);
  for (size_t at = 0; at < bytes.size(); at += density.byte_step) {
    const std::pair<const char*, char> values[] = {
        {"flip a bit", static_cast<char>(bytes[at] ^ (1 << at / 3 % 8))}, {"set to 00", '\0'}, {"set to ff", '\xff'}};
    for (size_t i = 0; i < 3; ++i) {
      if (!density.all_values && i != at / density.byte_step % 3) continue;
      std::string bad = bytes;
      bad[at] = values[i].second;
      TryBytes(sound, blob, values[i].first, std::move(bad), "byte " + std::to_string(at), each);
    }
  }
}

void ChangeLength(const Image& sound, const std::string& blob, const Density& density, const Try& each) {
  const std::string& bytes = sound.at(blob);
  std::set<size_t> lengths;
  for (size_t length = 0; length < bytes.size(); length += std::max<size_t>(1, density.byte_step * 2)) {
    lengths.insert(length);
  }
  if (KindOf(blob) == "wal") {
    for (const size_t start : RecordStarts(blob, bytes)) lengths.insert(start);
  }
  for (const size_t length : {bytes.size() - 1, bytes.size() - 8, bytes.size() / 2}) lengths.insert(length);
  for (const size_t length : lengths) {
    if (length < bytes.size()) {
      TryBytes(sound, blob, "truncate", bytes.substr(0, length), "to " + std::to_string(length), each);
    }
  }
  std::string garbage(4096, '\0');
  SeededEntropy(bytes.size()).Fill(garbage);
  for (const size_t more : {1, 29, 4096}) {
    TryBytes(sound, blob, "extend by zeros", bytes + std::string(more, '\0'), "by " + std::to_string(more), each);
    TryBytes(sound, blob, "extend by garbage", bytes + garbage.substr(0, more), "by " + std::to_string(more), each);
    TryBytes(sound, blob, "extend by itself", bytes + bytes.substr(bytes.size() - std::min(bytes.size(), more)),
             "by " + std::to_string(more), each);
  }
}

void MoveStretches(const Image& sound, const std::string& blob, const Density& density, const Try& each) {
  const std::string& bytes = sound.at(blob);
  for (const size_t n : kStretches) {
    const size_t step = std::max(n, bytes.size() / (density.all_values ? 64 : 8));
    for (size_t at = 0; at + n <= bytes.size(); at += step) {
      const std::string place = std::to_string(n) + " bytes at " + std::to_string(at);
      TryBytes(sound, blob, "zero a stretch", std::string(bytes).replace(at, n, n, '\0'), place, each);
      TryBytes(sound, blob, "drop a stretch", std::string(bytes).erase(at, n), place, each);
      const size_t other = (at + bytes.size() / 2) / n * n % bytes.size();
      if (other + n > bytes.size() || (other < at + n && at < other + n)) continue;
      std::string swapped = bytes;
      swapped.replace(at, n, bytes, other, n).replace(other, n, bytes, at, n);
      TryBytes(sound, blob, "exchange stretches", swapped, place + " and " + std::to_string(other), each);
      TryBytes(sound, blob, "write a stretch elsewhere", std::string(bytes).replace(other, n, bytes, at, n),
               place + " to " + std::to_string(other), each);
    }
  }
}

}  // namespace

bool FullMatrix() {
  const char* const wanted = std::getenv("TARN_CORRUPTION");
  return wanted != nullptr && std::string_view(wanted) == "full";
}

Image ImageOf(Backend& backend) {
  Image image;
  const ListPage page = backend.List("", "", 100000).value();
  for (const BlobInfo& blob : page.blobs) {
    const auto reader = backend.Open(blob.name).value();
    std::string& bytes = image[blob.name];
    bytes.resize(reader->size());
    if (!reader->Read(0, bytes).ok()) std::abort();
  }
  return image;
}

std::shared_ptr<MemBackend> DiskOf(const Image& image) {
  auto disk = std::make_shared<MemBackend>();
  for (const auto& [name, bytes] : image) {
    if (!disk->PutIfAbsent(name, bytes).ok()) std::abort();
  }
  return disk;
}

std::string KindOf(const std::string& blob) { return blob.substr(0, blob.find('/')); }

std::vector<size_t> RecordStarts(const std::string& blob, const std::string& bytes) {
  const auto disk = DiskOf({{blob, bytes}});
  const auto reader = disk->Open(blob).value();
  wal::SegmentReader segment(*reader, bytes.substr(std::min<size_t>(16, bytes.size()), 16),
                             wal::SegmentNumber(blob).value());
  std::vector<size_t> starts;
  if (!segment.ReadHeader().value().has_value()) return starts;
  for (std::string_view payload;;) {
    starts.push_back(segment.offset());
    const auto item = segment.Next(&payload).value();
    if (item == wal::SegmentReader::Item::kEnd || item == wal::SegmentReader::Item::kBad) return starts;
  }
}

void DamageBytes(const Image& sound, const std::string& blob, const Density& density, const Try& each) {
  ChangeEachByte(sound, blob, density, each);
  ChangeLength(sound, blob, density, each);
  MoveStretches(sound, blob, density, each);
}

void DamageFiles(const Image& sound, const Image& other_store, const Try& each) {
  for (const auto& [name, bytes] : sound) {
    Damage deleted{"delete the file", name, 0, name, sound};
    deleted.image.erase(name);
    each(deleted);
    if (other_store.contains(name)) {
      TryBytes(sound, name, "the file of another store", other_store.at(name), "", each);
    }
    for (const auto& [twin, others] : sound) {
      if (twin == name || KindOf(twin) != KindOf(name)) continue;
      TryBytes(sound, name, "another file's bytes", others, "with the bytes of " + twin, each);
      if (twin < name) continue;
      Damage swapped = Changed(sound, "exchange two files", name, others, "and " + twin);
      swapped.image[twin] = bytes;
      if (bytes != others) each(swapped);
    }
  }
  for (const char* kind : {"table", "manifest", "wal"}) {
    Damage gone{"delete the directory", std::string(kind) + "/", 0, kind, sound};
    std::erase_if(gone.image, [&](const auto& entry) { return KindOf(entry.first) == kind; });
    each(gone);
    Damage foreign{"the directory of another store", std::string(kind) + "/", 0, kind, gone.image};
    for (const auto& [name, bytes] : other_store) {
      if (KindOf(name) == kind) foreign.image[name] = bytes;
    }
    each(foreign);
  }
}

void DamageLogRecords(const Image& sound, const Try& each) {
  for (const auto& [name, bytes] : sound) {
    if (KindOf(name) != "wal") continue;
    const std::vector<size_t> starts = RecordStarts(name, bytes);
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      const size_t at = starts[i], n = starts[i + 1] - at;
      const std::string place = "at " + std::to_string(at), record = bytes.substr(at, n);
      TryBytes(sound, name, "double a record", std::string(bytes).insert(at, record), place, each);
      TryBytes(sound, name, "drop a record", std::string(bytes).erase(at, n), place, each);
      if (i + 2 >= starts.size()) continue;
      const size_t next = starts[i + 2] - starts[i + 1];
      TryBytes(sound, name, "exchange records",
               bytes.substr(0, at) + bytes.substr(at + n, next) + record + bytes.substr(at + n + next), place, each);
    }
  }
}

void AddStrangers(const Image& sound, const Try& each) {
  const std::string junk(300, 'j');
  for (const char* name :
       {"notes.txt", "table/readme", "table/00000000000000ff", "table/fffffffffffffffe", "manifest/readme",
        "manifest/1f", "manifest/00000000000000ff", "wal/readme", "wal/00000000000000ff"}) {
    for (const std::string& bytes : {junk, std::string()}) {
      Damage damage{"a stranger's file", name, 0, name + std::string(bytes.empty() ? ", empty" : ", junk"), sound};
      damage.image[name] = bytes;
      each(damage);
    }
  }
  for (const auto& [name, bytes] : sound) {  // a backup beside the original
    Damage damage{"a stranger's file", name + ".bak", 0, name + ".bak", sound};
    damage.image[name + ".bak"] = bytes;
    each(damage);
  }
}

}  // namespace tarn::test
