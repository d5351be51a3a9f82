// What a crash leaves of SimFiles, and damage at rest.

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "tests/sim/rot.h"
#include "tests/sim/sim_files_machine.h"

namespace tarn::test {
namespace {

using State = UnsyncedWrite::State;

constexpr uint64_t kSectorBytes = 512;

// Takes the unsynced writes off a file, and returns the bytes of each.
std::vector<std::string> Undo(SimNode* file) {
  std::vector<std::string> data(file->unsynced.size());
  for (size_t i = data.size(); i-- > 0;) {
    const UnsyncedWrite& write = file->unsynced[i];
    data[i] = file->bytes.substr(write.offset, write.length);
    file->bytes.replace(write.offset, write.overwritten.size(), write.overwritten);
    file->bytes.resize(write.old_size);
  }
  return data;
}

// Puts [begin, end) of a write back; both are offsets in the file.
void Redo(SimNode* file, const UnsyncedWrite& write, std::string_view data, uint64_t begin, uint64_t end) {
  if (begin >= end) return;
  if (file->bytes.size() < end) file->bytes.resize(end);
  std::memcpy(file->bytes.data() + begin, data.data() + (begin - write.offset), end - begin);
}

}  // namespace

void Apply(const NameChange& change, bool keep_old_name, SimEntries* entries) {
  const auto named = entries->find(change.name);
  const bool ours = named != entries->end() && named->second == change.node;
  switch (change.kind) {
    case NameChange::Kind::kAdd: (*entries)[change.name] = change.node; break;
    case NameChange::Kind::kRemove:
      if (ours) entries->erase(named);
      break;
    case NameChange::Kind::kRename:
      if (ours && !keep_old_name) entries->erase(named);
      (*entries)[change.new_name] = change.node;
      break;
  }
}

// One crash: walks what survives from the root down. Each inode rolls its own dice.
struct SimFiles::Settler {
  const uint64_t seed;
  const FileCrash profile;
  const uint64_t last_order;  // kOrdered: the last change of a name that survives
  std::unordered_set<const SimNode*> settled;

  SeededRandom RandomOf(const SimNode& node) const { return SeededRandom(seed ^ node.number * 0x9e3779b97f4a7c15); }

  void Settle(SimNode* node) {
    if (!settled.insert(node).second) return;
    node->locked_by = nullptr;
    if (!node->is_dir()) return SettleFile(node);
    if (profile != FileCrash::kKill) SettleNames(node);
    std::vector<SimNode*> children;
    for (const auto& [name, child] : node->entries) children.push_back(child.get());
    for (SimNode* child : children) Settle(child);
  }

  void SettleNames(SimNode* dir) {
    SeededRandom random = RandomOf(*dir);
    const uint64_t kind = random.Below(4);  // nothing survives, everything does, or each on its own (twice as often)
    for (const NameChange& change : dir->changes) {
      bool survives = false, keeps_old = false;
      if (profile == FileCrash::kPosix) {
        survives = kind == 0 ? false : kind == 1 ? true : random.OneIn(2);
        keeps_old = kind > 1 && random.OneIn(3);
      } else if (profile == FileCrash::kOrdered) {
        survives = change.order <= last_order;
      }
      if (survives) Apply(change, keeps_old, &dir->durable);
    }
    dir->changes.clear();
    dir->entries = dir->durable;
  }

  void SettleFile(SimNode* file) {
    if (file->unsynced.empty()) return;
    SeededRandom random = RandomOf(*file);
    if (profile == FileCrash::kKill) {
      // The page cache lives on, except for clean pages, and those that a failed sync dropped are clean.
      if (!file->has_dropped || random.OneIn(2)) return;
      std::vector<std::string> data = Undo(file);
      size_t kept = 0;
      for (size_t i = 0; i < data.size(); ++i) {
        UnsyncedWrite& write = file->unsynced[i];
        if (write.state == State::kDropped) continue;
        write.old_size = file->bytes.size();
        write.overwritten.clear();
        if (write.offset < write.old_size) write.overwritten = file->bytes.substr(write.offset, write.length);
        Redo(file, write, data[i], write.offset, write.offset + write.length);
        if (write.state == State::kSynced) continue;
        file->unsynced[kept++] = write;
      }
      file->unsynced.resize(kept);
      file->has_dropped = false;
      return;
    }
    const uint64_t full_size = file->bytes.size();
    const std::vector<std::string> data = Undo(file);
    const uint64_t durable_size = file->bytes.size();
    if (profile == FileCrash::kOrdered) {
      RedoPrefix(file, data, random);
    } else {
      RedoSectors(file, data, random);
      if (profile == FileCrash::kPosix) {
        const uint64_t least = std::max(durable_size, SyncedEnd(*file));
        const uint64_t most = std::max(full_size, least);  // it may have been cut short
        file->bytes.resize(random.OneIn(2) ? full_size : least + random.Below(most - least + 1));
      }
    }
    file->unsynced.clear();
    file->has_dropped = false;
  }

