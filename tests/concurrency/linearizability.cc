#include "tests/concurrency/linearizability.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace tarn::test {
namespace {

using History = std::vector<const Operation*>;

std::string Show(const std::vector<Cell>& cells) {
  std::string text;
  for (const Cell& cell : cells) {
    text += " k" + std::to_string(cell.key) + "=";
    text += cell.value == kAbsent ? "absent" : std::to_string(cell.value);
  }
  return text;
}

std::string Show(const Operation& op) {
  std::string text = "[" + std::to_string(op.invoke) + ", " + std::to_string(op.response) + "] " + op.who;
  if (!op.saw.empty()) text += " saw" + Show(op.saw);
  if (!op.wrote.empty()) text += " wrote" + Show(op.wrote);
  return text;
}

// One search. The events (an invocation and a response for each operation) stand in a list in order of time;
// placing an operation takes both of its events out, taking it back puts them in again where they were. An
// operation may be placed next if its invocation is reached from the head of the list before any response: one
// that responded earlier and is not placed yet would have to come first.
class Search {
 public:
  explicit Search(const History& history) : history_(history), placed_((history.size() + 7) / 8, '\0') {
    std::map<uint64_t, Event> by_time;
    for (size_t i = 0; i < history.size(); ++i) {
      by_time[history[i]->invoke] = {.op = i, .is_response = false};
      by_time[history[i]->response] = {.op = i, .is_response = true};
      for (const auto* cells : {&history[i]->saw, &history[i]->wrote}) {
        for (const Cell& cell : *cells) state_[cell.key] = kAbsent;
      }
    }
    events_.resize(1);  // the head
    response_of_.resize(history.size());
    for (auto& [time, event] : by_time) {
      event.before = events_.size() - 1;
      events_.back().after = events_.size();
      if (event.is_response) response_of_[event.op] = events_.size();
      events_.push_back(event);
    }
    events_.back().after = 0;
  }

  bool Run() {
    size_t at = events_[0].after;
    while (events_[0].after != 0) {
      const Event& event = events_[at];
      if (!event.is_response && Place(at)) {
        at = events_[0].after;
        continue;
      }
      if (event.is_response) {  // what comes after it cannot precede it: take the last choice back
        if (stack_.empty()) return false;
        at = TakeBack();
      }
      at = events_[at].after;
    }
    return true;
  }

  size_t best() const { return best_; }
  const std::string& best_state() const { return best_state_; }

 private:
  struct Event {
    size_t op = 0;
    bool is_response = false;
    size_t before = 0, after = 0;  // in the list; 0 is the head
  };
  struct Choice {
    size_t event;
    std::map<uint32_t, uint64_t> state;  // before it
  };

  bool Place(size_t at) {
    const size_t index = events_[at].op;
    const Operation& op = *history_[index];
    for (const Cell& cell : op.saw) {
      if (state_.at(cell.key) != cell.value) return false;
    }
    std::map<uint32_t, uint64_t> next = state_;
    for (const Cell& cell : op.wrote) next[cell.key] = cell.value;
    placed_[index / 8] = static_cast<char>(placed_[index / 8] ^ (1 << index % 8));
    if (!seen_.insert(Memo(next)).second) {
      placed_[index / 8] = static_cast<char>(placed_[index / 8] ^ (1 << index % 8));
      return false;
    }
    stack_.push_back({at, std::exchange(state_, std::move(next))});
    for (size_t gone : {at, response_of_[index]}) {
      events_[events_[gone].before].after = events_[gone].after;
      if (events_[gone].after != 0) events_[events_[gone].after].before = events_[gone].before;
    }
    if (stack_.size() > best_) {
      best_ = stack_.size();
      best_state_.clear();
      for (const auto& [key, value] : state_) best_state_ += Show(std::vector<Cell>{{key, value}});
    }
    return true;
  }

  size_t TakeBack() {
    const size_t at = stack_.back().event;
    const size_t index = events_[at].op;
    state_ = std::move(stack_.back().state);
    stack_.pop_back();
    placed_[index / 8] = static_cast<char>(placed_[index / 8] ^ (1 << index % 8));
    for (size_t back : {response_of_[index], at}) {
      events_[events_[back].before].after = back;
      if (events_[back].after != 0) events_[events_[back].after].before = back;
    }
    return at;
  }

  std::string Memo(const std::map<uint32_t, uint64_t>& state) const {
    std::string memo = placed_;
    for (const auto& [key, value] : state) memo.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return memo;
  }

  const History& history_;
  std::vector<Event> events_;
  std::vector<size_t> response_of_;  // operation -> its event
  std::string placed_;               // one bit for each operation
  std::map<uint32_t, uint64_t> state_;
  std::vector<Choice> stack_;
  std::unordered_set<std::string> seen_;
  size_t best_ = 0;
  std::string best_state_;
};

// The history, cut along registers that no operation ties together.
std::vector<History> Partitions(const std::vector<Operation>& history) {
  std::map<uint32_t, uint32_t> parent;  // union-find over keys
  const auto root = [&](uint32_t key) {
    while (parent.at(key) != key) key = parent.at(key);
    return key;
  };
  const auto keys_of = [](const Operation& op) {
    std::vector<uint32_t> keys;
    for (const Cell& cell : op.saw) keys.push_back(cell.key);
    for (const Cell& cell : op.wrote) keys.push_back(cell.key);
    return keys;
  };
  for (const Operation& op : history) {
    const std::vector<uint32_t> keys = keys_of(op);
    for (uint32_t key : keys) {
      parent.try_emplace(key, key);
      parent[root(key)] = root(keys.front());
    }
  }
  std::map<uint32_t, History> parts;
  for (const Operation& op : history) {
    const std::vector<uint32_t> keys = keys_of(op);
    if (!keys.empty()) parts[root(keys.front())].push_back(&op);
  }
  std::vector<History> found;
  for (auto& [key, part] : parts) found.push_back(std::move(part));
  return found;
}

}  // namespace

std::string CheckLinearizable(const std::vector<Operation>& history) {
  for (History& part : Partitions(history)) {
    Search search(part);
    if (search.Run()) continue;
    std::sort(part.begin(), part.end(), [](const auto* a, const auto* b) { return a->invoke < b->invoke; });
    std::string text = "no order explains these " + std::to_string(part.size()) +
                       " operations; the best attempt placed " + std::to_string(search.best()) + " and ended with" +
                       search.best_state() + ":\n";
    for (const Operation* op : part) text += "  " + Show(*op) + "\n";
    return text;
  }
  return {};
}

}  // namespace tarn::test
