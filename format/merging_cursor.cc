// A binary heap of inputs with the next entry on top: smallest key first going forward, largest first going
// back. Moving on moves the top input and sifts it down, which costs two comparisons as long as one input leads
// (the usual case: runs of neighbouring keys come from one table).
//
// All inputs stand on the side of the merge's position that its direction asks for. A change of direction moves
// the other inputs to the other side of the current key and builds the heap anew; it costs a seek per input.
//
// Errors are final: after one, no move shows an entry any more.

#include "format/merging_cursor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tarn/sdk/internal_key.h"

namespace tarn {
namespace {

class EmptyCursor final : public Cursor {
 public:
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Seek(std::string_view) override {}
  void Next() override {}
  void Prev() override {}
};

class MergingCursor final : public Cursor {
 public:
  explicit MergingCursor(std::vector<std::unique_ptr<Cursor>> inputs) : inputs_(std::move(inputs)) {
    heap_.reserve(inputs_.size());
  }

  void SeekToFirst() override {
    for (auto& input : inputs_) input->SeekToFirst();
    Restart(true);
  }
  void SeekToLast() override {
    for (auto& input : inputs_) input->SeekToLast();
    Restart(false);
  }
  void Seek(std::string_view target) override {
    for (auto& input : inputs_) input->Seek(target);
    Restart(true);
  }
  void Next() override {
    if (!forward_) {
      Turn(true);
    } else {
      heap_.front()->Next();
      TopMoved();
    }
  }
  void Prev() override {
    if (forward_) {
      Turn(false);
    } else {
      heap_.front()->Prev();
      TopMoved();
    }
  }
  std::string_view stored() const override { return heap_.front()->stored(); }

 private:
  // True when a comes out before b in the present direction.
  bool Before(const Cursor* a, const Cursor* b) const {
    const int order = CompareInternalKeys(a->key(), b->key());
    return forward_ ? order < 0 : order > 0;
  }

  // False, with the merge failed, when the input cannot say what comes next.
  bool Usable(const Cursor& input) {
    if (!input.valid()) {
      if (input.status().ok()) return true;
      Fail(input.status());
      return false;
    }
    if (input.key().size() >= kTrailerBytes) return true;
    Fail(Status::Corruption("merge: an input shows an internal key of " + std::to_string(input.key().size()) +
                            " bytes, the least is 8; run `tarn check` to find the table"));
    return false;
  }

  void Fail(Status status) {
    failed_ = true;
    heap_.clear();
    SetError(std::move(status));
  }

  // All inputs were placed: builds the heap and shows its top.
  void Restart(bool forward) {
    heap_.clear();
    if (failed_) return;
    forward_ = forward;
    for (auto& input : inputs_) {
      if (!Usable(*input)) return;
      if (input->valid()) heap_.push_back(input.get());
    }
    for (size_t i = heap_.size() / 2; i-- > 0;) SiftDown(i);
    Show();
  }

  void TopMoved() {
    Cursor* top = heap_.front();
    if (!Usable(*top)) return;
    if (!top->valid()) {
      heap_.front() = heap_.back();
      heap_.pop_back();
    }
    if (!heap_.empty()) SiftDown(0);
    Show();
  }

  // From the current entry to its neighbour against the present direction.
  void Turn(bool forward) {
    Cursor* current = heap_.front();
    turn_key_.assign(current->key());
    for (auto& input : inputs_) {
      if (input.get() == current) {
        forward ? input->Next() : input->Prev();
        continue;
      }
      input->Seek(turn_key_);
      if (!Usable(*input)) return;
      if (forward) continue;
      input->valid() ? input->Prev() : input->SeekToLast();
    }
    Restart(forward);
  }

  void SiftDown(size_t hole) {
    Cursor* moving = heap_[hole];
    for (;;) {
      size_t child = 2 * hole + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) ++child;
      if (!Before(heap_[child], moving)) break;
      heap_[hole] = heap_[child];
      hole = child;
    }
    heap_[hole] = moving;
  }

  void Show() {
    if (heap_.empty()) {
      SetEnd();
    } else {
      SetEntry(heap_.front()->key(), heap_.front()->value());
    }
  }

  const std::vector<std::unique_ptr<Cursor>> inputs_;
  std::vector<Cursor*> heap_;  // the inputs that stand on an entry
  std::string turn_key_;       // kept for its buffer
  bool forward_ = true;
  bool failed_ = false;
};

}  // namespace

std::unique_ptr<Cursor> NewMergingCursor(std::vector<std::unique_ptr<Cursor>> inputs) {
  if (inputs.empty()) return std::make_unique<EmptyCursor>();
  if (inputs.size() == 1) return std::move(inputs.front());
  return std::make_unique<MergingCursor>(std::move(inputs));
}

}  // namespace tarn
