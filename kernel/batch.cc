#include "kernel/batch.h"

#include "base/next_step.h"
#include "tarn/write_batch.h"

namespace tarn {
namespace {

void AppendChange(std::string* out, Kind kind, ColumnFamily family, std::string_view key) {
  out->push_back(static_cast<char>(kind));
  PutVarint(out, family.id);
  PutBytes(out, key);
}

}  // namespace

void WriteBatch::Put(ColumnFamily family, std::string_view key, std::string_view value) {
  // Most batches are one put: one allocation. 16 is more than the kind and three varints of usual lengths take.
  if (bytes_.empty()) bytes_.reserve(key.size() + value.size() + 16);
  AppendChange(&bytes_, Kind::kPut, family, key);
  PutBytes(&bytes_, value);
  ++count_;
}

void WriteBatch::Delete(ColumnFamily family, std::string_view key) {
  AppendChange(&bytes_, Kind::kDelete, family, key);
  ++count_;
}

void WriteBatch::DeleteRange(ColumnFamily family, std::string_view begin, std::string_view end) {
  if (begin >= end) return;
  AppendChange(&bytes_, Kind::kRangeDelete, family, begin);
  PutBytes(&bytes_, end);
  ++count_;
}

void WriteBatch::Append(const WriteBatch& other) {
  bytes_.append(other.bytes_);
  count_ += other.count_;
}

void WriteBatch::Clear() {
  bytes_.clear();
  count_ = 0;
}

namespace kernel {

bool NextChange(std::string_view* bytes, BatchChange* change) {
  if (bytes->empty()) return false;
  const auto kind = static_cast<uint8_t>(bytes->front());
  if (kind > static_cast<uint8_t>(Kind::kRangeDelete)) return false;
  change->kind = static_cast<Kind>(kind);
  bytes->remove_prefix(1);
  if (!GetVarint32(bytes, &change->family) || !GetBytes(bytes, &change->key)) return false;
  change->value = {};
  return change->kind == Kind::kDelete || GetBytes(bytes, &change->value);
}

void AppendPayloadHeader(std::string* out, Sequence first, uint64_t manifest, uint64_t count) {
  PutFixed64(out, first);
  PutVarint(out, manifest);
  PutVarint(out, count);
}

Result<Payload> ParsePayload(std::string_view bytes) {
  Payload payload;
  uint64_t first = 0;
  if (!GetFixed64(&bytes, &first) || !GetVarint(&bytes, &payload.manifest) || !GetVarint(&bytes, &payload.count) ||
      first > kMaxSequence || payload.count > kMaxSequence - first) {
    return Status::Corruption("log record holds no batch header" + std::string(kRepairStep));
  }
  payload.first = first;
  payload.changes = bytes;
  return payload;
}

}  // namespace kernel
}  // namespace tarn
