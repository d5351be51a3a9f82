// Progress: how far a long verb has come, on the error stream. On a terminal one line that rewrites itself (bytes,
// rate, time left when the total is known); elsewhere a plain line every ten seconds, so that logs show life. A
// command that takes less prints nothing. --quiet: nothing.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "cli/context.h"

namespace tarn::cli {

class Progress {
 public:
  // `verb` is what is going on ("import"). A total of 0 is not known.
  Progress(Context& context, std::string verb, uint64_t total_bytes, uint64_t total_items);
  ~Progress();  // takes the line off the terminal
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Add(uint64_t bytes, uint64_t items);
  void Name(std::string verb);  // what is going on now
  void Set(uint64_t bytes, uint64_t items);
  uint64_t bytes() const { return bytes_; }
  uint64_t items() const { return items_; }
  double Seconds() const;

 private:
  void Show();
  std::string Line(double seconds) const;

  Context& context_;
  std::string verb_;
  uint64_t total_bytes_, total_items_;
  uint64_t bytes_ = 0, items_ = 0;
  uint64_t started_ns_, next_ns_;
  bool drawn_ = false;
};

// "in 2.1 s, 340.0 MiB/s"
std::string RateText(uint64_t bytes, double seconds);

}  // namespace tarn::cli
