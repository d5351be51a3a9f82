// The merge loop. Each entry of the merged inputs is checked, judged by DropRules, and written or dropped.
//
// How outputs share the key space: a cut is made at a user key of the input, before any of its versions. Output i
// covers the user keys from the cut before it (the first output: from the beginning) up to the cut behind it (the
// last one: to the end). A range tombstone is clipped to these covers, so the pieces together cover all of it,
// gaps without keys included, and no table reaches into its neighbour's keys.

#include "compaction/job.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "compaction/drop_rules.h"
#include "format/merging_cursor.h"

namespace tarn {

struct MergeJob::Rep {
  Rep(Backend& b, MergeSpec s)
      : backend(b),
        spec(std::move(s)),
        cursor(NewMergingCursor(std::move(spec.inputs))),
        rules(std::move(spec.retained), std::move(spec.tombstones), spec.bottom) {
    CHECK(spec.new_table_number != nullptr);
  }

  bool Step(uint64_t quantum_bytes);
  Status Check(std::string_view key) const;
  Status Take(std::string_view key, std::string_view value);
  Status Write(std::string_view key, std::string_view value, std::string_view stored = {});
  Status OpenOutput();
  Status CloseOutput(std::string_view next_begin);
  Status Bad(const std::string& what) const;

  Backend& backend;
  MergeSpec spec;
  std::unique_ptr<Cursor> cursor;
  DropRules rules;

  Status status;
  bool started = false, done = false;
  std::vector<TableMeta> outputs;
  uint64_t bytes_read = 0, entries_read = 0, entries_written = 0, blocks_taken_over = 0;

  // The input: the user key of the entry taken last, and its trailer. Versions of one key come in a row.
  std::string key;
  uint64_t trailer = 0;
  bool any_key = false;
  // A delete whose fate an older version of the same key decides.
  std::string held_key, held_value;
  bool held = false;

  // The open output.
  std::unique_ptr<TableBuilder> builder;
  std::string begin;  // its cover starts here
};

bool MergeJob::Rep::Step(uint64_t quantum_bytes) {
  if (done) return false;
  if (!started) {
    started = true;
    cursor->SeekToFirst();
  }
  const uint64_t until = bytes_read + std::max<uint64_t>(quantum_bytes, 1);
  while (status.ok() && cursor->valid() && bytes_read < until) {
    status = Take(cursor->key(), cursor->value());
    if (status.ok()) cursor->Next();
  }
  if (status.ok() && cursor->valid()) return true;
  if (status.ok()) status = cursor->status();  // an input that cannot be read is not one that has ended
  if (status.ok()) status = CloseOutput({});
  done = true;
  held = false;
  builder.reset();  // after a failure the open table never existed
  return false;
}

Status MergeJob::Rep::Bad(const std::string& what) const {
  const std::string after = any_key ? " after " + std::to_string(entries_read) + " entries" : " as first entry";
  return Status::Corruption("merge: " + what + after + " of the inputs; run `tarn check` to find the table");
}

// Inputs come from disk: what the builder and the rules rely on is made sure of here.
Status MergeJob::Rep::Check(std::string_view internal_key) const {
  if (internal_key.size() < kTrailerBytes) {
    return Bad("an internal key of " + std::to_string(internal_key.size()) + " bytes (the least is 8)");
  }
  const Kind kind = KindOf(internal_key);
  if (kind != Kind::kPut && kind != Kind::kDelete) {
    return Bad("an entry of kind " + std::to_string(static_cast<int>(kind)));
  }
  if (!any_key) return {};
  const int order = UserKeyOf(internal_key).compare(key);
  if (order < 0 || (order == 0 && TrailerOf(internal_key) >= trailer)) return Bad("a key out of order");
  return {};
}

Status MergeJob::Rep::Take(std::string_view internal_key, std::string_view value) {
  TARN_TRY(Check(internal_key));
  const std::string_view user_key = UserKeyOf(internal_key);
  bytes_read += internal_key.size() + value.size();
  ++entries_read;
  trailer = TrailerOf(internal_key);
  if (!any_key || user_key != key) {
    any_key = true;
    key.assign(user_key);
    held = false;
    // Cut before the rules see a key that is not in the open output. Whether anything of this key will be
    // written does not matter: the cover of the next output just starts here.
    if (builder != nullptr && builder->size_estimate() >= spec.table_bytes) TARN_TRY(CloseOutput(key));
    rules.StartKey(key);
  }
  switch (rules.Judge(SequenceOf(internal_key), KindOf(internal_key))) {
    case DropRules::Verdict::kDrop: return {};
    case DropRules::Verdict::kHold:
      held_key.assign(internal_key);
      held_value.assign(value);
      held = true;
      return {};
    case DropRules::Verdict::kKeepWithHeld:
      DCHECK(held);
      TARN_TRY(Write(held_key, held_value));
      break;
    case DropRules::Verdict::kKeep: break;
  }
  held = false;
  return Write(internal_key, value, value.size() >= spec.table.block_bytes ? cursor->stored() : std::string_view());
}

Status MergeJob::Rep::OpenOutput() {
  TARN_ASSIGN(builder, TableBuilder::Create(backend, spec.store_id, spec.new_table_number(), spec.table));
  return {};
}

Status MergeJob::Rep::Write(std::string_view internal_key, std::string_view value, std::string_view stored) {
  if (builder == nullptr) TARN_TRY(OpenOutput());
  ++entries_written;
  return builder->Add(internal_key, value, stored);
}

// The open output ends before `next_begin`; empty: it is the last one. Without an entry of its own it is
// written only if there are tombstones to carry.
Status MergeJob::Rep::CloseOutput(std::string_view next_begin) {
  const std::vector<RangeTombstone> tombstones = rules.TakeTombstones(begin, next_begin);
  if (builder == nullptr && tombstones.empty()) return {};
  if (builder == nullptr) TARN_TRY(OpenOutput());
  for (const RangeTombstone& tombstone : tombstones) builder->AddRangeTombstone(tombstone);
  blocks_taken_over += builder->blocks_taken_over();
  TARN_ASSIGN(TableMeta meta, builder->Finish());
  outputs.push_back(std::move(meta));
  builder.reset();
  begin.assign(next_begin);
  return {};
}

MergeJob::MergeJob(Backend& backend, MergeSpec spec) : rep_(std::make_unique<Rep>(backend, std::move(spec))) {}
MergeJob::~MergeJob() = default;

bool MergeJob::Step(uint64_t quantum_bytes) { return rep_->Step(quantum_bytes); }
const Status& MergeJob::status() const { return rep_->status; }
const std::vector<TableMeta>& MergeJob::outputs() const { return rep_->outputs; }
uint64_t MergeJob::bytes_read() const { return rep_->bytes_read; }
uint64_t MergeJob::blocks_taken_over() const { return rep_->blocks_taken_over; }
uint64_t MergeJob::entries_dropped() const {
  return rep_->entries_read - rep_->entries_written - (rep_->held ? 1 : 0);
}

}  // namespace tarn
