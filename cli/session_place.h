// Session places: the directory in which a mount session keeps its socket (wire.h) and its log, so that other
// commands on this machine find it.
//
//   a lake in a directory   the directory itself; the store's lock keeps a second session away
//   a lake in a bucket      STATE/tarn/mounts/HASH, the hash of bucket, prefix and endpoint; a lock there does
//   a reader's mount        the same, with the hash of its mountpoint: it holds no lake, so no verb looks for it, but
//                           umount waits for its process
//
// STATE is $XDG_STATE_HOME or ~/.local/state: it is there for a user who has no login session, and stays when one
// ends. A place belongs to one user and says nothing in its name of what is mounted.
#pragma once

#include <string>

#include "cli/local_fs.h"

namespace tarn::cli {

// Pure but for the environment; nothing need be there.
Result<std::string> WriterPlaceOf(const std::string& bucket_location);
Result<std::string> ReaderPlaceOf(const std::string& mountpoint);

// Makes such a place. Invalid when it is not the caller's own.
Status MakePlace(const std::string& place);
// Keeps other sessions away as long as the descriptor is open: Busy when one is there. REQUIRES: MakePlace
Result<UniqueFd> HoldPlace(const std::string& place);

std::string LogIn(const std::string& place);  // the session's log

}  // namespace tarn::cli
