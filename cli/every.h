// Every: calls `work` on a thread of its own, an interval after its last end, until it is destroyed. For what a mount
// does by the clock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/system_effects.h"

namespace tarn::cli {

class Every {
 public:
  Every(std::chrono::seconds interval, std::function<void()> work)
      : thread_([this, interval, work = std::move(work)](const std::stop_token& stop) {
          NameThisThread("tarn-every");
          std::unique_lock lock(mutex_);
          const auto stopped = [&stop] { return stop.stop_requested(); };
          while (!wake_.wait_for(lock, stop, interval, stopped) && !stopped()) work();
        }) {}

 private:
  std::mutex mutex_;  // only for the wait
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it uses the rest; its end waits for the work in progress
};

}  // namespace tarn::cli
