#include "cli/wire.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/coding.h"
#include "cli/context.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr std::string_view kMagic = "tarn";
constexpr uint32_t kProtocol = 1;
constexpr size_t kHeaderBytes = 12;
constexpr size_t kMaxRequestBytes = 8 << 20;  // four times what the kernel lets a command line be
constexpr size_t kDescriptors = 4;
constexpr int kBacklog = 64;

// Addresses of unix sockets are at most 107 bytes long, paths are not: the address goes through an open
// descriptor of the directory.
struct Address {
  UniqueFd directory;
  struct sockaddr_un name = {};
};

Result<Address> AddressIn(const std::string& place) {
  Address address;
  address.directory = OpenAt(AT_FDCWD, place, O_PATH | O_DIRECTORY);
  if (!address.directory.ok()) return LocalError(errno, place, "check the path and its permissions");
  address.name.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", address.directory.get(), kSocketName);
  std::memcpy(address.name.sun_path, path.c_str(), path.size() + 1);
  return address;
}

std::string SocketPath(const std::string& place) { return place + "/" + kSocketName; }

Result<UniqueFd> NewSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.ok()) return LocalError(errno, "socket", "cannot make one");
  return fd;
}

const struct sockaddr* Raw(const Address& address) { return reinterpret_cast<const struct sockaddr*>(&address.name); }

Status SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return Status::Unavailable(fmt::format("the other side hung up: {}; run it again", std::strerror(errno)));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status ReceiveAll(int socket, std::span<char> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t n = recv(socket, out.data() + filled, out.size() - filled, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Status::Unavailable("the other side hung up before its message was whole; run it again");
    filled += static_cast<size_t>(n);
  }
  return {};
}

Status SendHeader(int socket, std::string_view header, const std::array<int, kDescriptors>& fds) {
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  struct iovec part = {const_cast<char*>(header.data()), header.size()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(rights), fds.data(), sizeof fds);
  ssize_t n;
  do {
    n = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n != static_cast<ssize_t>(header.size())) {
    return Status::Unavailable(
        fmt::format("cannot talk to the process that holds the lake: {}; run it again", std::strerror(errno)));
  }
  return {};
}

// The header and the descriptors that came with it.
Status ReceiveHeader(int socket, std::span<char> header, Request* request) {
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)] = {};
  struct iovec part = {header.data(), header.size()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
  std::vector<UniqueFd> fds;
  for (struct cmsghdr* c = CMSG_FIRSTHDR(&message); n >= 0 && c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  if (n != static_cast<ssize_t>(header.size()) || fds.size() != kDescriptors) {
    return Status::Invalid("a request without its header or descriptors; is the client a tarn?");
  }
  request->in = std::move(fds[0]);
  request->out = std::move(fds[1]);
  request->err = std::move(fds[2]);
  request->cwd = std::move(fds[3]);
  return {};
}

Status ParseBody(const std::string& body, Request* request) {
  const Json object = Json::parse(body, nullptr, false);
  const Status bad = Status::Invalid("a request that is not understood; is the client the same tarn?");
  if (!object.is_object() || !object.contains("args") || !object["args"].is_array()) return bad;
  for (const Json& arg : object["args"]) {
    if (!arg.is_string()) return bad;
    TARN_ASSIGN(std::string bytes, Unescape(arg.get<std::string>()));
    request->args.push_back(std::move(bytes));
  }
  if (!object.contains("lake") || !object["lake"].is_string()) return bad;
  TARN_ASSIGN(request->location, Unescape(object["lake"].get<std::string>()));
  return {};
}

}  // namespace

Status SendRequest(int socket, const std::vector<std::string>& args, const std::string& location, int cwd_fd) {
  Json object;
  object["args"] = Json::array();
  for (const std::string& arg : args) object["args"].push_back(Escape(arg));
  object["lake"] = Escape(location);
  const std::string body = Dump(object);
  if (body.size() > kMaxRequestBytes) return Status::Invalid("the command line is too long; name fewer operands");
  std::string header(kMagic);
  PutFixed32(&header, kProtocol);
  PutFixed32(&header, static_cast<uint32_t>(body.size()));
  TARN_TRY(SendHeader(socket, header, {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, cwd_fd}));
  return SendAll(socket, body);
}

Result<Request> ReceiveRequest(int socket) {
  Request request;
  std::array<char, kHeaderBytes> header;
  TARN_TRY(ReceiveHeader(socket, header, &request));
  const uint32_t version = DecodeFixed32(header.data() + 4), length = DecodeFixed32(header.data() + 8);
  if (std::string_view(header.data(), 4) != kMagic || version != kProtocol || length > kMaxRequestBytes) {
    return Status::Unsupported("the client is another version of tarn; use the one that holds the lake");
  }
  std::string body(length, '\0');
  TARN_TRY(ReceiveAll(socket, body));
  TARN_TRY(ParseBody(body, &request));
  return request;
}

Status SendReply(int socket, int exit_code) {
  std::string reply;
  PutFixed32(&reply, static_cast<uint32_t>(exit_code));
  return SendAll(socket, reply);
}

Result<UniqueFd> ListenIn(const std::string& place) {
  TARN_ASSIGN(const Address address, AddressIn(place));
  TARN_ASSIGN(UniqueFd fd, NewSocket());
  if (unlinkat(address.directory.get(), kSocketName, 0) != 0 && errno != ENOENT) {
    return LocalError(errno, SocketPath(place), "remove what is in the way of the socket");
  }
  // The mode of the socket's file is that of its descriptor when it is bound.
  if (fchmod(fd.get(), 0600) != 0 || bind(fd.get(), Raw(address), sizeof address.name) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return LocalError(errno, SocketPath(place), "cannot listen there");
  }
  return fd;
}

Result<UniqueFd> ConnectTo(const std::string& place) {
  TARN_ASSIGN(const Address address, AddressIn(place));
  TARN_ASSIGN(UniqueFd fd, NewSocket());
  if (connect(fd.get(), Raw(address), sizeof address.name) == 0) return fd;
  if (errno == ENOENT || errno == ECONNREFUSED) return Status::NotFound("nobody serves the lake");
  if (errno == EACCES || errno == EPERM) {
    return Status(Code::kInvalid,
                  fmt::format("{}: the lake is served for another user; run it as that user", Escape(place)), EACCES);
  }
  return LocalError(errno, SocketPath(place), "cannot reach the process that holds the lake");
}

void RemoveSocket(const std::string& place) { unlink(SocketPath(place).c_str()); }

Result<Peer> PeerOf(int socket) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return LocalError(errno, "socket", "cannot tell who is on the other side");
  }
  return Peer{peer.pid, peer.uid, peer.gid};
}

}  // namespace tarn::cli
