// The log. `wal` replays segments of arbitrary bytes (mutations are resealed) and compares the verdict with a second
// reader, written from the rules of docs/formats/wal.md. `wal_damage` lets the real writer write a log, damages it,
// and demands: never a payload that was not appended, never out of order, never a hole inside one writer's log; and
// Corruption wherever the format promises to notice.
#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/coding.h"
#include "tests/fuzz/reseal.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"
#include "tests/support/mem_backend.h"
#include "wal/builtin.h"
#include "wal/record.h"

namespace tarn::fuzz {
namespace {

constexpr std::string_view kStore = "example-store-01";
constexpr size_t kMostSegments = 6;

using Segments = std::map<uint64_t, std::string>;

struct Verdict {
  bool failed = false;
  bool torn = false;
  std::vector<std::string> payloads;  // those before the failure
};

// The rules as the page numbers them, on whole segments in memory.
class PlainReader {
 public:
  explicit PlainReader(uint64_t first) : first_(first) {}

  Verdict Read(const Segments& segments) {
    for (const auto& [number, bytes] : segments) {
      if (number < first_) continue;
      const bool missing = before_ && before_->sealed && number != before_->number + 1;  // rule 4
      if (missing || !ReadSegment(number, bytes)) {
        verdict_.failed = true;
        return verdict_;
      }
    }
    verdict_.failed = before_ && before_->sealed;  // rule 4
    verdict_.torn = before_ && before_->torn;
    return verdict_;
  }

 private:
  struct End {
    uint64_t number, offset, chain;
    bool sealed, torn;
  };

  bool ReadSegment(uint64_t number, std::string_view bytes) {
    const auto header = wal::DecodeSegmentHeader(bytes, kStore, number);
    if (!header.ok()) return false;
    if (!header->has_value()) return EndAt(number, bytes, 0, 0);
    const wal::SegmentLink& link = (*header)->previous;
    const bool released = !before_ && link.segment < first_;
    if (link.segment != 0 && !released) {  // rule 6
      if (!before_ || before_->number != link.segment || !before_->sealed) return false;
      if (before_->offset != link.end_offset || before_->chain != link.chain) return false;
    }
    uint64_t at = wal::kSegmentHeaderBytes, chain = (*header)->chain;
    while (at < bytes.size()) {
      const auto record = RecordAt(number, bytes, at);
      if (!record || record->payload_bytes > bytes.size() - at - wal::kRecordHeaderBytes) break;
      const std::string_view payload = bytes.substr(at + wal::kRecordHeaderBytes, record->payload_bytes);
      if (wal::NextChain(chain, payload) != record->chain) break;
      const bool fence = record->type == wal::RecordType::kFence;
      if (record->type != wal::RecordType::kData && payload.size() != (fence ? wal::kFencePayloadBytes : 0)) break;
      if (fence) return false;  // these segments are files
      chain = record->chain;
      at += wal::kRecordHeaderBytes + payload.size();
      if (record->type != wal::RecordType::kData) {
        before_ = End{number, at, chain, record->type == wal::RecordType::kSeal, false};
        return OnlyZeros(bytes.substr(at));  // rule 1
      }
      verdict_.payloads.emplace_back(payload);
    }
    return EndAt(number, bytes, at, chain);
  }

  std::optional<wal::RecordHeader> RecordAt(uint64_t number, std::string_view bytes, uint64_t at) const {
    if (bytes.size() - at < wal::kRecordHeaderBytes) return std::nullopt;
    return wal::DecodeRecordHeader(bytes.substr(at), wal::SegmentIdentity(kStore, number), at);
  }

  // Rules 1 to 3. False: rule 2.
  bool EndAt(uint64_t number, std::string_view bytes, uint64_t at, uint64_t chain) {
    for (uint64_t behind = at + 1; behind < bytes.size(); ++behind) {
      const auto record = RecordAt(number, bytes, behind);
      if (record && record->durable_offset > at) return false;
    }
    before_ = End{number, at, chain, false, !OnlyZeros(bytes.substr(at))};
    return true;
  }

  static bool OnlyZeros(std::string_view bytes) { return bytes.find_first_not_of('\0') == std::string_view::npos; }

