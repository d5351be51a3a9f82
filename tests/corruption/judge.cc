#include "tests/corruption/judge.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace tarn::test {

std::string Amiss(const Status& status) {
  const std::string_view text = status.message();
  const auto has = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (status.code() != Code::kCorruption) return "another code than Corruption: " + status.ToString();
  if (has("\n")) return "more than one line: " + status.ToString();
  if (!has("table/") && !has("manifest/") && !has("wal/")) return "no file is named: " + status.ToString();
  const bool placed = has("offset") || has("byte ") || has("missing") || has("is here") || has("sequence") ||
                      has("manifest does not fit");
  if (!placed) return "no place is named: " + status.ToString();
  if (!has("tarn repair") && !has("; ")) return "no next step is named: " + status.ToString();
  return "";
}

// One damage, asked in every way.
class Judge::Trial {
 public:
  Trial(const Judge& judge, const Damage& damage)
      : truths_(judge.truths_), damage_(damage), possible_(judge.truths_.size(), true) {}

  void Run(Subject& subject) {
    {
      const auto disk = DiskOf(damage_.image);
      Answers answers;
      Opened("opened read-only", subject.Read(disk, &answers), answers);
      if (ImageOf(*disk) != damage_.image) Complain("a read-only open changed the store");
    }
    const auto disk = DiskOf(damage_.image);
    Answers before, after, again;
    const Status opened = subject.Rewrite(disk, &before, &after);
    Opened("opened for writing", opened, before);
    if (!opened.ok() && subject.FailedOpenChangesNothing()) {
      if (ImageOf(*disk) != damage_.image) Complain("a failed open changed the store");
      return;
    }
    if (opened.ok()) Compare("rewritten", after);
    Opened("reopened", subject.Read(disk, &again), again);
  }

  const std::string& complaint() const { return complaint_; }
  bool error_seen() const { return error_seen_; }
  // The best state that all answers agree with; truths_.size(): none.
  size_t state() const {
    for (size_t i = truths_.size(); i-- > 0;) {
      if (possible_[i]) return i;
    }
    return truths_.size();
  }

 private:
  void Complain(const std::string& why) {
    if (complaint_.empty()) complaint_ = why;
  }
  void Error(const std::string& when, const Status& status) {
    error_seen_ = true;
    const std::string amiss = Amiss(status);
    if (!amiss.empty()) Complain(when + ": " + amiss);
  }
  void Opened(const std::string& when, const Status& opened, const Answers& answers) {
    opened.ok() ? Compare(when, answers) : Error(when, opened);
  }
  void Compare(const std::string& when, const Answers& answers) {
    std::string difference;
    for (size_t i = 0; i < truths_.size(); ++i) {
      if (possible_[i] && !(difference = Difference(answers, truths_[i])).empty()) possible_[i] = false;
    }
    if (state() == truths_.size()) Complain(when + ": " + difference);
    for (const Answer& answer : answers) {
      if (!answer.status.ok()) Error(when + ", " + answer.question, answer.status);
    }
  }
  static std::string Difference(const Answers& answers, const Answers& truth) {
    if (answers.size() != truth.size()) return "not all questions were answered";
    for (size_t i = 0; i < truth.size(); ++i) {
      const Answer& got = answers[i];
      const bool right = got.status.ok() ? got.text == truth[i].text : truth[i].text.starts_with(got.text);
      if (!right) return got.question + ": got '" + got.text + "' instead of '" + truth[i].text + "'";
    }
    return "";
  }

  const std::vector<Answers>& truths_;
  const Damage& damage_;
  std::vector<bool> possible_;
  std::string complaint_;
  bool error_seen_ = false;
};

void Judge::Try(const Damage& damage) {
  ++tried_;
  Trial trial(*this, damage);
  trial.Run(subject_);
  const std::string kind = KindOf(damage.blob);
  Counts& counts = counts_[{kind, damage.what}];
  const bool whole = trial.state() + 1 == truths_.size();
  if (!trial.complaint().empty()) return Wrong(damage, trial.complaint());
  if (trial.error_seen()) {
    ++counts.detected;
  } else if (!whole && trial.state() < least_(damage)) {
    Wrong(damage, "commits that something vouches for are missing, and nothing says so");
  } else if (!whole) {
    ++counts.tail_lost;
  } else if (const std::string reason = harmless_(damage); !reason.empty()) {
    ++counts.harmless;
    ++reasons_[reason];
  } else {
    Wrong(damage, "nothing notices it, and no reason is known why it is harmless");
  }
}

void Judge::Wrong(const Damage& damage, const std::string& why) {
  Counts& counts = counts_[{KindOf(damage.blob), damage.what}];
  if (++counts.wrong <= 3) ADD_FAILURE() << damage.what << ": " << damage.detail << "\n  " << why.substr(0, 1000);
}

void Judge::Report(const std::string& title) const {
  std::printf("\n%s: %zu damages\n%-10s %-30s %9s %9s %9s %6s\n", title.c_str(), tried_, "file", "damage", "detected",
              "harmless", "tail lost", "wrong");
  Counts sum;
  for (const auto& [row, counts] : counts_) {
    std::printf("%-10s %-30s %9zu %9zu %9zu %6zu\n", row.first.c_str(), row.second.c_str(), counts.detected,
                counts.harmless, counts.tail_lost, counts.wrong);
    sum.detected += counts.detected;
    sum.harmless += counts.harmless;
    sum.tail_lost += counts.tail_lost;
    sum.wrong += counts.wrong;
  }
  std::printf("%-41s %9zu %9zu %9zu %6zu\n", "sum", sum.detected, sum.harmless, sum.tail_lost, sum.wrong);
  for (const auto& [reason, count] : reasons_) std::printf("harmless %6zu: %s\n", count, reason.c_str());
  std::fflush(stdout);
  EXPECT_EQ(sum.wrong, 0u);
  EXPECT_GT(sum.detected, 0u);
}

}  // namespace tarn::test
