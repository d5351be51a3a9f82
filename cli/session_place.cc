#include "cli/session_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/hash.h"
#include "cli/context.h"
#include "cli/text.h"
#include "cli/wire.h"

namespace tarn::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::string> StateHome() {
  const std::string state = Environment("XDG_STATE_HOME");
  if (state.starts_with('/')) return state;  // a relative one is to be ignored, says the specification
  std::string home = Environment("HOME");
  if (!home.starts_with('/')) {
    std::vector<char> buffer(16 << 10);
    struct passwd entry;
    struct passwd* found = nullptr;
    if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
      home = found->pw_dir;
    }
  }
  if (!home.starts_with('/')) return Status::Invalid("no home directory to keep the mount's socket in; set HOME");
  return home + "/.local/state";
}

Result<std::string> PlaceFor(const std::string& what) {
  TARN_ASSIGN(const std::string state, StateHome());
  return fmt::format("{}/tarn/mounts/{:016x}{:016x}", state, Hash64(what, 1), Hash64(what, 2));
}

// What the URL's parameters say about where it is, the endpoint. The others say how to get there.
std::string EndpointOf(const std::string& parameters) {
  constexpr std::string_view kName = "endpoint=";
  for (size_t from = 0; from < parameters.size();) {
    const size_t end = std::min(parameters.find('&', from), parameters.size());
    const std::string parameter = parameters.substr(from, end - from);
    if (parameter.starts_with(kName)) return parameter.substr(kName.size());
    from = end + 1;
  }
  const std::string s3 = Environment("AWS_ENDPOINT_URL_S3");
  return s3.empty() ? Environment("AWS_ENDPOINT_URL") : s3;
}

Status MakePrivate(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return LocalError(errno, directory, "make it, or set XDG_STATE_HOME: the mount's socket and log go there");
}

}  // namespace

Result<std::string> WriterPlaceOf(const std::string& bucket_location) {
  const size_t query = std::min(bucket_location.find('?'), bucket_location.size());
  std::string place = bucket_location.substr(0, query);
  while (place.ends_with('/')) place.pop_back();
  const std::string parameters = query < bucket_location.size() ? bucket_location.substr(query + 1) : "";
  return PlaceFor(place + " at " + EndpointOf(parameters));
}

Result<std::string> ReaderPlaceOf(const std::string& mountpoint) { return PlaceFor("reader " + mountpoint); }

Status MakePlace(const std::string& place) {
  for (size_t slash = place.find('/', 1); slash != std::string::npos; slash = place.find('/', slash + 1)) {
    TARN_TRY(MakePrivate(place.substr(0, slash)));
  }
  TARN_TRY(MakePrivate(place));
  struct stat st;
  if (lstat(place.c_str(), &st) != 0) return LocalError(errno, place, "check the path");
  if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0) return {};
  return Status::Invalid(fmt::format("{}: the mount's socket would be in reach of others; remove it", Escape(place)));
}

Result<UniqueFd> HoldPlace(const std::string& place) {
  const std::string path = place + "/lock";
  UniqueFd lock = OpenAt(AT_FDCWD, path, O_RDWR | O_CREAT, 0600);
  if (!lock.ok()) return LocalError(errno, path, "check its permissions");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return LocalError(errno, path, "cannot lock it");
  std::string holder = "another process";
  if (const auto socket = ConnectTo(place); socket.ok()) {
    if (const auto peer = PeerOf(socket->get()); peer.ok()) holder = fmt::format("pid {} (tarn mount)", peer->pid);
  }
  return Status::Busy(fmt::format("it is mounted already, by {}; unmount that first", holder));
}

std::string LogIn(const std::string& place) { return place + "/mount.log"; }

}  // namespace tarn::cli
