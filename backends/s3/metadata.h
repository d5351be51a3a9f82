// Credentials of the machine or container we run in. For credentials.cc.
//
// Both endpoints are plain HTTP on a link-local address, never through a proxy, with a deadline of 2 s a request.
// EC2: only with a session token (IMDSv2), so that no proxy on the machine can be tricked into asking for us.
#pragma once

#include <string>

#include "backends/s3/credentials.h"
#include "backends/s3/transport.h"

namespace tarn::s3 {

// $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI (https, or a loopback or link-local address).
bool HasContainerEndpoint(const Surroundings& around);
Result<Credentials> FetchFromContainer(const Surroundings& around, HttpTransport& transport, Clock& clock);

// At $AWS_EC2_METADATA_SERVICE_ENDPOINT or the well-known address; not at all when $AWS_EC2_METADATA_DISABLED is
// true.
Result<Credentials> FetchFromMachine(const Surroundings& around, HttpTransport& transport, Clock& clock);

// The answer of both: {"AccessKeyId": ..., "SecretAccessKey": ..., "Token": ..., "Expiration": ...}. Hostile text is
// Invalid; nothing of it is repeated.
Result<Credentials> ParseMetadata(const std::string& json, std::string from);

}  // namespace tarn::s3
