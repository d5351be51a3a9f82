// The smallest parsers: integers and byte strings (base/coding.h), internal keys, and the batches of the log.
#include <algorithm>
#include <tuple>

#include "base/coding.h"
#include "kernel/batch.h"
#include "tarn/sdk/internal_key.h"
#include "tarn/write_batch.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"

namespace tarn::fuzz {
namespace {

// Reads one value of a kind and writes it again. What was read took at least as many bytes as the encoder needs, and
// with exactly as many it was those bytes.
bool CopyOne(uint8_t kind, std::string_view* in, std::string* out) {
  uint64_t wide = 0;
  uint32_t narrow = 0;
  std::string_view bytes;
  switch (kind % 5) {
    case 0:
      if (!GetFixed32(in, &narrow)) return false;
      PutFixed32(out, narrow);
      return true;
    case 1:
      if (!GetFixed64(in, &wide)) return false;
      PutFixed64(out, wide);
      return true;
    case 2:
      if (!GetVarint(in, &wide)) return false;
      PutVarint(out, wide);
      return true;
    case 3:
      if (!GetVarint32(in, &narrow)) return false;
      PutVarint(out, narrow);
      return true;
    default:
      if (!GetBytes(in, &bytes)) return false;
      PutBytes(out, bytes);
      return true;
  }
}

}  // namespace

void RunCoding(std::string_view input) {
  Input control(input.substr(0, input.size() / 4));
  std::string_view rest = input.substr(input.size() / 4);
  while (!rest.empty()) {
    const std::string_view before = rest;
    std::string again;
    if (!CopyOne(control.Byte(), &rest, &again)) return;
    MUST(rest.size() < before.size(), "a value of no bytes");
    const std::string_view taken = before.substr(0, before.size() - rest.size());
    MUST(before.substr(taken.size()) == rest, "the rest is not the end of what was there");
    MUST(again.size() <= taken.size(), "the encoder needs more bytes than the decoder took");
    MUST(again.size() < taken.size() || again == taken, "encode(decode(x)) is not x");
  }
}

// Two keys from the input: the order of docs/formats (user key up, then trailer down) is a total order, and SeekKey
// stands before exactly the versions that a snapshot may see.
void RunInternalKey(std::string_view input) {
  Input in(input);
  std::string keys[3];
  for (std::string& key : keys) {
    key = in.Short();
    if (key.size() < kTrailerBytes) key.resize(kTrailerBytes, 'x');
  }
  const auto rank = [](std::string_view key) { return std::tuple(UserKeyOf(key), ~TrailerOf(key)); };
  for (const std::string& a : keys) {
    MUST(MakeInternalKey(UserKeyOf(a), SequenceOf(a), KindOf(a)) == a, "taken apart and put together, another key");
    for (const std::string& b : keys) {
      const int order = CompareInternalKeys(a, b);
      MUST((order < 0) == (rank(a) < rank(b)) && (order == 0) == (a == b), "keys compare in another order");
      if (UserKeyOf(a) != UserKeyOf(b)) continue;
      const bool visible = SequenceOf(a) <= SequenceOf(b);
      MUST((CompareInternalKeys(SeekKey(UserKeyOf(a), SequenceOf(b)), a) <= 0) == visible, "a seek misses a version");
    }
  }
}

void RunPayload(std::string_view input) {
  const Result<kernel::Payload> payload = kernel::ParsePayload(input);
  if (!payload.ok()) {
    MUST(payload.status().code() == Code::kCorruption, payload.status().ToString());
    return;
  }
  MUST(payload->first <= kMaxSequence && payload->count <= kMaxSequence - payload->first, "sequences above 56 bits");
  std::string again;
  kernel::AppendPayloadHeader(&again, payload->first, payload->manifest, payload->count);
  std::string_view rest = payload->changes;
  WriteBatch batch;
  bool empty_range = false;  // a batch leaves those out
  for (uint64_t i = 0; i < payload->count; ++i) {
    kernel::BatchChange change;
    if (!kernel::NextChange(&rest, &change)) return;
    again += static_cast<char>(change.kind);
    PutVarint(&again, change.family);
    PutBytes(&again, change.key);
    if (change.kind != Kind::kDelete) PutBytes(&again, change.value);
    const ColumnFamily family{change.family};
    switch (change.kind) {
      case Kind::kPut: batch.Put(family, change.key, change.value); break;
      case Kind::kDelete: batch.Delete(family, change.key); break;
      case Kind::kRangeDelete:
        empty_range = empty_range || change.key >= change.value;
        batch.DeleteRange(family, change.key, change.value);
    }
  }
  MUST(empty_range || again.ends_with(batch.bytes()), "a batch is written in other bytes");
  const std::string_view taken = input.substr(0, input.size() - rest.size());
  MUST(again.size() <= taken.size(), "the encoder needs more bytes than the decoder took");
  MUST(again.size() < taken.size() || again == taken, "encode(decode(x)) is not x");
}

}  // namespace tarn::fuzz
