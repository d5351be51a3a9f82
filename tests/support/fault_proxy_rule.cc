// Rules of the fault proxy as text.
#include <array>
#include <charconv>

#include "tests/support/fault_proxy.h"

namespace tarn::test {
namespace {

constexpr std::array<std::string_view, 12> kNames = {"none",
                                                     "cut-request",
                                                     "lose-answer",
                                                     "cut-answer",
                                                     "truncate-answer",
                                                     "corrupt-request",
                                                     "corrupt-answer",
                                                     "delay-request",
                                                     "delay-answer",
                                                     "duplicate",
                                                     "late",
                                                     "refuse"};

// All of `text` is a number within [low, high].
template <typename T>
bool ReadNumber(std::string_view text, T low, T high, T* out) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = error == std::errc() && end == text.data() + text.size() && number >= low && number <= high;
  if (good) *out = number;
  return good;
}

// False: there is no such setting, or not with this value.
bool Apply(std::string_view name, std::string_view value, FaultRule* rule) {
  constexpr int64_t kDay = 24 * 3600 * 1000;  // milliseconds; longer is a mistake in the unit
  int64_t delay = 0;
  if (name == "method") return rule->method = value, !value.empty();
  if (name == "target") return rule->target = value, !value.empty();
  if (name == "probability") return ReadNumber(value, 0.0, 1.0, &rule->probability);
  if (name == "skip") return ReadNumber<uint64_t>(value, 0, UINT64_MAX, &rule->skip);
  if (name == "times") return ReadNumber<uint64_t>(value, 0, UINT64_MAX, &rule->times);
  if (name == "bytes") return ReadNumber<uint64_t>(value, 0, UINT64_MAX, &rule->bytes);
  if (name == "status") return ReadNumber(value, 400, 599, &rule->status);
  if (name == "retry-after") return ReadNumber(value, 0, 86400, &rule->retry_after_seconds);
  if (name != "delay" || !ReadNumber(value, int64_t{0}, kDay, &delay)) return false;
  rule->delay = std::chrono::milliseconds(delay);
  return true;
}

}  // namespace

std::string_view FaultName(Fault fault) { return kNames[static_cast<size_t>(fault)]; }

Result<FaultRule> ParseFaultRule(std::string_view text) {
  FaultRule rule;
  for (bool first = true; first || !text.empty(); first = false) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t equals = std::min(word.find('='), word.size());
    if (!first) {
      if (equals < word.size() && Apply(word.substr(0, equals), word.substr(equals + 1), &rule)) continue;
      return Status::Invalid(
          "no setting of a rule: '" + std::string(word) +
          "'; there are method, target, probability, skip, times, delay (ms), bytes, status (400 to "
          "599) and retry-after (s), each with =VALUE");
    }
    size_t fault = 1;
    while (fault < kNames.size() && kNames[fault] != word) ++fault;
    if (fault == kNames.size()) {
      std::string known;
      for (size_t i = 1; i < kNames.size(); ++i) known.append(" ").append(kNames[i]);
      return Status::Invalid("no fault '" + std::string(word) + "'; there are" + known);
    }
    rule.fault = static_cast<Fault>(fault);
  }
  return rule;
}

}  // namespace tarn::test
