// A sorted cursor over internal keys: what memtables, tables and merges hand out. For authors of memtables.
//
// A cursor is either on an entry (valid) or on none. After an error it is on none and status() says why, so a
// caller that only checks valid() must check status() when the loop ends.
//
// The current entry is plain state of this class (no virtual call to look at it). Implementations set it with
// SetEntry/SetEnd/SetError before they return.
//
// Threads: one at a time. key() and value() stay readable until the next move.
#pragma once

#include <string_view>

#include "tarn/status.h"

namespace tarn {

class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void SeekToFirst() = 0;
  virtual void SeekToLast() = 0;
  // To the first entry whose internal key is >= target.
  virtual void Seek(std::string_view target) = 0;
  virtual void Next() = 0;  // REQUIRES: valid()
  virtual void Prev() = 0;  // REQUIRES: valid()
  // The block that the current entry alone makes up, as it is stored in a table (docs/formats/table.md), so that a
  // merge need not pack it again. Empty: not so, or not at hand; a memtable has none. Readable until the next move.
  // REQUIRES: valid()
  virtual std::string_view stored() const { return {}; }

  bool valid() const { return valid_; }
  std::string_view key() const { return key_; }      // internal key. REQUIRES: valid()
  std::string_view value() const { return value_; }  // REQUIRES: valid()
  const Status& status() const { return status_; }

 protected:
  void SetEntry(std::string_view key, std::string_view value) {
    key_ = key;
    value_ = value;
    valid_ = true;
  }
  void SetEnd() { valid_ = false; }
  void SetError(Status status) {
    status_ = std::move(status);
    valid_ = false;
  }

 private:
  std::string_view key_, value_;
  Status status_;
  bool valid_ = false;
};

}  // namespace tarn
