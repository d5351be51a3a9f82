#include "cli/context.h"

#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/system_effects.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
// A pipe that polls as writable takes this much without blocking (PIPE_BUF).
constexpr size_t kPipePieceBytes = 4096;
constexpr int kPollMillis = 200;

}  // namespace

int ExitCodeOf(const Status& status) {
  if (status.os_error() == ECANCELED) return kExitInterrupted;
  if (status.os_error() == EPIPE) return kExitPipe;
  switch (status.code()) {
    case Code::kOk: return kExitOk;
    case Code::kNotFound: return kExitNotFound;
    case Code::kBusy:
    case Code::kFenced: return kExitBusy;
    case Code::kCorruption: return kExitCorruption;
    case Code::kNoSpace: return kExitNoSpace;
    case Code::kUnavailable:
    case Code::kInvalid:
    case Code::kUnsupported:
    case Code::kIo: return kExitFailed;
  }
  return kExitFailed;
}

Output::Output(int fd, const std::atomic<bool>* cancelled) : fd_(fd), cancelled_(cancelled) {
  struct stat st;
  if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && cancelled != nullptr) piece_ = kPipePieceBytes;
  terminal_ = isatty(fd) == 1;
}

void Output::Write(std::string_view bytes) {
  if (!status_.ok()) return;
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    Drain(buffer_);
    buffer_.clear();
    if (bytes.size() > kBufferBytes) {
      Drain(bytes);
      return;
    }
  }
  buffer_.append(bytes);
}

Status Output::Flush() {
  Drain(buffer_);
  buffer_.clear();
  return status_;
}

void Output::Drain(std::string_view bytes) {
  while (!bytes.empty() && status_.ok()) {
    if (piece_ != 0) {
      struct pollfd waiting = {fd_, POLLOUT, 0};
      const int ready = poll(&waiting, 1, kPollMillis);
      if (cancelled_->load(std::memory_order_relaxed)) {
        status_ = Status(Code::kUnavailable, "interrupted", ECANCELED);
        return;
      }
      if (ready <= 0) continue;
    }
    const size_t want = piece_ == 0 ? bytes.size() : std::min(piece_, bytes.size());
    const ssize_t n = write(fd_, bytes.data(), want);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
      if (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed)) {
        status_ = Status(Code::kUnavailable, "interrupted", ECANCELED);
      }
      continue;
    }
    if (n < 0) {
      status_ = LocalError(errno, "standard output", "not everything was written; write it elsewhere");
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

Context::Context(int in_fd, int out_fd, int err_fd, const std::atomic<bool>* cancelled, bool is_served)
    : out(out_fd, is_served ? cancelled : nullptr),
      err(err_fd, is_served ? cancelled : nullptr),
      clock(SystemClock()),
      cancelled_(cancelled),
      served_(is_served) {
  caller.in_fd = in_fd;
}

Status Context::Check() const {
  if (cancelled_->load(std::memory_order_relaxed)) {
    return {Code::kUnavailable, "interrupted: what was finished before stands; run it again for the rest", ECANCELED};
  }
  return out.status();
}

Result<lake::View*> Context::ViewAt(const std::string& snapshot) {
  if (snapshot.empty()) return &lake->Head();
  auto view = lake->At(snapshot);
  if (!view.ok() && view.status().code() == Code::kNotFound) {
    return Status(Code::kNotFound,
                  fmt::format("no snapshot named '{}'; list them with: tarn snapshot list", Escape(snapshot)),
                  ENOENT);
  }
  TARN_ASSIGN(snapshot_view_, std::move(view));
  return snapshot_view_.get();
}

lake::LogRecord Context::LogRecordOf(uint64_t files, uint64_t bytes) const {
  lake::LogRecord record;
  record.who = caller.who;
  record.command = caller.command;
  record.files = files;
  record.bytes = bytes;
  return record;
}

Status Context::Record(uint64_t files, uint64_t bytes) { return lake->AppendLog(LogRecordOf(files, bytes)).status(); }

int Conclude(Context& context, const std::string& verb, Status status) {
  const Status written = context.out.Flush();
  if (status.ok()) status = written;
  const int code = ExitCodeOf(status);
  if (code != kExitOk && code != kExitPipe) {
    // Escaped as a whole, so that no name can make it two lines.
    const std::string message(status.message());
    context.err.Print("tarn{}{}: {}\n", verb.empty() ? "" : " ", verb, EscapeControls(message));
  }
  const Status reported = context.err.Flush();
  return code == kExitOk && !reported.ok() ? static_cast<int>(kExitFailed) : code;
}

Status At(std::string_view path, const Status& status) {
  if (status.ok()) return status;
  const std::string shown = Escape(path);
  if (status.message().find(shown) != std::string_view::npos) return status;
  return status.Annotate(shown);
}

Status LocalError(int error, std::string_view path, std::string_view next) {
  return Status::FromErrno(error, fmt::format("{}: {}; {}", Escape(path), std::strerror(error), next));
}

std::string WhoIs(uid_t uid) {
  std::vector<char> buffer(16 << 10);
  struct passwd entry;
  struct passwd* found = nullptr;
  std::string user = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr
                         ? std::string(found->pw_name)
                         : fmt::format("uid{}", uid);
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("{}@{}", user, host);
}

}  // namespace tarn::cli
