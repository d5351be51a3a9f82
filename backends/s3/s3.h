// The S3 storage backend: blobs are objects below one prefix of a bucket. For whoever opens a store, and for tests.
//
// A blob `name` is the object PREFIX/name. What the backend keeps for itself is below PREFIX/TARN-S3/, which no blob
// can be called: names of blobs have no capital letters.
//
// What the contract (tarn/sdk/backend.h) asks beyond the verbs of S3, and what it costs:
//   Open          One HEAD; none for a blob that this backend wrote or listed. Such a blob may have been deleted by
//                 another process since: then the first read says NotFound. Reads never mix two objects of one name:
//                 every GET names the ETag of the object that was opened.
//   Create        One PUT up to `part_bytes`, a multipart upload above. Memory: (parallel_parts + 1) * part_bytes.
//   PutIfAbsent   One conditional PUT with an id of its own. Whether it took place when the answer is lost, "exists"
//                 or an error of the server is found out by asking for the object's id. Io: nobody could tell.
//   Delete        HEAD and DELETE. A blob with open readers of this backend is first copied aside, inside S3.
//   DeleteAll     One POST for 1,000 names (a server without it: one DELETE each), and the copies.
//   Collect       Two LISTs, and what there is to delete. Copies aside are filed under the epoch of their writer; an
//                 upload in parts is told by the name that it would have.
//   Locks, append None: the manifest's put-if-absent fences writers.
//
// Conditional writes are the ground of all commits, and servers exist that accept the condition and ignore it, or
// race. So the first opening for writing proves it (proof.h) and refuses a server that fails.
//
// Errors are one line: what, where, what to do next. No secret, signature or session token is in any of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/sdk/backend.h"
#include "tarn/sdk/effects.h"

namespace tarn::s3 {

enum class Addressing : uint8_t {
  kAuto,     // virtual host on AWS, path elsewhere
  kPath,     // https://endpoint/bucket/key
  kVirtual,  // https://bucket.endpoint/key
};

// What is paid, in dollars or any other currency. The default is the list of AWS for S3 Standard in us-east-1, with
// the first tier of transfer to the internet; within the region transfer is free.
struct S3Prices {
  double thousand_writes = 0.005;  // PUT, COPY, POST and LIST
  double thousand_reads = 0.0004;  // GET, HEAD and all others but DELETE and abort, which are free
  double egress = 0.09;            // of a GB of answers
  double storage = 0.023;          // of a GB for a month
};
inline constexpr double kPricedBytes = 1 << 30;  // what a price list calls GB

struct S3Options {
  std::string bucket;
  std::string prefix;      // of all keys, without slashes at its ends; empty: the bucket's root
  std::string endpoint;    // "http[s]://host[:port]"; empty: $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, or AWS itself
  std::string region;      // empty: $AWS_REGION, $AWS_DEFAULT_REGION, the profile's, or us-east-1
  std::string ca_file;     // PEM certificates to trust instead of the system's; TLS is always verified
  std::string profile;     // in the shared config and credentials files; empty: $AWS_PROFILE, or "default"
  std::string access_key;  // references, `env:NAME` or `file:PATH`; never the secret itself. Empty: the usual chain
  std::string secret_key;  // (credentials.h)
  std::string session_token;
  Addressing addressing = Addressing::kAuto;
  bool read_only = false;                    // every change is refused as Invalid; nothing is proved
  bool if_match_quotes = true;               // false: If-Match of a PUT without quotes, as Ceph before 19 wants it
  bool hedge = true;                         // a second GET when the first is slower than most (retry.h)
  uint64_t part_bytes = 8 << 20;             // 5 MiB .. 1 GiB; a blob has at most 10,000 parts
  uint32_t parallel_parts = 4;               // of one upload, 1 .. 64
  uint32_t connections = 64;                 // at most, to the endpoint, 1 .. 1024
  uint64_t deadline_nanos = 60'000'000'000;  // of one verb with all its retries
  S3Prices prices;
};

// s3://BUCKET[/PREFIX][?name=value&...] with the names endpoint, region, ca_file, profile, access_key, secret_key,
// session_token, addressing (auto, path, virtual), if_match (quoted, unquoted), part_mib, parallel_parts,
// connections, deadline_seconds, hedge (on, off), write_price, read_price, egress_price, storage_price (decimal
// numbers; S3Prices). Values may be percent-encoded. Invalid says what is wrong, and
// never repeats a value.
Result<S3Options> ParseS3Url(std::string_view url);
// Those names, sorted: for whoever adds names of their own.
std::vector<std::string_view> S3UrlParameters();

// The requests of each kind that were sent, retries and hedges included.
enum class Verb : uint8_t {
  kGet,
  kHead,
  kPut,
  kList,
  kDelete,
  kDeleteMany,
  kCopy,
  kCreateUpload,
  kUploadPart,
  kCompleteUpload,
  kAbortUpload,
};
inline constexpr size_t kVerbs = 11;
std::string_view VerbName(Verb verb);  // "GET", "LIST", ...

// What this backend did since it was opened.
struct S3Stats {
  std::array<uint64_t, kVerbs> requests{};
  uint64_t bytes_sent = 0;                               // of bodies
  uint64_t bytes_received = 0;                           // of bodies
  uint64_t retries = 0;                                  // requests sent again after a failure
  uint64_t throttles = 0;                                // answers 503 and 429
  uint64_t hedges = 0;                                   // second GETs of the tail
  uint64_t hedges_won = 0;                               // of these, answered before the first
  uint64_t collected_copies = 0, collected_uploads = 0;  // of dead writers, deleted
};
S3Stats& operator+=(S3Stats& sum, const S3Stats& more);

// An estimate from above: S3 does not charge for some of the requests that it refuses.
struct S3Cost {
  double requests = 0, transfer = 0;
};
S3Cost CostOf(const S3Stats& stats, const S3Prices& prices);
// Of a month.
double StorageCost(uint64_t bytes, const S3Prices& prices);

class S3Backend : public Backend {
 public:
  virtual S3Stats stats() const = 0;
  virtual const S3Prices& prices() const = 0;
};

// One GET, and once in the life of a prefix and endpoint, for writing, the proof (some 40 requests). `clock` and
// `entropy`: both needed. Threads: any; the backend runs one thread of its own, libcurl's.
// Errors: Invalid (options, credentials, region, clock), NotFound (no such bucket), Unsupported (no atomic
// put-if-absent), Unavailable (the endpoint cannot be reached).
Result<std::shared_ptr<S3Backend>> OpenS3Backend(const S3Options& options, std::shared_ptr<Clock> clock,
                                                 std::shared_ptr<Entropy> entropy);

}  // namespace tarn::s3
