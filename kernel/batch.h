// The bytes of a batch: what WriteBatch builds, the log keeps and recovery reads (docs/formats/wal.md, "batch").
//
//   payload := fixed64 first_sequence, varint manifest, varint count, change*    one log record: one group of batches
//   change  := kind, varint family, bytes key [, bytes value | bytes end]
//
// Changes of a payload take consecutive sequences from first_sequence on. `manifest` is the number of a manifest
// record that was durable when the payload was written: so the log notices when newer records of it are lost.
#pragma once

#include <string>
#include <string_view>

#include "base/coding.h"
#include "tarn/sdk/internal_key.h"
#include "tarn/status.h"

namespace tarn::kernel {

struct BatchChange {
  Kind kind = Kind::kPut;
  uint32_t family = 0;
  std::string_view key;
  std::string_view value;  // kPut: the value; kRangeDelete: the end of the range
};

// Reads one change from the front of `bytes`. False on malformed bytes.
bool NextChange(std::string_view* bytes, BatchChange* change);

void AppendPayloadHeader(std::string* out, Sequence first, uint64_t manifest, uint64_t count);

struct Payload {
  Sequence first = 0;
  uint64_t manifest = 0;
  uint64_t count = 0;
  std::string_view changes;
};
// Checks the header only; a malformed change shows when it is read.
Result<Payload> ParsePayload(std::string_view bytes);

}  // namespace tarn::kernel