  const uint64_t first_;
  std::optional<End> before_;
  Verdict verdict_;
};

// The plain reader knows files only; what objects may hold, tests/wal/object_writer_test.cc tries byte by byte.
bool HasObjects(const Segments& segments) {
  for (const auto& [number, bytes] : segments) {
    const auto header = wal::DecodeSegmentHeader(bytes, kStore, number);
    if (header.ok() && header->has_value() && (*header)->object) return true;
  }
  return false;
}

Result<WalReplayEnd> Replay(Backend& backend, uint64_t first, std::vector<std::string>* payloads) {
  return NewSegmentedWal()->Replay(backend, kStore, first, [&](uint64_t, std::string_view payload) {
    payloads->emplace_back(payload);
    return Status();
  });
}

// Section 0: control. Others: the segment's number, then its bytes.
Segments SegmentsOf(const std::vector<std::string>& sections) {
  Segments segments;
  for (size_t i = 1; i < sections.size(); ++i) {
    if (!sections[i].empty()) segments[1 + static_cast<uint8_t>(sections[i][0]) % 8] = sections[i].substr(1);
  }
  return segments;
}

// The log that a script made: what each writer's log holds, as replay found it when it was undamaged.
class Script {
 public:
  explicit Script(Input* in) : in_(in) {}

  void Run() {
    Open();
    for (uint32_t ops = in_->Below(32); ops > 0; --ops) Step();
    if (in_->Byte() % 2 == 0) MUST(writer_->Close().ok(), "a log in memory does not close");
    EndSession();
  }

  test::MemBackend& backend() { return backend_; }
  const std::vector<std::vector<std::string>>& sessions() const { return sessions_; }

 private:
  void Step() {
    const uint8_t op = in_->Byte();
    switch (op % 8) {
      case 0: MUST(writer_->Sync().ok(), "a log in memory does not sync"); break;
      case 1: MUST(writer_->Rotate().ok(), "a log in memory does not rotate"); break;
      case 2:
        if (op & 8) MUST(writer_->Close().ok(), "a log in memory does not close");
        EndSession();
        Open();
        break;
      default: {
        const auto durability = static_cast<Durability>(op / 8 % 3);
        std::string payload(in_->Byte() % 64, static_cast<char>(op));
        PutFixed32(&payload, ++appended_);
        MUST(writer_->Append(payload, durability).ok(), "a log in memory does not append");
        session_.push_back(std::move(payload));
        if (durability != Durability::kNone) acknowledged_ = session_.size();
      }
    }
  }
  void Open() {
    auto writer = NewSegmentedWal()->Open(backend_, kStore, next_);
    MUST(writer.ok(), writer.status().ToString());
    writer_ = std::move(*writer);
  }
  // The writer is gone, as if killed unless it was closed.
  void EndSession() {
    writer_.reset();
    std::vector<std::string> found;
    const auto end = Replay(backend_, 1, &found);
    MUST(end.ok(), "an undamaged log: " + end.status().ToString());
    next_ = end->next_segment;
    size_t before = 0;
    for (const auto& session : sessions_) {
      MUST(found.size() - before >= session.size() &&
               std::equal(session.begin(), session.end(), found.begin() + static_cast<ptrdiff_t>(before)),
           "an earlier writer's log changed");
      before += session.size();
    }
    found.erase(found.begin(), found.begin() + static_cast<ptrdiff_t>(before));
    MUST(found.size() >= acknowledged_ && found.size() <= session_.size(), "an acknowledged payload is missing");
    MUST(std::equal(found.begin(), found.end(), session_.begin()), "a payload was not appended");
    sessions_.push_back(std::move(found));
    session_.clear();
    acknowledged_ = 0;
  }

