#include "backends/s3/errors.h"

#include <array>

namespace tarn::s3 {
namespace {

struct Known {
  std::string_view code;
  Code means;
  std::string_view why;
  std::string_view next;  // $B bucket, $C credentials, $E endpoint, $R the region that the server named
};

// The codes that a person meets and can do something about, first by S3's name for them.
constexpr std::array kKnown = {
    Known{"NoSuchKey", Code::kNotFound, "there is no such object", "check the name and the prefix in the URL"},
    Known{"NoSuchBucket", Code::kNotFound, "there is no bucket $B at $E", "create it, or correct the URL"},
    Known{"NoSuchUpload", Code::kIo, "the upload was aborted or has expired", "write it again"},
    Known{"SignatureDoesNotMatch", Code::kInvalid, "the secret key is wrong", "correct the credentials in $C"},
    Known{"InvalidAccessKeyId", Code::kInvalid, "the server does not know the access key",
          "correct the credentials in $C, or the endpoint"},
    Known{"ExpiredToken", Code::kInvalid, "the session token has expired", "get a new one for $C"},
    Known{"TokenRefreshRequired", Code::kInvalid, "the session token has expired", "get a new one for $C"},
    Known{"InvalidToken", Code::kInvalid, "the session token is wrong", "get a new one for $C"},
    Known{"AccessDenied", Code::kInvalid, "access is denied",
          "allow it for the user of $C, and check the secret key and that no session token has expired"},
    Known{"RequestTimeTooSkewed", Code::kInvalid, "this machine's clock is wrong", "set it (timedatectl)"},
    Known{"PermanentRedirect", Code::kInvalid, "the bucket is in another region", "$R"},
    Known{"AuthorizationHeaderMalformed", Code::kInvalid, "the region is wrong", "$R"},
    Known{"IllegalLocationConstraintException", Code::kInvalid, "the bucket is in another region", "$R"},
    Known{"NotImplemented", Code::kUnsupported, "the server cannot do that", "use one that speaks all of S3"},
    Known{"QuotaExceeded", Code::kNoSpace, "the quota is used up", "free space or raise the quota"},
    Known{"StorageFull", Code::kNoSpace, "the server is full", "free space there"},
    Known{"XMinioStorageFull", Code::kNoSpace, "the server is full", "free space there"},
    Known{"KeyTooLongError", Code::kInvalid, "the key is longer than 1,024 bytes", "shorten the prefix"},
    Known{"InvalidObjectName", Code::kInvalid, "the server does not take this key",
          "shorten the prefix or choose another: a key has 1,024 bytes at most"},
    Known{"BadDigest", Code::kUnavailable, "the bytes changed on their way", "retry"},
    Known{"XAmzContentSHA256Mismatch", Code::kUnavailable, "the bytes changed on their way", "retry"},
    Known{"SlowDown", Code::kUnavailable, "the server is overloaded", "retry later"},
};

// What is left is told by the status of HTTP; answers to HEAD have nothing else.
Known ByStatus(int status) {
  switch (status) {
    case 301:
    case 307: return {"", Code::kInvalid, "the bucket is in another region or at another endpoint", "$R"};
    case 400:
      return {"", Code::kInvalid, "the server refuses the request",
              "check region, endpoint and the credentials in $C"};
    case 401:
    case 403:
      return {"", Code::kInvalid, "access is denied",
              "allow it for the user of $C, and check its keys and that no session token has expired"};
    case 404: return {"", Code::kNotFound, "there is no such object", "check the name and the prefix in the URL"};
    case 409:
    case 412: return {"", Code::kBusy, "somebody else has written it", "look at what is there, then retry"};
    case 429: return {"", Code::kUnavailable, "the server is overloaded", "retry later"};
    case 501: return {"", Code::kUnsupported, "the server cannot do that", "use one that speaks all of S3"};
    case 507: return {"", Code::kNoSpace, "the server is full", "free space there"};
    default: break;
  }
  if (status >= 500) return {"", Code::kUnavailable, "the server failed", "retry later, and look at its log"};
  return {"", Code::kInvalid, "the server's answer is not S3's", "check the endpoint"};
}

std::string RegionStep(const S3Error& error, const Place& place) {
  if (!error.region.empty() && error.region != place.region) {
    return "set region=" + error.region + " (now " + place.region + ")";
  }
  return "set region= and endpoint= of the bucket (now " + place.region + ", " + place.endpoint + ")";
}

std::string Fill(std::string_view text, const S3Error& error, const Place& place) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'B': out += place.bucket; break;
      case 'C': out += place.credentials; break;
      case 'E': out += place.endpoint; break;
      default: out += RegionStep(error, place);
    }
  }
  return out;
}

}  // namespace

Status ServerError(const S3Error& error, std::string_view action, const Place& place) {
  Known known = ByStatus(error.http_status);
  for (const Known& candidate : kKnown) {
    if (candidate.code == error.code) known = candidate;
  }
  std::string message = "cannot " + std::string(action) + " " + place.object + ": " + Fill(known.why, error, place);
  message += " (";
  if (error.http_status != 0) message += std::to_string(error.http_status);  // of many objects, one has none
  if (!error.code.empty()) message += (error.http_status != 0 ? " " : "") + error.code;
  if (known.code.empty() && !error.message.empty()) message += ", " + error.message;
  message += "): " + Fill(known.next, error, place);
  return {known.means, std::move(message)};
}

Status TransportError(const HttpResponse& response, std::string_view action, const Place& place) {
  const std::string what = "cannot " + std::string(action) + " " + place.object + ": ";
  switch (response.failure) {
    case HttpFailure::kTls:
      return Status::Invalid(what + place.endpoint + " cannot be trusted: " + response.why +
                             ": name its authority with ca_file=, or correct the endpoint");
    case HttpFailure::kConnect:
      return Status::Unavailable(what + place.endpoint + " cannot be reached: " + response.why +
                                 ": check endpoint and network, then retry");
    case HttpFailure::kTooLong:
      return Status::Invalid(what + response.why + ": check that " + place.endpoint + " speaks S3");
    default:
      return Status::Unavailable(what + "no answer from " + place.endpoint + ": " + response.why +
                                 ": check the network, then retry");
  }
}

Status PastTheEnd(const std::string& object, uint64_t size, uint64_t offset, size_t wanted) {
  return Status::Corruption(object + " ends at byte " + std::to_string(size) + ", but " + std::to_string(wanted) +
                            " bytes at offset " + std::to_string(offset) + " are needed: run tarn check");
}

}  // namespace tarn::s3
