#include "lake/node_table.h"

#include "base/assert.h"

namespace tarn::lake {

NodeTable::Pin::~Pin() {
  if (node_ == nullptr) return;
  MutexLock lock(table_->mutex_);
  --node_->pins;
  table_->DropIfIdle(node_);
}

Node* NodeTable::GetLocked(Ino ino) {
  auto& slot = nodes_[ino];
  if (slot == nullptr) slot = std::make_unique<Node>(ino);
  return slot.get();
}

void NodeTable::DropIfIdle(Node* node) {
  if (node->pins == 0 && node->opens == 0 && node->turn == 0) nodes_.erase(node->ino);
}

NodeTable::Pin NodeTable::Get(Ino ino) {
  MutexLock lock(mutex_);
  Node* node = GetLocked(ino);
  ++node->pins;
  return {this, node};
}

NodeTable::Pin NodeTable::Find(Ino ino) {
  MutexLock lock(mutex_);
  const auto found = nodes_.find(ino);
  if (found == nodes_.end()) return {};
  ++found->second->pins;
  return {this, found->second.get()};
}

void NodeTable::AddOpen(Ino ino) {
  MutexLock lock(mutex_);
  ++GetLocked(ino)->opens;
}

uint32_t NodeTable::DropOpen(Ino ino) {
  MutexLock lock(mutex_);
  const auto found = nodes_.find(ino);
  CHECK(found != nodes_.end());
  Node* node = found->second.get();
  CHECK(node->opens > 0);
  const uint32_t left = --node->opens;
  DropIfIdle(node);
  return left;
}

uint32_t NodeTable::Opens(Ino ino) {
  MutexLock lock(mutex_);
  const auto found = nodes_.find(ino);
  return found == nodes_.end() ? 0 : found->second->opens;
}

void NodeTable::SetDirty(Node& node, const Pending& pending, int64_t grown) {
  MutexLock lock(mutex_);
  node.pending = pending;
  node.dirty_bytes += grown;
  dirty_bytes_ += grown;
  if (node.turn != 0) return;
  node.turn = ++last_turn_;
  dirty_[node.turn] = &node;
}

void NodeTable::Shrink(Node& node, uint64_t bytes) {
  MutexLock lock(mutex_);
  CHECK(bytes <= node.dirty_bytes);
  node.dirty_bytes -= bytes;
  dirty_bytes_ -= bytes;
}

void NodeTable::SetClean(Node& node) {
  MutexLock lock(mutex_);
  dirty_bytes_ -= node.dirty_bytes;
  node.dirty_bytes = 0;
  node.pending.reset();
  dirty_.erase(node.turn);
  node.turn = 0;
}

std::optional<Pending> NodeTable::PendingOf(Ino ino) {
  MutexLock lock(mutex_);
  const auto found = nodes_.find(ino);
  return found == nodes_.end() ? std::nullopt : found->second->pending;
}

void NodeTable::SetPendingTimes(Ino ino, std::optional<int64_t> mtime, std::optional<int64_t> ctime) {
  MutexLock lock(mutex_);
  const auto found = nodes_.find(ino);
  if (found == nodes_.end() || !found->second->pending) return;
  if (mtime) found->second->pending->mtime = *mtime;
  if (ctime) found->second->pending->ctime = *ctime;
}

uint64_t NodeTable::dirty_bytes() {
  MutexLock lock(mutex_);
  return dirty_bytes_;
}

NodeTable::Pin NodeTable::OldestDirty() {
  MutexLock lock(mutex_);
  if (dirty_.empty()) return {};
  Node* node = dirty_.begin()->second;
  ++node->pins;
  return {this, node};
}

std::vector<Ino> NodeTable::Dirty() {
  MutexLock lock(mutex_);
  std::vector<Ino> inos;
  for (const auto& [turn, node] : dirty_) inos.push_back(node->ino);
  return inos;
}

}  // namespace tarn::lake
