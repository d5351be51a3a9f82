#include "tests/support/trace_backend.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tarn::test {
namespace {

std::string_view VerbOf(Op op) {
  switch (op) {
    case Op::kOpen: return "open";
    case Op::kRead: return "read";
    case Op::kSubmit: return "submit";
    case Op::kComplete: return "complete";
    case Op::kList: return "list";
    case Op::kSpace: return "space";
    case Op::kLock: return "lock";
    case Op::kCreate: return "create";
    case Op::kBlobAppend:
    case Op::kLogAppend: return "append";
    case Op::kFinish: return "finish";
    case Op::kPutIfAbsent: return "put-if-absent";
    case Op::kDelete: return "delete";
    case Op::kDeleteMany: return "delete-many";
    case Op::kCreateAppend: return "create-append";
    case Op::kLogSync: return "sync";
  }
  return "unknown";
}

bool IsRead(Op op) { return op == Op::kRead || op == Op::kSubmit || op == Op::kComplete; }
bool IsLookup(Op op) { return IsRead(op) || op == Op::kOpen || op == Op::kList || op == Op::kSpace; }
bool HasSize(Op op) {
  return op == Op::kBlobAppend || op == Op::kLogAppend || op == Op::kPutIfAbsent || op == Op::kDeleteMany;
}

}  // namespace

std::vector<std::string> TraceBackend::TakeLines() {
  std::lock_guard lock(mutex_);
  taken_ += lines_.size();
  return std::exchange(lines_, {});
}

uint64_t TraceBackend::max_reads_in_flight() const {
  std::lock_guard lock(mutex_);
  return max_in_flight_;
}

void TraceBackend::SetReadHook(std::function<void(const Call&)> hook) {
  std::lock_guard lock(mutex_);
  read_hook_ = std::move(hook);
}

std::string TraceBackend::Line(const Call& call) const {
  std::string line(VerbOf(call.op));
  auto add = [&](std::string_view word) { line.append(1, ' ').append(word); };
  auto add_number = [&](uint64_t n) { add(options_.sizes ? std::to_string(n) : "*"); };
  if (!call.name.empty()) add(call.name);
  if (IsRead(call.op)) add_number(call.offset);
  if (IsRead(call.op) || HasSize(call.op)) add_number(call.bytes);
  return line;
}

Status TraceBackend::Around(const Call& call, const Effect& effect) {
  const bool recorded = options_.lookups || !IsLookup(call.op);
  std::function<void(const Call&)> hook;
  uint64_t line = 0;
  {
    std::lock_guard lock(mutex_);
    line = taken_ + lines_.size();
    if (recorded) lines_.push_back(Line(call));
    if (call.op == Op::kRead || call.op == Op::kSubmit) max_in_flight_ = std::max(max_in_flight_, ++in_flight_);
    if (call.op == Op::kRead) hook = read_hook_;
  }
  if (hook) hook(call);
  const Status status = effect();
  std::lock_guard lock(mutex_);
  if (call.op == Op::kRead || call.op == Op::kComplete) --in_flight_;
  if (recorded && !status.ok() && line >= taken_) {
    lines_[line - taken_].append(" -> ").append(CodeName(status.code()));
  }
  return status;
}

bool Rendezvous::Arrive() {
  std::unique_lock lock(mutex_);
  if (missing_ > 0 && --missing_ == 0) all_here_.notify_all();
  return all_here_.wait_for(lock, std::chrono::minutes(1), [this] { return missing_ == 0; });
}

}  // namespace tarn::test
