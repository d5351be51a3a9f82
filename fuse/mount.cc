// Mount: the session with the kernel, from mounting to the last reply.
//
// The end of a session is the delicate part. Stop first delivers what the invalidator has, while requests are still
// served: a delivery may wait for a lock in the kernel that a request in progress holds. Then it ends the loop. Run
// unmounts when the last thread has left, and gives back what programs still had open.

#include "fuse/mount.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "fuse/invalidator.h"
#include "fuse/libfuse.h"
#include "fuse/ops.h"
#include "fuse/serve_loop.h"

namespace tarn::fuse {
namespace {

// What libfuse would print goes here, or nowhere: it explains why a mount failed.
thread_local std::string* log_sink = nullptr;

__attribute__((format(printf, 2, 0))) void CatchLog(enum fuse_log_level, const char* format, va_list args) {
  if (log_sink == nullptr) return;
  char line[512];
  std::vsnprintf(line, sizeof line, format, args);
  log_sink->assign(line);
  while (log_sink->ends_with('\n')) log_sink->pop_back();
}

struct LogScope {
  LogScope() {
    static std::once_flag once;
    std::call_once(once, [] { fuse_set_log_func(CatchLog); });
    log_sink = &text;
  }
  ~LogScope() { log_sink = nullptr; }
  std::string text;
};

// A value in a list of mount options, where a comma separates and a backslash escapes.
std::string EscapeOption(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// nosuid and nodev are libfuse's defaults and stay: a lake is data. noatime says what is: reading changes no time.
std::string OptionList(const MountOptions& options, bool read_only) {
  std::string list = "subtype=tarn,default_permissions,noatime,fsname=" + EscapeOption(options.fsname);
  if (read_only) list += ",ro";
  if (options.allow_other) list += ",allow_other";
  return list;
}

Status CheckMountpoint(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0) {
    return Status::FromErrno(errno, path + ": " + std::strerror(errno) + "; name a directory that exists");
  }
  if (S_ISDIR(st.st_mode)) return Status::Ok();
  return Status::FromErrno(ENOTDIR, path + ": not a directory; mount on one");
}

Shows ShowsOf(const MountOptions& options) {
  Shows shows;
  shows.fixed = !options.at_snapshot.empty();
  shows.follow_seconds = options.follow_seconds;
  shows.read_only = options.read_only || shows.fixed || shows.follow_seconds != 0;
  return shows;
}

class MountImpl final : public Mount {
 public:
  MountImpl(lake::Lake& lake, std::unique_ptr<lake::View> snapshot, const MountOptions& options)
      : lake_(lake),
        snapshot_(std::move(snapshot)),
        ops_(lake, snapshot_ ? *snapshot_ : lake.Head(), ShowsOf(options)) {}
  ~MountImpl() override;
  Status Begin(const MountOptions& options);
  Status Run() override;
  void Stop() override;
  void Settle() override;

 private:
  void Deliver(const lake::Change& change);
  void End();

  lake::Lake& lake_;
  const std::unique_ptr<lake::View> snapshot_;  // null: the head
  Ops ops_;
  fuse_session* session_ = nullptr;
  std::unique_ptr<ServeLoop> loop_;
  // Null if nobody changes the lake here; shared with a subscriber call in progress.
  std::shared_ptr<Invalidator> invalidator_;
  std::once_flag stopped_, ended_;
};

Status MountImpl::Begin(const MountOptions& options) {
  std::string list = OptionList(options, ops_.read_only());
  char name[] = "tarn", flag[] = "-o";
  char* argv[] = {name, flag, list.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, argv);
  LogScope log;
  session_ = fuse_session_new(&args, &Ops::Table(), sizeof(fuse_lowlevel_ops), &ops_);
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return Status::Invalid(options.mountpoint + ": cannot mount: " + log.text);
  errno = 0;
  if (fuse_session_mount(session_, options.mountpoint.c_str()) != 0) {
    const int error = errno;
    const std::string why = log.text.empty() ? "fusermount3 refused" : log.text;
    return Status::FromErrno(error != 0 ? error : EPERM,
                             options.mountpoint + ": cannot mount: " + why + "; see `tarn doctor`");
  }
  loop_ = std::make_unique<ServeLoop>(session_, options.threads);
  if (snapshot_ != nullptr || options.follow_seconds != 0) return Status::Ok();
  invalidator_ = std::make_shared<Invalidator>([this](const lake::Change& change) { Deliver(change); });
  lake_.Subscribe([queue = invalidator_, ops = &ops_](const lake::Change& change) {
    if (!Ops::Serving(ops)) queue->Push(change);
  });
  return Status::Ok();
}

// On the invalidator's thread. The kernel answers ENOENT for what it does not know, which is as good; and ENOTCONN
// or ENODEV before and after the session, when it knows nothing.
void MountImpl::Deliver(const lake::Change& change) {
  if (change.what == lake::Change::What::kInode) {
    fuse_lowlevel_notify_inval_inode(session_, change.ino, 0, 0);
    return;
  }
  fuse_lowlevel_notify_inval_entry(session_, change.ino, change.name.data(), change.name.size());
  fuse_lowlevel_notify_inval_inode(session_, change.ino, -1, 0);  // the directory's times and size
}

Status MountImpl::Run() {
  const int error = loop_->Run();
  End();
  if (error == 0) return Status::Ok();
  return Status(Code::kIo,
                "the session with the kernel broke: " + std::string(std::strerror(error)) + "; mount again", error);
}

void MountImpl::Stop() {
  std::call_once(stopped_, [this] {
    if (invalidator_ != nullptr) invalidator_->Stop();
    loop_->Stop();
  });
}

void MountImpl::Settle() {
  if (invalidator_ != nullptr) invalidator_->Settle();
}

void MountImpl::End() {
  std::call_once(ended_, [this] {
    if (invalidator_ != nullptr) {
      lake_.Subscribe(nullptr);
      invalidator_->Stop();
    }
    fuse_session_unmount(session_);
    ops_.open_files().ReleaseAll();
  });
}

MountImpl::~MountImpl() {
  if (session_ == nullptr) return;
  End();
  fuse_session_destroy(session_);
}

}  // namespace

Result<std::unique_ptr<Mount>> Mount::Start(lake::Lake& lake, const MountOptions& options) {
  TARN_TRY(CheckMountpoint(options.mountpoint).Annotate("mount"));
  TARN_TRY(FuseAvailable().status().Annotate(options.mountpoint));
  std::unique_ptr<lake::View> snapshot;
  if (!options.at_snapshot.empty()) {
    auto view = lake.At(options.at_snapshot);
    if (!view.ok()) return view.status().Annotate(options.mountpoint);
    snapshot = std::move(*view);
  }
  auto mount = std::make_unique<MountImpl>(lake, std::move(snapshot), options);
  TARN_TRY(mount->Begin(options));
  return std::unique_ptr<Mount>(std::move(mount));
}

}  // namespace tarn::fuse
