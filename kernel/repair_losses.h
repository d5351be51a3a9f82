// RepairLosses: what a repair has lost so far. The data is read once for each snapshot, so a loss comes up again and
// again and is kept once; neighbouring blocks that were lost in a row become one loss.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "format/table.h"
#include "tarn/repair.h"

namespace tarn::kernel {

class RepairLosses {
 public:
  void Add(RepairLoss loss);
  std::vector<RepairLoss> Take();

 private:
  std::map<std::pair<std::string, uint64_t>, std::vector<RepairLoss>> losses_;  // by blob and offset
};

// The end of a range whose last key is `key`.
inline std::string JustBehind(std::string_view key) { return std::string(key) + '\0'; }

}  // namespace tarn::kernel
