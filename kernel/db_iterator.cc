#include "kernel/db_iterator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "kernel/store.h"

namespace tarn::kernel {
namespace {

// More versions of one key than this are passed by a seek instead of step by step: a seek costs about as much
// as a few steps of a merge.
constexpr int kStepsBeforeSeek = 8;

// The first key after all keys that start with `prefix`; empty when there is none (all bytes 0xff).
std::string AfterPrefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) ++prefix.back();
  return prefix;
}

}  // namespace

RangeCover::RangeCover(const std::vector<const RangeTombstones*>& sets, Sequence snapshot) : snapshot_(snapshot) {
  for (const RangeTombstones* set : sets) {
    if (set != nullptr && !set->empty()) sets_.push_back(set);
  }
}

// The stretch is the intersection, over all sets, of the fragment or the gap between fragments that holds the key.
void RangeCover::Locate(std::string_view user_key) {
  known_ = true;
  bounded_ = false;
  begin_ = end_ = {};
  cover_ = 0;
  const auto end_at = [this](std::string_view end) {
    if (!bounded_ || end < end_) end_ = end;
    bounded_ = true;
  };
  for (const RangeTombstones* set : sets_) {
    const std::vector<RangeTombstones::Fragment>& all = set->fragments();
    const auto next = std::upper_bound(all.begin(), all.end(), user_key,
                                       [](std::string_view key, const auto& f) { return key < f.begin; });
    if (next != all.end()) end_at(next->begin);
    if (next == all.begin()) continue;
    const RangeTombstones::Fragment& last = *(next - 1);
    if (user_key >= last.end) {
      begin_ = std::max(begin_, std::string_view(last.end));
      continue;
    }
    begin_ = std::max(begin_, std::string_view(last.begin));
    end_at(last.end);
    const auto newest = std::find_if(last.sequences.begin(), last.sequences.end(),
                                     [this](Sequence sequence) { return sequence <= snapshot_; });
    if (newest != last.sequences.end()) cover_ = std::max(cover_, *newest);
  }
}

}  // namespace tarn::kernel

