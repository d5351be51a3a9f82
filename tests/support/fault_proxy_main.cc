// tarn-fault-proxy: the fault proxy as a program, for scripts and benchmarks. It runs until SIGINT or SIGTERM and
// then says what passed.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <map>

#include "tests/support/fault_proxy.h"

namespace tarn::test {
namespace {

constexpr const char* kHelp = R"(An HTTP proxy on loopback that makes the network as bad as its rules say.

  tarn-fault-proxy --upstream $TARN_S3_ENDPOINT --rule delay-request,probability=0.02,delay=200 &
  tarn-fault-proxy --upstream $TARN_S3_ENDPOINT --rule lose-answer,method=PUT,target=manifest/,times=1

A rule is a fault, then method=M target=PART probability=P skip=N times=N delay=MS bytes=N status=S retry-after=S.
The first rule that takes a request decides. Faults:
  cut-request                 close the connection; the server never hears of the request
  lose-answer                 the server does it; close the connection instead of an answer
  cut-answer truncate-answer  after `bytes` of the body: close, or end it as if this were all
  corrupt-request corrupt-answer            flip a bit of byte `bytes` of the body
  delay-request delay-answer                by `delay`
  duplicate                   the server gets it twice, the client the second answer
  late                        refuse now; the server gets it `delay` later
  refuse                      answer `status`, with Retry-After if given

Its first line says where it listens. At the end it prints a line for each method and status, and for each rule.)";

void Print(const std::vector<ProxiedRequest>& requests, FILE* log) {
  std::map<std::pair<std::string, int>, std::array<uint64_t, 3>> tally;
  for (const ProxiedRequest& r : requests) {
    auto& [count, in, out] = tally[{r.method, r.status}];
    ++count;
    in += r.request_bytes;
    out += r.answer_bytes;
    if (log == nullptr) continue;
    std::fprintf(log, "%llu %s %s %s %s %d %d %d %llu %llu\n", static_cast<unsigned long long>(r.connection),
                 r.method.c_str(), r.target.c_str(), r.range.empty() ? "-" : r.range.c_str(),
                 std::string(FaultName(r.fault)).c_str(), r.forwarded, r.upstream_status, r.status,
                 static_cast<unsigned long long>(r.request_bytes), static_cast<unsigned long long>(r.answer_bytes));
  }
  for (const auto& [key, numbers] : tally) {
    std::printf("%s %d: %llu requests, %llu bytes to the server, %llu bytes back\n", key.first.c_str(), key.second,
                static_cast<unsigned long long>(numbers[0]), static_cast<unsigned long long>(numbers[1]),
                static_cast<unsigned long long>(numbers[2]));
  }
}

int Main(int argc, char** argv) {
  CLI::App app(kHelp, "tarn-fault-proxy");
  FaultProxy::Options options;
  std::vector<std::string> rules;
  std::string log_path;
  app.add_option("--upstream", options.upstream, "the server: http://HOST:PORT")->required();
  app.add_option("--listen", options.port, "the port on 127.0.0.1; default: a free one");
  app.add_option("--seed", options.seed, "of chance (1)");
  app.add_option("--rule", rules, "may be given again")->take_all()->delimiter('\0');
  app.add_option(
      "--log", log_path,
      "at the end, a line for each request: connection, method, target, range, fault, times forwarded, status "
      "of the server, status for the client, bytes of request and answer");
  CLI11_PARSE(app, argc, argv);

  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before there are threads, so that they all leave it to sigwait

  Result<std::unique_ptr<FaultProxy>> proxy = FaultProxy::Start(options);
  Status status = proxy.status();
  for (const std::string& text : rules) {
    const Result<FaultRule> rule = ParseFaultRule(text);
    if (!rule.ok()) status = rule.status();
    if (status.ok()) (*proxy)->AddRule(*rule);
  }
  FILE* log = log_path.empty() ? nullptr : std::fopen(log_path.c_str(), "w");
  if (!log_path.empty() && log == nullptr) status = Status::FromErrno(errno, "cannot write " + log_path);
  if (!status.ok()) {
    std::fprintf(stderr, "tarn-fault-proxy: %s\n", status.ToString().c_str());
    return 1;
  }
  std::printf("listening on %s\n", (*proxy)->endpoint().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  Print((*proxy)->TakeRequests(), log);
  for (size_t i = 0; i < rules.size(); ++i) {
    std::printf("%s: %llu times\n", rules[i].c_str(), static_cast<unsigned long long>((*proxy)->Fired(i)));
  }
  return log == nullptr || std::fclose(log) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
