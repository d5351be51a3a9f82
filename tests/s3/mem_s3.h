// An S3 server in memory, behind the transport of backends/s3: no sockets, no threads, time only from the clock it is
// given. With VirtualClock and seeded faults a run is decided by its seed.
//
// It keeps the rules of S3 that the backend relies on, and can be told to break some as real servers do (Habits).
// What befalls each request is a Plan; the default is that it is carried out and answered at once.
//
// Threads: any, each with a queue of its own.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backends/s3/transport.h"
#include "tarn/sdk/effects.h"

namespace tarn::test {

struct Habits {
  bool honours_if_none_match = true;
  bool honours_it_on_complete = true;
  bool knows_conditions = true;  // false: 501
  // What the loser of a race is told first; 412 when it asks again.
  int lost_race_status = 412;
  std::string lost_race_code = "PreconditionFailed";
  bool quotes_etags = true;
  bool deletes_many = true;  // false: 501
  size_t uploads_a_page = 1000;
};

struct Plan {
  enum class What : uint8_t {
    kServe,
    kLoseAnswer,   // carried out, and the connection breaks
    kLoseRequest,  // the connection breaks, and nothing is carried out
    kRefuse,       // `answer`, and nothing is carried out
    kLate,         // `answer` now, and carried out before the `later`th request from now
    kTwice,        // carried out twice, and the second answer is heard
  };
  What what = What::kServe;
  s3::HttpResponse answer;
  int later = 3;
  uint64_t delay_nanos = 0;  // of the answer
};

// <Error> as S3 says it.
s3::HttpResponse ErrorAnswer(int status, const std::string& code, const std::string& message = "",
                             s3::HttpHeaders headers = {});

class MemS3 final : public s3::HttpTransport {
 public:
  explicit MemS3(std::shared_ptr<Clock> clock, Habits habits = {}) : clock_(std::move(clock)), habits_(habits) {}

  std::unique_ptr<s3::HttpQueue> NewQueue() override;

  // Asked for each request, in the order in which they are started; `nth` counts from 1.
  void SetPlan(std::function<Plan(const s3::HttpRequest& request, uint64_t nth)> plan);
  // A bulk delete leaves these keys, each with an <Error>.
  void KeepInBulk(std::set<std::string> keys);
  // "GET /bucket/key?query" of all requests since the last call.
  std::vector<std::string> TakeLog();
  std::vector<std::string> Keys() const;
  size_t uploads() const;      // neither completed nor aborted
  uint64_t late_done() const;  // late requests that changed something when they came
  // The bytes of an object as they lie there, and bytes that changed behind its back: its ETag stays. Empty: it is
  // not there, or has none.
  std::string Contents(const std::string& key) const;
  void Corrupt(const std::string& key, std::string bytes);

 private:
  friend class MemQueue;
  struct Object {
    std::string bytes, etag;
    s3::HttpHeaders metadata;
  };
  struct Upload {
    std::string key;
    s3::HttpHeaders metadata;
    std::map<uint64_t, std::string> parts;
  };
  struct Question;

  // Decides, carries out and answers. Returns when the answer arrives.
  uint64_t Handle(const s3::HttpRequest& request, s3::HttpResponse* response);
  s3::HttpResponse Serve(const s3::HttpRequest& request);
  s3::HttpResponse Get(const Question& q) const;
  s3::HttpResponse Put(const Question& q);
  s3::HttpResponse Copy(const Question& q, const std::string& source);
  s3::HttpResponse Post(const Question& q);
  s3::HttpResponse Complete(const Question& q);
  s3::HttpResponse DeleteMany(const Question& q);
  s3::HttpResponse List(const Question& q) const;
  s3::HttpResponse ListUploads(const Question& q) const;
  s3::HttpResponse Store(const Question& q, std::string bytes, const s3::HttpHeaders& metadata, bool conditional);
  std::string Etag(const std::string& etag) const { return habits_.quotes_etags ? "\"" + etag + "\"" : etag; }

  const std::shared_ptr<Clock> clock_;
  const Habits habits_;
  mutable std::mutex mutex_;  // guards all below
  std::function<Plan(const s3::HttpRequest&, uint64_t)> plan_;
  uint64_t requests_ = 0, versions_ = 0, late_done_ = 0;
  std::vector<std::string> log_;
  std::vector<std::pair<uint64_t, s3::HttpRequest>> late_;  // due before that request
  std::map<std::string, Object> objects_;
  std::map<std::string, Upload> uploads_;
  std::set<std::string> kept_in_bulk_;
  std::set<std::string> lost_races_;  // keys whose next loser is told 412
};

}  // namespace tarn::test
