// The directories in which runs find their stores.
//
//   DIR/<engine>/base   a data set, loaded by a child, never changed by a run; one per engine at a time
//   DIR/<engine>/run    the empty directory or the copy of base that one run may change
//
// What is written here reaches the device before Prepare returns, so that a run does not pay for it.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "bench/run.h"

namespace tarn::bench {

class Stores {
 public:
  // `dir` must be absent or empty: nothing that was not made here is deleted. Ends the process when it is not.
  Stores(std::string dir, bool keep);
  ~Stores();  // deletes what was made, unless `keep`
  Stores(const Stores&) = delete;
  Stores& operator=(const Stores&) = delete;

  // Makes ready what `spec` needs and sets its config.dir. The answer is why that failed, or empty. `note` is told
  // what is going on ("load", "copy"); `tick` as in RunChild.
  std::string Prepare(Data need, RunSpec* spec, const std::function<void(const std::string&)>& note,
                      const std::function<void()>& tick);
  void Release(const RunSpec& spec);  // the run is over

 private:
  struct Base {
    std::string data_set;  // which one it holds
    std::string error;     // why loading it failed
  };
  std::string Load(RunSpec spec, const std::function<void()>& tick);
  std::string PathOf(const std::string& engine, const char* what) const;

  std::string dir_;
  bool keep_;
  bool made_dir_ = false;
  std::map<std::string, Base> bases_;  // by engine
};

}  // namespace tarn::bench
