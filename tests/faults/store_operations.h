// Every public operation of the store (include/tarn/db.h) as a script that a sweep can run. For tests/faults.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "tests/faults/store_stage.h"

namespace tarn::test {

struct StoreOperation {
  std::string name;
  Start start = Start::kOpen;
  bool reads_only = false;  // so the store must take writes afterwards
  // Runs it and returns the first error; a wrong answer fails the test by itself.
  std::function<Status(StoreStage&)> run;
  // What must hold besides the model. Null: nothing.
  std::function<void(StoreStage&, const Status&)> check = nullptr;
};

const std::vector<StoreOperation>& StoreOperations();

// By its name, where a test is named after it.
inline void PrintTo(const StoreOperation& operation, std::ostream* out) { *out << operation.name; }

}  // namespace tarn::test
