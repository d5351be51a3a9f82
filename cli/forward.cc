#include "cli/forward.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "base/coding.h"
#include "cli/session_place.h"
#include "cli/text.h"
#include "cli/wire.h"

namespace tarn::cli {

Result<int> Forward(UniqueFd socket, const std::string& place, const std::vector<std::string>& args,
                    const std::string& location, int cwd_fd, const std::atomic<bool>& cancelled) {
  TARN_TRY(SendRequest(socket.get(), args, location, cwd_fd));
  std::array<char, 4> reply;
  size_t filled = 0;
  bool told = false;
  while (filled < reply.size()) {
    if (cancelled.load() && !told) {
      told = true;
      shutdown(socket.get(), SHUT_WR);
    }
    // The timeout is for a signal that arrives just before poll; one that arrives during it ends it at once.
    struct pollfd waiting = {socket.get(), POLLIN, 0};
    if (poll(&waiting, 1, 500) <= 0) continue;
    const ssize_t n = recv(socket.get(), reply.data() + filled, reply.size() - filled, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return Status::Unavailable("the process that holds the lake ended before it answered; its reason is in " +
                                 Escape(LogIn(place)));
    }
    filled += static_cast<size_t>(n);
  }
  return static_cast<int>(DecodeFixed32(reply.data()));
}

}  // namespace tarn::cli
