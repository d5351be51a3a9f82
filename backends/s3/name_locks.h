// A lock for each name: any number may open a blob at once, and whoever deletes it is alone with it. For
// s3_backend.cc.
//
// Threads: any. Whoever holds one takes no other; so nobody waits in a ring. All names of a deletion are taken in one
// moment, and none while one of them is held.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tarn::s3 {

class NameLocks {
 public:
  // Lets go of the names when it goes.
  class Held {
   public:
    Held(NameLocks* locks, std::vector<std::string> names) : locks_(locks), names_(std::move(names)) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { locks_->Release(names_); }

   private:
    NameLocks* const locks_;
    const std::vector<std::string> names_;
  };

  Held Share(const std::string& name) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return !held_.contains(name) || held_[name] > 0; });
    ++held_[name];
    return {this, {name}};
  }
  Held Exclude(std::span<const std::string> names) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] {
      for (const std::string& name : names) {
        if (held_.contains(name)) return false;
      }
      return true;
    });
    for (const std::string& name : names) held_[name] = kAlone;
    return {this, {names.begin(), names.end()}};
  }

 private:
  static constexpr int kAlone = -1;

  void Release(const std::vector<std::string>& names) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::string& name : names) {
      const auto found = held_.find(name);
      if (found != held_.end() && (found->second == kAlone || --found->second == 0)) held_.erase(found);
    }
    changed_.notify_all();
  }

  std::mutex mutex_;                 // guards held_
  std::condition_variable changed_;  // something was released
  std::map<std::string, int> held_;  // by how many, or kAlone
};

}  // namespace tarn::s3
