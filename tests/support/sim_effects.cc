#include "tests/support/sim_effects.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace tarn::test {
namespace {
// Far above any honest wait; below the patience of a person who watches a test hang.
constexpr uint64_t kMaxQuantaPerAwait = 10'000'000;
}  // namespace

uint64_t SeededRandom::Next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

void SeededEntropy::Fill(std::span<char> out) {
  std::lock_guard lock(mutex_);
  while (!out.empty()) {
    const uint64_t word = random_.Next();
    const size_t n = std::min(out.size(), sizeof(word));
    std::memcpy(out.data(), &word, n);
    out = out.subspan(n);
  }
}

void SimScheduler::Submit(Lane lane, Task task) {
  std::lock_guard lock(mutex_);
  lanes_[static_cast<size_t>(lane)].push_back(std::move(task));
}

bool SimScheduler::RunOne() {
  Task task;
  size_t lane = 0;
  {
    std::lock_guard lock(mutex_);
    while (lane < lanes_.size() && lanes_[lane].empty()) ++lane;
    if (lane == lanes_.size()) return false;
    auto& queue = lanes_[lane];
    std::swap(queue[random_.Below(queue.size())], queue.back());
    task = std::move(queue.back());
    queue.pop_back();
  }
  // Out of the queue while it runs, so a task that itself awaits never re-enters itself.
  if (task()) Submit(static_cast<Lane>(lane), std::move(task));
  return true;
}

uint64_t SimScheduler::RunAll() {
  uint64_t quanta = 0;
  while (RunOne()) {
    ++quanta;
    CHECK(quanta < kMaxQuantaPerAwait && "the tasks never end");
  }
  return quanta;
}

void SimScheduler::Await(std::mutex& mutex, const std::function<bool()>& ready) {
  for (uint64_t quanta = 0; !ready(); ++quanta) {
    CHECK(quanta < kMaxQuantaPerAwait && "Await makes no progress");
    mutex.unlock();
    const bool ran = RunOne();
    mutex.lock();
    CHECK((ran || ready()) && "Await would never end: no task is queued and the condition is false");
  }
}

size_t SimScheduler::queued() const {
  std::lock_guard lock(mutex_);
  size_t n = 0;
  for (const auto& lane : lanes_) n += lane.size();
  return n;
}

}  // namespace tarn::test
