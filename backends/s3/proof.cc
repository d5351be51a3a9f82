#include "backends/s3/proof.h"

#include <vector>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr int kRounds = 4;
constexpr int kRacers = 8;

Status Refused(const Client& client, const std::string& why) {
  const Endpoint& endpoint = client.caller()->endpoint;
  return Status::Unsupported(
      "cannot write to s3://" + endpoint.bucket + ": put-if-absent (PUT with If-None-Match: *) of " +
      endpoint.scheme + "://" + endpoint.host + " " + why +
      ", so two writers would destroy each other's work: open read-only, or use another server");
}

Call ConditionalPut(const std::string& key, const std::string& body) {
  Call call;
  call.verb = Verb::kPut;
  call.action = "write";
  call.key = key;
  call.headers = {{"if-none-match", "*"}};
  call.body = std::make_shared<const std::string>(body);
  return call;
}

bool Lost(const Call& call) { return call.error.http_status == 412 || call.error.http_status == 409; }

// One race to one key: at most one OK, and what is stored is the winner's. A call whose answer was lost on the way
// may have won, too.
Status RaceOnce(Client* client, const std::string& key) {
  std::vector<Call> calls;
  for (int i = 0; i < kRacers; ++i) calls.push_back(ConditionalPut(key, "racer " + std::to_string(i)));
  CallQueue queue(client->caller());
  for (Call& call : calls) queue.Start(&call);
  while (!queue.Wait().empty()) {
  }
  int winners = 0;
  std::string winner;
  for (const Call& call : calls) {
    if (call.error.http_status == 501) return Refused(*client, "is not there (501)");
    if (!call.status.ok() && !Lost(call) && !call.may_have_happened) return call.status;
    if (!call.status.ok()) continue;
    ++winners;
    winner = *call.body;
  }
  if (winners > 1) return Refused(*client, "let " + std::to_string(winners) + " of 8 racing writers win");
  TARN_ASSIGN(const auto stored, client->GetSmall(key));
  if (!stored) return Refused(*client, "stored nothing");
  bool explained = winners == 1 && *stored == winner;
  for (const Call& call : calls) explained |= winners == 0 && call.may_have_happened && *stored == *call.body;
  if (!explained) return Refused(*client, "stored another writer's bytes than the winner's");

  Call late = ConditionalPut(key, "late");
  Run(client->caller(), &late);
  if (late.status.ok()) return Refused(*client, "replaces an object that is there");
  return Lost(late) ? Status::Ok() : late.status;
}

}  // namespace

std::string MarkerKey(const std::string& private_prefix, const Endpoint& endpoint) {
  const std::string where = endpoint.scheme + "://" + endpoint.host + endpoint.path_prefix;
  return private_prefix + "PUT-IF-ABSENT-" + Hex(Sha256(where)).substr(0, 16);
}

Status ProvePutIfAbsent(Client* client, const std::string& private_prefix) {
  const std::string race = private_prefix + "RACE-" + client->NewAttemptId() + "-";
  std::vector<std::string> keys;
  Status proved;
  for (int round = 0; round < kRounds && proved.ok(); ++round) {
    keys.push_back(race + std::to_string(round));
    proved = RaceOnce(client, keys.back());
  }
  const Status cleaned = client->DeleteMany(keys);
  TARN_TRY(proved);
  TARN_TRY(cleaned);
  const Endpoint& endpoint = client->caller()->endpoint;
  auto text = std::make_shared<const std::string>("tarn: put-if-absent was raced and found atomic through " +
                                                  endpoint.scheme + "://" + endpoint.host + "\n");
  return client->PutIfAbsent(MarkerKey(private_prefix, endpoint), std::move(text)).status();
}

}  // namespace tarn::s3
