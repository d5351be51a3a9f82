// The tree of blocks that io_model.cc reads: a file of data blocks, its index in memory, and a block cache.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace tarn::spike {

constexpr size_t kBlockBytes = 4096;
constexpr size_t kFanout = 256;  // entries a block

// The same bytes on disk and in memory: sorted keys, then a child block number or a value for each.
struct Node {
  uint64_t keys[kFanout];
  uint64_t slots[kFanout];
};
static_assert(sizeof(Node) == kBlockBytes);

[[noreturn]] inline void Die(const char* what, int error) {
  std::fprintf(stderr, "io_model: %s: %s\n", what, std::strerror(error));
  std::exit(1);
}

inline uint64_t ValueOf(uint64_t key) { return key * 0x9e3779b97f4a7c15ull + 1; }
inline uint64_t SearchNode(const Node& node, uint64_t key) {
  const uint64_t* end = node.keys + kFanout;
  const uint64_t* at = std::upper_bound(node.keys, end, key);
  return node.slots[at == node.keys ? 0 : at - node.keys - 1];
}

// The block cache: open addressing over the block number, fixed size, reference-free. As small as a cache can be,
// so that the differences between the three styles are not buried under it.
class Cache {
 public:
  explicit Cache(size_t slots) : entries_(slots) {}
  const Node* Lookup(uint64_t block) const {
    for (size_t i = Slot(block);; i = (i + 1) & (entries_.size() - 1)) {
      if (entries_[i].node == nullptr) return nullptr;
      if (entries_[i].block == block) return entries_[i].node;
    }
  }
  void Insert(uint64_t block, const Node* node) {
    size_t i = Slot(block);
    while (entries_[i].node != nullptr) i = (i + 1) & (entries_.size() - 1);
    entries_[i] = {block, node};
  }

 private:
  struct Entry {
    uint64_t block = 0;
    const Node* node = nullptr;
  };
  size_t Slot(uint64_t block) const { return (block * 0x9e3779b97f4a7c15ull >> 20) & (entries_.size() - 1); }
  std::vector<Entry> entries_;
};

struct Options {
  uint64_t blocks = 65536;  // data blocks
  uint64_t reads = 2000000;
  double seconds = 3;
  unsigned depth = 64;
  std::string file = "io_model.data";
};

// The tree and its file. Block numbers: data 0..n-1, index n.., top last. Only data blocks are ever cold.
struct Tree {
  uint64_t data_blocks = 0, top = 0;
  std::vector<std::unique_ptr<Node>> index;  // by block number - data_blocks
  std::vector<std::unique_ptr<Node>> hot;    // data blocks kept in the cache
  std::unique_ptr<Cache> cache;
  int fd = -1;
  bool direct = true;
};

inline void FillData(uint64_t block, Node* node) {
  for (size_t i = 0; i < kFanout; ++i) {
    node->keys[i] = block * kFanout + i;
    node->slots[i] = ValueOf(node->keys[i]);
  }
}

inline void WriteFile(const Options& options, Tree* tree) {
  const int fd = open(options.file.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) Die(options.file.c_str(), errno);
  std::vector<Node> chunk(64);
  for (uint64_t block = 0; block < options.blocks;) {
    const size_t n = std::min<uint64_t>(chunk.size(), options.blocks - block);
    for (size_t i = 0; i < n; ++i) FillData(block + i, &chunk[i]);
    if (write(fd, chunk.data(), n * kBlockBytes) != static_cast<ssize_t>(n * kBlockBytes)) Die("write", errno);
    block += n;
  }
  if (fsync(fd) != 0) Die("fsync", errno);
  close(fd);
  tree->fd = open(options.file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (tree->fd < 0) {
    tree->direct = false;
    tree->fd = open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
  }
  unlink(options.file.c_str());
  if (tree->fd < 0) Die(options.file.c_str(), errno);
}

inline Tree MakeTree(const Options& options, uint64_t hot_blocks) {
  Tree tree;
  tree.data_blocks = options.blocks;
  const uint64_t partitions = (options.blocks + kFanout - 1) / kFanout;
  tree.top = options.blocks + partitions;
  auto top = std::make_unique<Node>();
  std::fill(top->keys, top->keys + kFanout, UINT64_MAX);
  for (uint64_t p = 0; p < partitions; ++p) {
    auto node = std::make_unique<Node>();
    std::fill(node->keys, node->keys + kFanout, UINT64_MAX);
    for (uint64_t i = 0; i < kFanout && p * kFanout + i < options.blocks; ++i) {
      node->keys[i] = (p * kFanout + i) * kFanout;
      node->slots[i] = p * kFanout + i;
    }
    top->keys[p] = node->keys[0];
    top->slots[p] = options.blocks + p;
    tree.index.push_back(std::move(node));
  }
  tree.index.push_back(std::move(top));
  tree.cache = std::make_unique<Cache>(8192);
  for (size_t i = 0; i < tree.index.size(); ++i) tree.cache->Insert(options.blocks + i, tree.index[i].get());
  for (uint64_t block = 0; block < hot_blocks; ++block) {
    tree.hot.push_back(std::make_unique<Node>());
    FillData(block, tree.hot.back().get());
    tree.cache->Insert(block, tree.hot.back().get());
  }
  WriteFile(options, &tree);
  return tree;
}

inline Node* NewBuffer() {
  void* p = std::aligned_alloc(kBlockBytes, kBlockBytes);
  if (p == nullptr) std::abort();
  return static_cast<Node*>(p);
}

}  // namespace tarn::spike