namespace tarn {

using kernel::kStepsBeforeSeek;

Iterator::Impl::Impl(kernel::IteratorSpec spec)
    : pin_(std::move(spec.pin)),
      cursor_(std::move(spec.merged)),
      cover_(spec.tombstones, spec.snapshot),
      dead_(spec.dead_ranges, spec.family, spec.snapshot),
      snapshot_(spec.snapshot),
      store_(spec.store),
      view_(spec.view),
      lower_(std::max(spec.lower_bound, spec.prefix)),
      upper_(kernel::AfterPrefix(std::move(spec.prefix))) {
  const bool closer = !spec.upper_bound.empty() && spec.upper_bound < upper_;
  if (upper_.empty() || closer) upper_ = std::move(spec.upper_bound);
  has_upper_ = !upper_.empty();
  status_ = cursor_->status();  // a cursor that could not even be made says so at once
}

void Iterator::Impl::SeekToFirst() { Seek(lower_); }

void Iterator::Impl::Seek(std::string_view key) {
  Begin(Direction::kForward);
  SeekCursor(std::max(key, std::string_view(lower_)));
  FindForward(/*skip_saved_key=*/false);
}

void Iterator::Impl::SeekToLast() {
  Begin(Direction::kBackward);
  if (has_upper_) {
    SeekCursor(upper_);
    StepBeforeCursor();
  } else {
    cursor_->SeekToLast();
  }
  FindBackward();
}

void Iterator::Impl::SeekForPrev(std::string_view key) {
  if (has_upper_ && key >= upper_) return SeekToLast();
  Begin(Direction::kBackward);
  saved_key_.assign(key).push_back('\0');  // the least key after `key`
  SeekCursor(saved_key_);
  StepBeforeCursor();
  FindBackward();
}

void Iterator::Impl::Next() {
  DCHECK(valid_);
  if (direction_ == Direction::kForward) {
    saved_key_.assign(key_);
    cursor_->Next();
  } else {
    // The cursor stands before every version of saved_key_, or on nothing.
    direction_ = Direction::kForward;
    if (cursor_->valid()) {
      cursor_->Next();
    } else {
      SeekCursor(saved_key_);
    }
  }
  FindForward(/*skip_saved_key=*/true);
}

void Iterator::Impl::Prev() {
  DCHECK(valid_);
  if (direction_ == Direction::kForward) {
    // The cursor stands on a version of this key, perhaps with newer ones, that the snapshot may not see, before.
    direction_ = Direction::kBackward;
    saved_key_.assign(key_);
    LeaveBackward();
  }
  FindBackward();
}

void Iterator::Impl::Begin(Direction direction) {
  direction_ = direction;
  status_ = Status();
  valid_ = false;
  dead_.Start();
}

// To the newest version of the first key >= user_key, whatever the snapshot.
void Iterator::Impl::SeekCursor(std::string_view user_key) {
  target_.clear();
  AppendInternalKey(&target_, user_key, kMaxSequence, kSeekKind);
  cursor_->Seek(target_);
}

// To the entry before the one that a seek found; to the last one if it found none.
void Iterator::Impl::StepBeforeCursor() {
  if (cursor_->valid()) {
    cursor_->Prev();
  } else if (cursor_->status().ok()) {
    cursor_->SeekToLast();
  }
}

// From a version of saved_key_ backward to the last entry of the key before it.
void Iterator::Impl::LeaveBackward() {
  for (int steps = 0; cursor_->valid() && UserKeyOf(cursor_->key()) == saved_key_; ++steps) {
    if (steps == kStepsBeforeSeek) {
      SeekCursor(saved_key_);
      return StepBeforeCursor();
    }
    cursor_->Prev();
  }
}

// True when the cursor stands on an entry. If not, the walk is over: at the end, or with an error.
bool Iterator::Impl::OnEntry() {
  if (!cursor_->valid()) {
    const Status& status = cursor_->status();
    End(status.ok() || store_ == nullptr ? status : store_->ExplainRead(status, view_));
    return false;
  }
  const std::string_view key = cursor_->key();
  if (key.size() >= kTrailerBytes && (KindOf(key) == Kind::kPut || KindOf(key) == Kind::kDelete)) return true;
  End(Status::Corruption("iterator: entry is neither a value nor a tombstone; run `tarn check` to find the table"));
  return false;
}

void Iterator::Impl::End(Status status) {
  valid_ = false;
  key_ = value_ = {};
  status_ = std::move(status);
}

// From the cursor's entry onward to the first key that is to be shown. Versions of saved_key_ are passed over if
// asked, because that key was shown already.
void Iterator::Impl::FindForward(bool skip_saved_key) {
  int steps = 0;  // over versions of saved_key_
  while (OnEntry()) {
    const std::string_view user_key = UserKeyOf(cursor_->key());
    if (has_upper_ && user_key >= upper_) {
      End(Status());
      break;
    }
    if (skip_saved_key && user_key == saved_key_) {
      if (++steps < kStepsBeforeSeek) {
        cursor_->Next();
      } else {
        saved_key_.push_back('\0');  // no version of the old key is seen again
        skip_saved_key = false;
        SeekCursor(saved_key_);
      }
      continue;
    }
    const Sequence sequence = SequenceOf(cursor_->key());
    if (sequence > snapshot_) {
      PassNewer(user_key);
      continue;
    }
    const Sequence cover = cover_.At(user_key);
    if (cover == snapshot_ && cover > sequence) {  // hidden, like all that the snapshot sees of this stretch
      skip_saved_key = false;
      SeekCursor(cover_.end());
      continue;
    }
    if (KindOf(cursor_->key()) == Kind::kPut && cover <= sequence) {
      key_ = user_key;
      value_ = cursor_->value();
      valid_ = true;
      break;
    }
    skip_saved_key = PassDeadForward(user_key);
    steps = 0;
  }
  if (dead_.any()) dead_.Finish(status_.ok());
}

// The cursor stands on a key that is deleted, and with it all its older versions. Goes on from it; true when it is
// now saved_key_, of which more versions may follow.
bool Iterator::Impl::PassDeadForward(std::string_view user_key) {
  if (dead_.Pass(user_key)) {
    SeekCursor(dead_.range().end);
    return false;
  }
  saved_key_.assign(user_key);
  cursor_->Next();
  return true;
}

// Forward over versions of a key that are newer than the snapshot.
void Iterator::Impl::PassNewer(std::string_view user_key) {
  target_.clear();
  AppendInternalKey(&target_, user_key, snapshot_, kSeekKind);
  for (int steps = 0; steps < kStepsBeforeSeek; ++steps) {
    cursor_->Next();
    if (!cursor_->valid() || CompareInternalKeys(cursor_->key(), target_) >= 0) return;
  }
  cursor_->Seek(target_);
}

// The cursor stands on the last entry of some key, or on none. Backward to the first key that is to be shown.
void Iterator::Impl::FindBackward() {
  while (OnEntry()) {
    const std::string_view user_key = UserKeyOf(cursor_->key());
    if (user_key < lower_) {
      End(Status());
      break;
    }
    const Sequence cover = cover_.At(user_key);
    if (cover == snapshot_ && cover > SequenceOf(cursor_->key())) {  // as in FindForward
      SeekCursor(cover_.begin());
      StepBeforeCursor();
      continue;
    }
    saved_key_.assign(user_key);
    const bool seen = SequenceOf(cursor_->key()) <= snapshot_;  // its oldest version, at least
    if (!ReadBackward(cover)) {
      if (seen && status_.ok() && cursor_->status().ok() && dead_.Pass(saved_key_)) {
        SeekCursor(dead_.range().begin);
        StepBeforeCursor();
      }
      continue;
    }
    key_ = saved_key_;
    value_ = saved_value_;
    valid_ = true;
    break;
  }
  if (dead_.any()) dead_.Finish(status_.ok());
}

// The cursor stands on the oldest version of saved_key_. Walks to the entry before the newest one; true, with
// saved_value_ set, when the newest version that the snapshot sees is a value that `cover` does not hide.
bool Iterator::Impl::ReadBackward(Sequence cover) {
  bool show = false;
  const auto look = [&] {
    show = KindOf(cursor_->key()) == Kind::kPut && SequenceOf(cursor_->key()) >= cover;
    if (show) saved_value_.assign(cursor_->value());
  };
  int steps = 0;
  while (OnEntry() && UserKeyOf(cursor_->key()) == saved_key_ && SequenceOf(cursor_->key()) <= snapshot_) {
    if (++steps > kStepsBeforeSeek) {  // straight to the newest one that the snapshot sees
      target_.clear();
      AppendInternalKey(&target_, saved_key_, snapshot_, kSeekKind);
      cursor_->Seek(target_);
      if (OnEntry()) look();
      break;
    }
    look();
    cursor_->Prev();
  }
  if (!status_.ok()) return false;  // a newer version may be behind what could not be read
  LeaveBackward();
  return show;
}

// The public face.
Iterator::Iterator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Iterator::~Iterator() = default;
void Iterator::SeekToFirst() { impl_->SeekToFirst(); }
void Iterator::SeekToLast() { impl_->SeekToLast(); }
void Iterator::Seek(std::string_view key) { impl_->Seek(key); }
void Iterator::SeekForPrev(std::string_view key) { impl_->SeekForPrev(key); }
void Iterator::Next() { impl_->Next(); }
void Iterator::Prev() { impl_->Prev(); }
bool Iterator::valid() const { return impl_->valid(); }
std::string_view Iterator::key() const { return impl_->key(); }
std::string_view Iterator::value() const { return impl_->value(); }
Status Iterator::status() const { return impl_->status(); }

}  // namespace tarn
