#include "tests/power/block_log.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "fuse/libfuse.h"

namespace tarn::test {
namespace {

constexpr char kName[] = "device";
constexpr fuse_ino_t kFile = 2;  // 1 is the root
constexpr double kForever = 1e9;
constexpr uint32_t kMostWriteBytes = 1 << 20;

// What stands before the data of each request in the log.
struct Head {
  uint64_t flush;  // 1: a flush
  uint64_t offset;
  uint64_t bytes;
};

struct Server {
  Device& device;
  std::atomic<uint64_t>& requests;

  // False: the log is full.
  bool Log(bool flush, uint64_t offset, std::string_view bytes) {
    const uint64_t used = device.log_used;
    const Head head{flush, offset, bytes.size()};
    if (used + sizeof head + bytes.size() > kDeviceLogBytes) return false;
    std::memcpy(device.log.data() + used, &head, sizeof head);
    bytes.copy(device.log.data() + used + sizeof head, bytes.size());
    device.log_used = used + sizeof head + bytes.size();
    ++requests;
    return true;
  }
};

Server& ServerOf(fuse_req_t request) { return *static_cast<Server*>(fuse_req_userdata(request)); }

struct stat StatOf(fuse_ino_t inode) {
  struct stat st {};
  st.st_ino = inode;
  st.st_nlink = 1;
  st.st_mode = inode == kFile ? S_IFREG | 0600 : S_IFDIR | 0700;
  st.st_size = inode == kFile ? static_cast<off_t>(kDeviceBytes) : 0;
  return st;
}

void Lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  if (std::string_view(name) != kName) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFile;
  entry.attr = StatOf(kFile);
  entry.attr_timeout = entry.entry_timeout = kForever;
  fuse_reply_entry(request, &entry);
}

void GetAttr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat st = StatOf(inode);
  fuse_reply_attr(request, &st, kForever);
}

// Without a page cache of its own: it would answer reads with bytes whose write was failed.
void Open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  file->direct_io = 1;
  fuse_reply_open(request, file);
}

void Read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
  const uint64_t at = std::min<uint64_t>(static_cast<uint64_t>(offset), kDeviceBytes);
  fuse_reply_buf(request, ServerOf(request).device.bytes.data() + at, std::min<uint64_t>(size, kDeviceBytes - at));
}

void Write(fuse_req_t request, fuse_ino_t, const char* bytes, size_t size, off_t offset, fuse_file_info*) {
  Server& server = ServerOf(request);
  Device& device = server.device;
  const std::string_view marker = device.marker.data();
  if (device.fail_write == 1 && std::string_view(bytes, size).find(marker) != std::string_view::npos) {
    device.fail_write = 0;
    ++device.failures;
    fuse_reply_err(request, EIO);
    return;
  }
  const uint64_t at = static_cast<uint64_t>(offset);
  if (at > kDeviceBytes || size > kDeviceBytes - at || !server.Log(false, at, {bytes, size})) {
    fuse_reply_err(request, ENOSPC);
    return;
  }
  std::memcpy(device.bytes.data() + at, bytes, size);
  fuse_reply_write(request, size);
}

void Flush(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  Server& server = ServerOf(request);
  if (server.device.fail_flush == 1) {
    server.device.fail_flush = 0;
    ++server.device.failures;
    fuse_reply_err(request, EIO);
    return;
  }
  fuse_reply_err(request, server.Log(true, 0, {}) ? 0 : ENOSPC);
}

void Init(void*, fuse_conn_info* connection) { connection->max_write = kMostWriteBytes; }

}  // namespace

BlockLog::BlockLog(std::string directory, std::atomic<uint64_t>& requests)
    : directory_(std::move(directory)), requests_(requests) {
  std::filesystem::create_directories(directory_);
}

BlockLog::~BlockLog() {
  if (server_ != nullptr) umount2(directory_.c_str(), MNT_DETACH);
}

Status BlockLog::Start() {
  server_ = std::make_unique<Child>([this](int word) { return Serve(word); });
  return server_->AwaitWord() ? Status() : Status::Io("the logged device was not mounted at " + directory_);
}

int BlockLog::Serve(int word) {
  Server server{*device_, requests_};
  fuse_lowlevel_ops operations{};
  operations.init = Init;
  operations.lookup = Lookup;
  operations.getattr = GetAttr;
  operations.open = Open;
  operations.read = Read;
  operations.write = Write;
  operations.fsync = Flush;
  std::string name = "block_log", option = "-ofsname=block_log";
  char* argv[] = {name.data(), option.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(2, argv);
  fuse_session* const session = fuse_session_new(&args, &operations, sizeof operations, &server);
  if (session == nullptr || fuse_session_mount(session, directory_.c_str()) != 0) return 1;
  if (write(word, "x", 1) != 1) return 1;
  const int ended = fuse_session_loop(session);
  fuse_session_destroy(session);
  return ended == 0 ? 0 : 1;
}

Status BlockLog::Stop() {
  if (umount2(directory_.c_str(), 0) != 0) {
    return Status::FromErrno(errno, "unmounting " + directory_ + ": " + std::strerror(errno));
  }
  const int ended = server_->Wait();
  server_.reset();
  return ended == 0 ? Status() : Status::Io("the logged device ended with " + std::to_string(ended));
}

int BlockLog::OpenDevice() const { return open((directory_ + "/" + kName).c_str(), O_RDWR | O_CLOEXEC); }

void BlockLog::FailWriteWith(std::string_view marker) {
  device_->marker.fill(0);
  marker.copy(device_->marker.data(), device_->marker.size() - 1);
  device_->fail_write = 1;
}

void BlockLog::FailFlush() { device_->fail_flush = 1; }

std::vector<DeviceRequest> BlockLog::Requests() {
  std::vector<DeviceRequest> requests;
  const char* const log = device_->log.data();
  for (uint64_t at = 0; at < device_->log_used;) {
    Head head;
    std::memcpy(&head, log + at, sizeof head);
    at += sizeof head;
    requests.push_back({head.flush != 0, head.offset, {log + at, head.bytes}});
    at += head.bytes;
  }
  return requests;
}

}  // namespace tarn::test
