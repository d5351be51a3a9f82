// Child: a part of a test in a process of its own, to be killed. For supervisors, which have one thread whenever they
// start one.
#pragma once

#include <sys/types.h>

#include <functional>

namespace tarn::test {

class Child {
 public:
  // Runs body(word) in a new process, which dies with this one at the latest, and exits with what it returns. `word`
  // is the descriptor on which it says one thing, once, by writing a byte.
  explicit Child(const std::function<int(int word)>& body);
  ~Child();  // killed and reaped
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Waits for the word. False: the child ended without it, or said nothing for so long that it hangs.
  bool AwaitWord();
  void Kill();
  // The exit code, or minus the signal that ended it. A child that does not end within two minutes is killed.
  int Wait();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int word_ = -1;
};

}  // namespace tarn::test
