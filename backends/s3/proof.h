// The proof that a server's put-if-absent is real and atomic, made once before anything is written. For
// s3_backend.cc.
//
// Some servers ignore If-None-Match, some answer 501, some check it without a lock, so that two of two racing writers
// win. The proof races small conditional PUTs in several rounds and looks who won and what is stored; then it tries
// to replace the stored object one by one. A server that passes gets a marker object, named after the endpoint:
// another gateway to the same bucket has to prove itself anew.
//
// A proof by experiment: it finds what is wrong often (of the racing servers known, in four rounds of eight with
// practical certainty), not what is wrong once in a million.
#pragma once

#include <string>

#include "backends/s3/client.h"

namespace tarn::s3 {

// The marker of `endpoint` below `private_prefix` ("PREFIX/TARN-S3/").
std::string MarkerKey(const std::string& private_prefix, const Endpoint& endpoint);

// Unsupported: it is not. Unavailable: could not be found out. OK: it is, and the marker is written.
Status ProvePutIfAbsent(Client* client, const std::string& private_prefix);

}  // namespace tarn::s3
