// Status and Result: how every Tarn call reports what happened. For every user of the API.
//
// An error is one of a few codes, chosen by what the caller would do next, and a message that names the
// thing, the place and the next step. Nothing in Tarn throws across its API; the codes are:
//
//   NotFound     the named thing does not exist                   -> treat as absent
//   Corruption   stored bytes are not what was written            -> stop, `tarn check`, restore
//   Unavailable  a passing failure of the device or network       -> retry later
//   Busy         someone else holds it, or a transaction conflict -> retry the whole operation
//   Fenced       a newer writer took over this store              -> reopen
//   NoSpace      the device or the space budget is full           -> free space, then retry
//   Invalid      the caller asked for something impossible        -> fix the call
//   Unsupported  this build, backend or kernel cannot do it       -> choose another way
//   Io           the device failed; the outcome may be unknown    -> reopen, check the device
//
// Threads: values; copy freely. An OK status is one null pointer and costs nothing to pass.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace tarn {

enum class Code : uint8_t {
  kOk = 0,
  kNotFound,
  kCorruption,
  kUnavailable,
  kBusy,
  kFenced,
  kNoSpace,
  kInvalid,
  kUnsupported,
  kIo,
};

// The code as people and scripts read it ("not found", "corruption", ...).
std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message, int os_error = 0)
      : rep_(code == Code::kOk ? nullptr : std::make_shared<const Rep>(Rep{code, os_error, std::move(message)})) {}

  static Status Ok() { return {}; }
  static Status NotFound(std::string m) { return {Code::kNotFound, std::move(m)}; }
  static Status Corruption(std::string m) { return {Code::kCorruption, std::move(m)}; }
  static Status Unavailable(std::string m) { return {Code::kUnavailable, std::move(m)}; }
  static Status Busy(std::string m) { return {Code::kBusy, std::move(m)}; }
  static Status Fenced(std::string m) { return {Code::kFenced, std::move(m)}; }
  static Status NoSpace(std::string m) { return {Code::kNoSpace, std::move(m)}; }
  static Status Invalid(std::string m) { return {Code::kInvalid, std::move(m)}; }
  static Status Unsupported(std::string m) { return {Code::kUnsupported, std::move(m)}; }
  static Status Io(std::string m) { return {Code::kIo, std::move(m)}; }

  // From an errno value: picks the code (ENOENT -> NotFound, ENOSPC/EDQUOT -> NoSpace, EAGAIN/ETIMEDOUT ->
  // Unavailable, EBUSY -> Busy, EOPNOTSUPP/ENOSYS -> Unsupported, caller mistakes such as EINVAL, EEXIST,
  // ENOTDIR, ENOTEMPTY, EACCES -> Invalid, everything else -> Io) and keeps the number in os_error().
  static Status FromErrno(int error, std::string message);

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  // The errno behind the error, or 0 where there is none. Faces (FUSE, CLI) translate with it.
  int os_error() const { return rep_ ? rep_->os_error : 0; }
  std::string_view message() const { return rep_ ? std::string_view(rep_->message) : std::string_view(); }
  // "corruption: <message>"; "ok" for success. One line.
  std::string ToString() const;
  // The same error with "context: " before its message; OK stays OK.
  Status Annotate(std::string_view context) const;

 private:
  struct Rep {
    Code code;
    int os_error;
    std::string message;
  };
  std::shared_ptr<const Rep> rep_;
};

// A T or the Status that says why there is none. Constructing one from an OK status is a bug.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}         // NOLINT: implicit on purpose
  Result(Status status) : state_(std::move(status)) {}  // NOLINT: implicit on purpose

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }

  // REQUIRES: ok()
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Status, T> state_;
};

// Leaves the enclosing function with the error, if there is one. Works for Status and Result returns.
#define TARN_TRY(expr) TARN_TRY_IMPL_(expr, TARN_JOIN_(tarn_status_, __COUNTER__))
#define TARN_TRY_IMPL_(expr, tmp) \
  do {                            \
    ::tarn::Status tmp = (expr);  \
    if (!tmp.ok()) return tmp;    \
  } while (0)

// TARN_ASSIGN(auto reader, backend->Open(name)): unwraps a Result or leaves with its error.
#define TARN_ASSIGN(lhs, expr) TARN_ASSIGN_IMPL_(lhs, expr, TARN_JOIN_(tarn_result_, __COUNTER__))
#define TARN_ASSIGN_IMPL_(lhs, expr, tmp) \
  auto tmp = (expr);                      \
  if (!tmp.ok()) return tmp.status();     \
  lhs = std::move(tmp).value()
#define TARN_JOIN_(a, b) TARN_JOIN2_(a, b)
#define TARN_JOIN2_(a, b) a##b

}  // namespace tarn
