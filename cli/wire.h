// The conversation between `tarn VERB` and the process that holds the lake, over a unix socket in the
// session's place (serve.sock; session_place.h). One request, one reply:
//
//   request  12 bytes: "tarn", version (fixed32), length (fixed32), sent with four descriptors by SCM_RIGHTS:
//            standard input, output, error, and the working directory; then `length` bytes of JSON:
//            {"args": ["ls", "-l", "/"], "lake": "~/lake"}, each string escaped as in cli/text.h, because an
//            argument is bytes and JSON is not
//   reply    the exit code, fixed32
//
// Everything else (who is calling, how wide the terminal is) the server learns from the socket and the descriptors
// themselves, so it cannot be told lies. A client that closes its end, or half of it, has given up.
#pragma once

#include <string>
#include <vector>

#include "cli/local_fs.h"

namespace tarn::cli {

inline constexpr char kSocketName[] = "serve.sock";

struct Request {
  std::vector<std::string> args;  // without the program's name
  std::string location;           // the lake, in the client's words
  UniqueFd in, out, err, cwd;
};

Status SendRequest(int socket, const std::vector<std::string>& args, const std::string& location, int cwd_fd);
Result<Request> ReceiveRequest(int socket);
Status SendReply(int socket, int exit_code);

// A listening socket. REQUIRES: the caller holds the place's lock, or the lake's (a socket file that is there already
// was left by a dead process and is replaced).
Result<UniqueFd> ListenIn(const std::string& place);
// Connects to whoever serves the lake; NotFound when nobody does.
Result<UniqueFd> ConnectTo(const std::string& place);
void RemoveSocket(const std::string& place);

struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<Peer> PeerOf(int socket);

}  // namespace tarn::cli
