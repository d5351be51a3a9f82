// NodeTable: the inodes that are open or have bytes in memory that are not in the store yet.
//
// A node exists while somebody pins it, has it open, or it is dirty; then it goes. Its mutex serialises writes
// and flushes of one file. What others ask about a node without waiting for that (open count, size and times
// not yet stored) is behind the table's own lock, which is a leaf: nothing is called while it is held.
//
// Lock order of the lake: Node::mutex, then LakeImpl::mutex_, then NodeTable::mutex_.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "lake/lake.h"

namespace tarn::lake {

// Attributes that a write changed in memory.
struct Pending {
  uint64_t size = 0;
  int64_t mtime = 0, ctime = 0;
};

struct Node {
  explicit Node(Ino number) : ino(number) {}
  const Ino ino;
  Mutex mutex;
  // Content of dirty blocks, by block number; what lies behind a string's end, up to the block's, is zeros.
  std::map<uint64_t, std::string> blocks GUARDED_BY(mutex);

  // Behind NodeTable::mutex_.
  uint32_t pins = 0;
  uint32_t opens = 0;
  std::optional<Pending> pending;
  uint64_t turn = 0;  // place among the dirty nodes; 0: clean
  uint64_t dirty_bytes = 0;
};

class NodeTable {
 public:
  // Keeps a node in the table. Empty when default-constructed.
  class Pin {
   public:
    Pin() = default;
    Pin(NodeTable* table, Node* node) : table_(table), node_(node) {}
    Pin(Pin&& other) noexcept : table_(other.table_), node_(other.node_) { other.node_ = nullptr; }
    Pin& operator=(Pin&&) = delete;
    ~Pin();
    explicit operator bool() const { return node_ != nullptr; }
    Node& operator*() const { return *node_; }
    Node* operator->() const { return node_; }

   private:
    NodeTable* table_ = nullptr;
    Node* node_ = nullptr;
  };

  Pin Get(Ino ino) EXCLUDES(mutex_);   // made when absent
  Pin Find(Ino ino) EXCLUDES(mutex_);  // empty when absent

  void AddOpen(Ino ino) EXCLUDES(mutex_);
  uint32_t DropOpen(Ino ino) EXCLUDES(mutex_);  // returns how often it is still open
  uint32_t Opens(Ino ino) EXCLUDES(mutex_);

  // The node has new bytes in memory, and these attributes. `grown` may be negative.
  void SetDirty(Node& node, const Pending& pending, int64_t grown) EXCLUDES(mutex_);
  void Shrink(Node& node, uint64_t bytes) EXCLUDES(mutex_);
  void SetClean(Node& node) EXCLUDES(mutex_);
  std::optional<Pending> PendingOf(Ino ino) EXCLUDES(mutex_);
  // Changes the times that a later flush will write, so that a SetAttr after a write wins.
  void SetPendingTimes(Ino ino, std::optional<int64_t> mtime, std::optional<int64_t> ctime) EXCLUDES(mutex_);

  uint64_t dirty_bytes() EXCLUDES(mutex_);
  Pin OldestDirty() EXCLUDES(mutex_);  // empty when all are clean
  std::vector<Ino> Dirty() EXCLUDES(mutex_);

 private:
  Node* GetLocked(Ino ino) REQUIRES(mutex_);
  void DropIfIdle(Node* node) REQUIRES(mutex_);

  Mutex mutex_;
  std::unordered_map<Ino, std::unique_ptr<Node>> nodes_ GUARDED_BY(mutex_);
  std::map<uint64_t, Node*> dirty_ GUARDED_BY(mutex_);  // by turn
  uint64_t last_turn_ GUARDED_BY(mutex_) = 0;
  uint64_t dirty_bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace tarn::lake
