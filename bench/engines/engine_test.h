// What the tests of this folder share: a store of a small engine in a directory that is removed afterwards.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/engine.h"

namespace tarn::bench {

inline const EngineKind& Kind(const std::string& name) {
  for (const EngineKind& kind : EngineKinds()) {
    if (kind.name == name) return kind;
  }
  Die("no engine " + name);
}

inline std::string KeyOf(int n) {
  std::string key = std::to_string(n);
  return std::string(8 - key.size(), '0') + key;
}
// Different for each key and each generation; random-looking, so that tables grow as data does.
inline std::string ValueOf(int n, int generation = 0, size_t size = 100) {
  std::string value;
  uint64_t state = static_cast<uint64_t>(n) * 0x9e3779b97f4a7c15ull + static_cast<uint64_t>(generation) + 1;
  while (value.size() < size) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    value.append(reinterpret_cast<const char*>(&state), sizeof(state));
  }
  value.resize(size);
  return value;
}

inline EngineConfig SmallConfig(const std::string& dir) {
  EngineConfig config;
  config.dir = dir;
  config.memory_budget = 8 << 20;  // the least that Tarn takes; makes flushes and compactions come early
  return config;
}

class EngineTest : public testing::TestWithParam<std::string> {
 protected:
  EngineTest() : config_(SmallConfig(MakeTempDir())) {}
  ~EngineTest() override {
    engine_.reset();
    std::filesystem::remove_all(config_.dir);
  }
  static std::string MakeTempDir() {
    std::string path = std::filesystem::current_path() / "engines_test.XXXXXX";
    if (mkdtemp(path.data()) == nullptr) Die("cannot make a directory like " + path);
    return path;
  }
  Engine& Open() {
    engine_.reset();
    engine_ = Kind(GetParam()).open(config_);
    return *engine_;
  }
  std::string Get(std::string_view key) {
    std::string value = "left over";
    return engine_->Get(key, &value) ? value : "(none)";
  }
  // Keys with even numbers from 0 to 2 * (count - 1).
  void PutEven(int count) {
    for (int i = 0; i < count; ++i) engine_->Put(KeyOf(2 * i), ValueOf(2 * i));
  }
  bool IsLsm() const { return GetParam() == "tarn" || GetParam() == "rocksdb" || GetParam() == "leveldb"; }

  EngineConfig config_;
  std::unique_ptr<Engine> engine_;
};

inline std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const EngineKind& kind : EngineKinds()) names.push_back(kind.name);
  return names;
}

}  // namespace tarn::bench