  Input* const in_;
  test::MemBackend backend_;
  std::unique_ptr<WalWriter> writer_;
  uint64_t next_ = 1;
  uint32_t appended_ = 0;
  std::vector<std::vector<std::string>> sessions_;
  std::vector<std::string> session_;  // what this writer appended
  size_t acknowledged_ = 0;           // of those, how many at least survive a kill
};

// How much of a sound segment its own records say was durable.
uint64_t WitnessedBytes(uint64_t number, std::string_view bytes) {
  uint64_t most = 0;
  for (uint64_t at = wal::kSegmentHeaderBytes; at + wal::kRecordHeaderBytes <= bytes.size();) {
    const auto record = wal::DecodeRecordHeader(bytes.substr(at), wal::SegmentIdentity(kStore, number), at);
    if (!record) break;
    most = std::max(most, record->durable_offset);
    at += wal::kRecordHeaderBytes + record->payload_bytes;
  }
  return most;
}

// Damages one segment. True: the format promises that replay notices.
bool Damage(Input* in, test::MemBackend* backend) {
  const auto page = backend->List("wal/", "", 1000);
  const std::string name = page->blobs[in->Below(static_cast<uint32_t>(page->blobs.size()))].name;
  const uint64_t number = wal::SegmentNumber(name).value();
  std::string bytes = backend->Contents(name).value();
  const uint8_t kind = in->Byte();
  const size_t at = in->Below(65536) % (bytes.size() + 1);
  bool noticed = false;
  if (kind % 8 < 5 && at < bytes.size()) {
    noticed = at < WitnessedBytes(number, bytes);
    const auto flip = static_cast<char>(in->Byte());
    bytes[at] = static_cast<char>(bytes[at] ^ (flip == 0 ? 1 : flip));
  } else if (kind % 8 == 5) {
    bytes.resize(at);
  } else if (kind % 8 == 6) {
    bytes += in->Short();
  } else {
    MUST(backend->Delete(name).ok(), "memory does not delete");
    return false;
  }
  MUST(backend->Corrupt(name, bytes).ok(), "memory does not change");
  return noticed;
}

}  // namespace

void RunWal(std::string_view input) {
  const std::vector<std::string> sections = SplitSections(input, kMostSegments + 1);
  if (sections.empty()) return;
  const uint64_t first = 1 + Input(sections[0]).Below(4);
  const Segments segments = SegmentsOf(sections);
  test::MemBackend backend;
  for (const auto& [number, bytes] : segments) {
    MUST(backend.PutIfAbsent(wal::SegmentName(number), bytes).ok(), "memory does not take a blob");
  }
  const Verdict expected = PlainReader(first).Read(segments);
  std::vector<std::string> payloads;
  const auto end = Replay(backend, first, &payloads);
  if (HasObjects(segments)) return;
  MUST(end.ok() == !expected.failed, end.ok() ? "damage was not noticed" : "sound: " + end.status().ToString());
  MUST(payloads == expected.payloads, "other payloads than the bytes hold");
  if (!end.ok()) {
    MUST(end.status().message().find("; ") != std::string_view::npos, "no next step: " + end.status().ToString());
    return;
  }
  MUST(end->torn_tail == expected.torn && end->records == payloads.size(), "another end");
  const uint64_t last = segments.empty() ? 0 : segments.rbegin()->first;
  MUST(end->next_segment == std::max(first, last + 1), "another next segment");
}

void ResealWal(std::string* input, uint64_t choice) {
  std::vector<std::string> sections = SplitSections(*input, kMostSegments + 1);
  ResealedSegment end;
  for (size_t i = 1; i < sections.size(); ++i) {
    if (sections[i].empty()) continue;
    const uint64_t number = 1 + static_cast<uint8_t>(sections[i][0]) % 8;
    std::string bytes = sections[i].substr(1);
    if (choice >> i & 3) end = ResealSegment(kStore, number, end, &bytes);
    sections[i].replace(1, std::string::npos, bytes);
  }
  *input = JoinSections(sections);
}

void RunWalDamage(std::string_view input) {
  Input in(input);
  Script script(&in);
  script.Run();
  const bool noticed = Damage(&in, &script.backend());
  std::vector<std::string> found;
  const auto end = Replay(script.backend(), 1, &found);
  if (!end.ok()) {
    MUST(end.status().code() == Code::kCorruption, end.status().ToString());
    return;
  }
  MUST(!noticed, "bytes that were durable changed and nobody noticed");
  size_t at = 0;
  for (const auto& session : script.sessions()) {
    for (const std::string& payload : session) {
      if (at == found.size() || found[at] != payload) break;
      ++at;
    }
  }
  MUST(at == found.size(), "a payload behind a hole, out of order, or never appended");
}

}  // namespace tarn::fuzz
