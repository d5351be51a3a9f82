// StoreModel: what a Tarn store should contain, as plain maps. The reference of the random tests.
//
// A *state* is the content of all families at one moment. States are immutable and shared: a snapshot of the
// model is a pointer.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::test {

using Rows = std::map<std::string, std::string, std::less<>>;
using State = std::map<std::string, Rows>;  // family name -> rows

class StoreModel {
 public:
  StoreModel() : state_(std::make_shared<const State>(State{{"default", {}}})) {}

  std::shared_ptr<const State> state() const { return state_; }
  void Reset(std::shared_ptr<const State> state) { state_ = std::move(state); }

  // One atomic change of several rows, as WriteBatch makes it.
  struct Change {
    enum class What { kPut, kDelete, kDeleteRange } what;
    std::string family, key, value;  // value: the value, or the end of the range
  };
  void Apply(const std::vector<Change>& changes) {
    auto next = std::make_shared<State>(*state_);
    for (const Change& change : changes) {
      Rows& rows = (*next)[change.family];
      switch (change.what) {
        case Change::What::kPut: rows[change.key] = change.value; break;
        case Change::What::kDelete: rows.erase(change.key); break;
        case Change::What::kDeleteRange:
          if (change.key < change.value) rows.erase(rows.lower_bound(change.key), rows.lower_bound(change.value));
          break;
      }
    }
    state_ = std::move(next);
  }
  void CreateFamily(const std::string& name) {
    auto next = std::make_shared<State>(*state_);
    (*next)[name];
    state_ = std::move(next);
  }
  void DropFamily(const std::string& name) {
    auto next = std::make_shared<State>(*state_);
    next->erase(name);
    state_ = std::move(next);
  }

 private:
  std::shared_ptr<const State> state_;
};

// The rows an iterator with these bounds may show.
inline std::vector<std::pair<std::string, std::string>> RowsWithin(const Rows& rows, std::string_view lower,
                                                                   std::string_view upper, std::string_view prefix) {
  std::vector<std::pair<std::string, std::string>> seen;
  for (const auto& [key, value] : rows) {
    if (!lower.empty() && key < lower) continue;
    if (!upper.empty() && key >= upper) continue;
    if (!std::string_view(key).starts_with(prefix)) continue;
    seen.emplace_back(key, value);
  }
  return seen;
}

}  // namespace tarn::test
