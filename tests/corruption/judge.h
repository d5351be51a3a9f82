// The judge: opens a damaged store in every way, compares all it answers with what was stored, and counts.
//
// A subject (a store, a lake) is asked four times: opened read-only; opened for writing; after everything was
// rewritten, so that damage which passed unseen into fresh checksums shows; and read-only once more. An answer is
// right, or an error that says Corruption, which file, and what to do next. Besides
//   - an open of a store that fails, and every read-only one, leaves each byte as it was;
//   - all answers are of one and the same moment.
// Anything else is *wrong*, and fails the test with what is needed to make the damage again.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tarn/status.h"
#include "tests/corruption/image.h"

namespace tarn::test {

struct Answer {
  std::string question;
  Status status;
  std::string text;  // behind an error: what came before it
};
using Answers = std::vector<Answer>;

class Subject {
 public:
  virtual ~Subject() = default;
  // Opens, asks everything (Verify too), closes. The error is that of opening.
  virtual Status Read(std::shared_ptr<Backend> disk, Answers* answers) = 0;
  // Whether an open that fails has changed nothing. Else what it leaves must answer as well as what it found.
  virtual bool FailedOpenChangesNothing() const { return true; }
  // Opens for writing, asks, rewrites all there is, asks again, closes.
  virtual Status Rewrite(std::shared_ptr<Backend> disk, Answers* before, Answers* after) = 0;
};

class Judge {
 public:
  // truths[i]: the answers when all but the last truths.size() - 1 - i commits survived; the last one is all of them.
  // `least` says which of them a damage may at worst leave; `harmless`, why a damage may pass without any notice (""
  // when it may not).
  using Least = std::function<size_t(const Damage&)>;
  using Harmless = std::function<std::string(const Damage&)>;
  Judge(Subject& subject, std::vector<Answers> truths, Least least, Harmless harmless)
      : subject_(subject), truths_(std::move(truths)), least_(std::move(least)), harmless_(std::move(harmless)) {}

  void Try(const Damage& damage);
  // Prints the table; fails the test when something was wrong.
  void Report(const std::string& title) const;

 private:
  struct Counts {
    size_t detected = 0, harmless = 0, tail_lost = 0, wrong = 0;
  };
  class Trial;
  void Wrong(const Damage& damage, const std::string& why);

  Subject& subject_;
  const std::vector<Answers> truths_;
  const Least least_;
  const Harmless harmless_;
  std::map<std::pair<std::string, std::string>, Counts> counts_;
  std::map<std::string, size_t> reasons_;  // of what was harmless
  size_t tried_ = 0;
};

// Corruption in one line that names a file of the store and what to do next; empty when it is, else what is amiss.
std::string Amiss(const Status& status);

}  // namespace tarn::test