  static uint64_t SyncedEnd(const SimNode& file) {
    uint64_t end = 0;
    for (const UnsyncedWrite& write : file.unsynced) {
      if (write.state == State::kSynced) end = std::max(end, write.offset + write.length);
    }
    return end;
  }

  void RedoSectors(SimNode* file, const std::vector<std::string>& data, SeededRandom& random) const {
    const uint64_t kind = profile == FileCrash::kAllLost ? 0 : random.Below(4);  // as in SettleNames
    for (size_t i = 0; i < data.size(); ++i) {
      const UnsyncedWrite& write = file->unsynced[i];
      const uint64_t end = write.offset + write.length;
      for (uint64_t at = write.offset; at < end;) {
        const uint64_t next = std::min(end, (at / kSectorBytes + 1) * kSectorBytes);
        const bool lucky = kind == 0 ? false : kind == 1 ? true : random.OneIn(2);
        if (lucky || write.state == State::kSynced) Redo(file, write, data[i], at, next);
        at = next;
      }
    }
  }

  // Everything that is synced, and of the rest all before some write and a part of that one.
  void RedoPrefix(SimNode* file, const std::vector<std::string>& data, SeededRandom& random) const {
    const size_t whole = random.Below(data.size() + 1);
    for (size_t i = 0; i < data.size(); ++i) {
      const UnsyncedWrite& write = file->unsynced[i];
      const uint64_t end = write.offset + write.length;
      if (write.state == State::kSynced || (i < whole && write.state == State::kDirty)) {
        Redo(file, write, data[i], write.offset, end);
      } else if (i == whole && write.state == State::kDirty) {
        const uint64_t cut = (write.offset + random.Below(write.length + 1)) / kSectorBytes * kSectorBytes;
        Redo(file, write, data[i], write.offset, cut);
      }
    }
  }
};

void SimFiles::Crash(uint64_t seed, FileCrash profile) {
  Machine& machine = *machine_;
  ++machine.epoch;
  machine.stop_in = 0;
  machine.stopped = false;
  const uint64_t pending = machine.next_order - 1 - machine.committed_order;
  const uint64_t last = machine.committed_order + SeededRandom(seed).Below(pending + 1);
  Settler settler{seed, profile, last, {}};
  settler.Settle(machine.slash.get());
  if (profile != FileCrash::kKill) machine.committed_order = machine.next_order - 1;
  machine.Mix(seed ^ static_cast<uint64_t>(profile));
}

namespace {

// Bytes before this one are durable, whatever happened to those behind it.
uint64_t DurableEnd(const SimNode& file) {
  uint64_t end = file.bytes.size();
  for (const UnsyncedWrite& write : file.unsynced) end = std::min(end, write.offset);
  return end;
}

// The files below a directory, in the order in which they were made.
void Collect(const SimNode& dir, const std::string& path, std::vector<std::string>* names) {
  std::vector<std::pair<uint64_t, std::string>> order;
  for (const auto& [name, node] : dir.entries) order.emplace_back(node->number, name);
  std::sort(order.begin(), order.end());
  for (const auto& [number, name] : order) {
    const SimNode& node = *dir.entries.find(name)->second;
    if (node.is_dir()) {
      Collect(node, path + name + "/", names);
    } else if (!name.starts_with(".") && !name.starts_with("LOCK") && DurableEnd(node) > 0) {
      names->push_back(path + name);
    }
  }
}

}  // namespace

std::optional<Damage> SimFiles::Rot(uint64_t seed) {
  int error = 0;
  std::vector<std::string> names;
  Collect(*machine_->Find(machine_->root, &error), "", &names);
  const auto find = [machine = machine_](const std::string& name) {
    int missing = 0;
    return machine->Find(machine->root + "/" + name, &missing);
  };
  return MakeRot(seed, names,
                 {.read =
                      [find](const std::string& name) {
                        const SimNodeRef file = find(name);
                        return file == nullptr ? std::string() : file->bytes.substr(0, DurableEnd(*file));
                      },
                  .write =
                      [find](const std::string& name, std::string bytes) {
                        const SimNodeRef file = find(name);
                        if (file == nullptr) return;
                        const uint64_t end = DurableEnd(*file);
                        // What was written behind stays where it is.
                        if (!file->unsynced.empty()) bytes.resize(end);
                        file->bytes.replace(0, end, bytes);
                      }});
}

}  // namespace tarn::test
