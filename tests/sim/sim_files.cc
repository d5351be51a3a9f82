#include "tests/sim/sim_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "base/hash.h"
#include "tests/sim/sim_files_machine.h"

namespace tarn::test {
namespace {

using local::FileKind;

constexpr uint64_t kDiskBytes = 1ull << 40;  // what Space answers; being full is a fault, not a sum
constexpr int kFirstDescriptor = 3;

enum class Call : uint8_t {
  kOpen,
  kCreate,
  kLockFile,
  kRead,
  kWrite,
  kSync,
  kMap,
  kTruncate,
  kFlock,
  kStatFd,
  kStat,
  kRename,
  kLink,
  kUnlink,
  kMkdir,
  kSyncDir,
  kList,
  kSpace,
};
enum class Fault : uint8_t { kNone, kError, kErrorAfter, kNoSpace, kShort };

std::string_view LastPart(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}
std::string_view ParentPart(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path.substr(0, path.rfind('/'));
}

// Of a name as it enters the digest: without the pid and the count of a temporary.
uint64_t NameWord(std::string_view name) {
  constexpr std::string_view kTemporary = ".TMP-";
  return Hash64(name.starts_with(kTemporary) ? kTemporary : name);
}

}  // namespace

SimNodeRef SimFiles::Machine::Find(std::string_view path, int* error) const {
  SimNodeRef at = slash;
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty()) continue;
    if (!at->is_dir()) {
      *error = ENOTDIR;
      return nullptr;
    }
    const auto found = at->entries.find(part);
    if (found == at->entries.end()) {
      *error = ENOENT;
      return nullptr;
    }
    at = found->second;
  }
  return at;
}

// One process. Each call: dead or stopped machines say EIO; then the dice; then the effect; then the digest.
class SimFiles::Process final : public local::FileOps {
 public:
  explicit Process(std::shared_ptr<Machine> machine) : machine_(std::move(machine)), epoch_(machine_->epoch) {}
  ~Process() override {
    for (Descriptor& open : descriptors_) Unlock(&open);
  }

  int OpenRead(const std::string& path) override {
    if (const int e = Begin(Call::kOpen, false)) return e;
    int error = 0;
    SimNodeRef node = m().Find(path, &error);
    return End(Call::kOpen, path, node == nullptr ? -error : NewDescriptor(std::move(node)));
  }
  int CreateExclusive(const std::string& path) override { return Create(Call::kCreate, path); }
  int OpenLockFile(const std::string& path) override {
    if (!Alive()) return -EIO;
    int error = 0;
    SimNodeRef node = m().Find(path, &error);
    if (node == nullptr) return Create(Call::kLockFile, path);
    if (const int e = Begin(Call::kLockFile, false)) return e;
    return End(Call::kLockFile, path, NewDescriptor(std::move(node)));
  }
  void Close(int fd) override {
    Descriptor& open = At(fd);
    Unlock(&open);
    open.node = nullptr;
    free_.push_back(fd);
  }
  ssize_t Read(int fd, char* out, size_t n, uint64_t offset) override;
  ssize_t Write(int fd, const char* bytes, size_t n, uint64_t offset) override;
  int Fdatasync(int fd) override;
  int MapWindow(int fd, uint64_t offset, size_t n, local::Window* out) override;
  void UnmapWindow(const local::Window&) override {}
  int Store(int fd, const local::Window&, const char* bytes, size_t n, uint64_t offset) override;
  int Truncate(int fd, uint64_t size) override;
  int TryFlock(int fd) override {
    if (!Alive()) return -EIO;
    Descriptor& open = At(fd);
    const bool taken = open.node->locked_by != nullptr && open.node->locked_by != &open;
    if (!taken) open.node->locked_by = &open;
    return End(Call::kFlock, *open.node, taken ? -EWOULDBLOCK : 0);
  }
  int StatFd(int fd, local::FileStat* out) override {
    if (const int e = Begin(Call::kStatFd, false)) return e;
    const SimNode& node = *At(fd).node;
    *out = {node.kind, node.bytes.size()};
    return End(Call::kStatFd, node, 0);
  }

  int Stat(const std::string& path, local::FileStat* out) override {
    if (const int e = Begin(Call::kStat, false)) return e;
    int error = 0;
    const SimNodeRef node = m().Find(path, &error);
    if (node != nullptr) *out = {node->kind, node->bytes.size()};
    return End(Call::kStat, path, -error);
  }
  int RenameNoReplace(const std::string& from, const std::string& to) override;
  int Link(const std::string& from, const std::string& to) override;
  int Unlink(const std::string& path) override;
  int MakeDirectory(const std::string& path) override;
  int SyncDirectory(const std::string& path) override;
  int ListDirectory(const std::string& path, std::vector<local::DirectoryEntry>* out) override;
  int Space(const std::string&, SpaceInfo* out) override {
    if (const int e = Begin(Call::kSpace, false)) return e;
    *out = {kDiskBytes, kDiskBytes / 2};
    return 0;
  }

 private:
  // Addresses of these are owners of flocks, so they stay where they are.
  struct Descriptor {
    SimNodeRef node;
  };

  Machine& m() const { return *machine_; }
  bool Alive() const { return epoch_ == m().epoch && (!m().stopped || m().is_quiet); }
  Descriptor& At(int fd) { return descriptors_[static_cast<size_t>(fd - kFirstDescriptor)]; }
  int NewDescriptor(SimNodeRef node) {
    if (free_.empty()) {
      descriptors_.emplace_back();
      free_.push_back(static_cast<int>(descriptors_.size()) - 1 + kFirstDescriptor);
    }
    const int fd = free_.back();
    free_.pop_back();
    At(fd).node = std::move(node);
    return fd;
  }
  static void Unlock(Descriptor* open) {
    if (open->node != nullptr && open->node->locked_by == open) open->node->locked_by = nullptr;
  }

  // Counts an effect; true when the machine stops at it.
  bool Stops() {
    if (m().is_quiet) return false;
    ++m().effects;
    if (m().stop_in == 0 || --m().stop_in > 0) return false;
    return m().stopped = true;
  }
  Fault Draw(Call call, bool can_be_short = false);
  Fault Met(Fault fault, const char* kind) {
    ++m().faults[kind];
    m().Mix(static_cast<uint64_t>(fault));
    return fault;
  }
  // For calls that have no faults of their own: 0 to go on, else what the caller gets. An error that comes after
  // the effect is kept for End.
  int Begin(Call call, bool effect) {
    if (!Alive() || (effect && Stops())) return -EIO;
    const Fault fault = Draw(call);
    fail_after_ = fault == Fault::kErrorAfter;
    if (fault == Fault::kError) return -EIO;
    return fault == Fault::kNoSpace ? -ENOSPC : 0;
  }
  int End(Call call, const SimNode& node, int64_t result) {
    m().Mix(static_cast<uint64_t>(call) | node.number << 8);
    m().Mix(static_cast<uint64_t>(result));
    return Lied(static_cast<int>(result));
  }
  int End(Call call, std::string_view path, int result) {
    m().Mix(static_cast<uint64_t>(call) | NameWord(LastPart(path)) << 8);
    m().Mix(result < 0 ? static_cast<uint64_t>(result) : 0);
    return Lied(result);
  }
  int Lied(int result) {
    if (!std::exchange(fail_after_, false) || result < 0) return result;
    if (result >= kFirstDescriptor) Close(result);
    return -EIO;
  }

  int Create(Call call, const std::string& path);
  void Overwrite(SimNode* node, const char* bytes, size_t n, uint64_t offset);
  // The directory of a path, or null with *error set.
  SimNodeRef Parent(std::string_view path, int* error) const {
    SimNodeRef parent = m().Find(ParentPart(path), error);
    if (parent != nullptr && !parent->is_dir()) *error = ENOTDIR;
    return *error == 0 ? parent : nullptr;
  }
  void Changed(SimNode* dir, NameChange::Kind kind, std::string_view name, SimNodeRef node,
               std::string_view new_name = {}) {
    dir->changes.push_back({kind, std::string(name), std::string(new_name), std::move(node), m().next_order++});
  }
  void AddEntry(SimNode* dir, std::string_view name, const SimNodeRef& node) {
    dir->entries.emplace(name, node);
    Changed(dir, NameChange::Kind::kAdd, name, node);
  }

  const std::shared_ptr<Machine> machine_;
  const uint64_t epoch_;
  std::deque<Descriptor> descriptors_;
  std::vector<int> free_;
  bool fail_after_ = false;  // the call in progress takes effect and then fails
};

Fault SimFiles::Process::Draw(Call call, bool can_be_short) {
  Machine& machine = m();
  const FaultRates& rates = machine.rates;
  if (machine.is_quiet || (rates.io_error | rates.io_after | rates.no_space | rates.short_transfer) == 0) {
    return Fault::kNone;
  }
  uint64_t dice = machine.random.Below(1'000'000);
  const auto hits = [&dice](uint32_t rate) {
    const bool hit = dice < rate;
    dice = hit ? UINT64_MAX : dice - rate;
    return hit;
  };
  const bool changes = call != Call::kOpen && call != Call::kRead && call != Call::kStatFd && call != Call::kStat &&
                       call != Call::kList && call != Call::kSpace && call != Call::kLockFile;
  if (hits(rates.io_error)) {
    return Met(Fault::kError, call == Call::kSync ? "sync that drops pages" : "io");
  }
  if (hits(rates.io_after)) return changes ? Met(Fault::kErrorAfter, "io after the effect") : Fault::kNone;
  if (hits(rates.no_space)) {
    const bool grows = call == Call::kWrite || call == Call::kMap || call == Call::kCreate || call == Call::kMkdir;
    return grows ? Met(Fault::kNoSpace, "no space") : Fault::kNone;
  }
  if (hits(rates.short_transfer) && can_be_short) return Met(Fault::kShort, "short transfer");
  return Fault::kNone;
}

ssize_t SimFiles::Process::Read(int fd, char* out, size_t n, uint64_t offset) {
  if (!Alive()) return -EIO;
  const SimNode& node = *At(fd).node;
  const size_t here = offset >= node.bytes.size() ? 0 : std::min<uint64_t>(n, node.bytes.size() - offset);
  const Fault fault = Draw(Call::kRead, here > 1);
  if (fault == Fault::kError) return -EIO;
  const size_t moved = fault == Fault::kShort ? 1 + m().random.Below(here - 1) : here;
  if (moved > 0) std::memcpy(out, node.bytes.data() + offset, moved);
  m().Mix(static_cast<uint64_t>(Call::kRead) | node.number << 8);
  if (!node.quiet) m().Mix(offset << 32 ^ moved);
  return static_cast<ssize_t>(moved);
}

ssize_t SimFiles::Process::Write(int fd, const char* bytes, size_t n, uint64_t offset) {
  if (!Alive()) return -EIO;
  SimNode& node = *At(fd).node;
  const bool stops = Stops();
  const Fault fault = stops ? Fault::kNone : Draw(Call::kWrite, n > 1);
  if (fault == Fault::kError) return -EIO;
  if (fault == Fault::kNoSpace) return -ENOSPC;
  size_t moved = fault == Fault::kShort ? 1 + m().random.Below(n - 1) : n;
  // A cut in the middle: the part is drawn from what led here.
  if (stops) moved = node.quiet ? 0 : m().digest % (n + 1);
  Overwrite(&node, bytes, moved, offset);
  m().Mix(static_cast<uint64_t>(Call::kWrite) | node.number << 8);
  if (!node.quiet) m().Mix(offset << 32 ^ moved);
  return stops || fault == Fault::kErrorAfter ? -EIO : static_cast<ssize_t>(moved);
}

void SimFiles::Process::Overwrite(SimNode* node, const char* bytes, size_t n, uint64_t offset) {
  if (n == 0) return;
  UnsyncedWrite write{.offset = offset, .length = n, .old_size = node->bytes.size(), .overwritten = {}};
  if (offset < node->bytes.size()) write.overwritten = node->bytes.substr(offset, n);
  if (node->bytes.size() < offset) node->bytes.resize(offset);
  node->bytes.replace(offset, n, bytes, n);
  node->unsynced.push_back(std::move(write));
}

// The growth is a write of nothing, so that a crash undoes it.
int SimFiles::Process::MapWindow(int fd, uint64_t offset, size_t n, local::Window* out) {
  if (!m().windows) return -EOPNOTSUPP;
  SimNode& node = *At(fd).node;
  if (const int e = Begin(Call::kMap, true)) return e;
  node.unsynced.push_back({.offset = offset, .length = 0, .old_size = node.bytes.size(), .overwritten = {}});
  node.bytes.resize(std::max(node.bytes.size(), offset + n));
  *out = {node.bytes.data(), offset, n};  // told apart from no window; Store goes by the offset
  return End(Call::kMap, node, 0);
}

int SimFiles::Process::Store(int fd, const local::Window&, const char* bytes, size_t n, uint64_t offset) {
  if (!Alive()) return -EIO;
  SimNode& node = *At(fd).node;
  const bool stops = Stops();
  const size_t moved = stops ? m().digest % (n + 1) : n;
  Overwrite(&node, bytes, moved, offset);
  m().Mix(static_cast<uint64_t>(Call::kWrite) | node.number << 8);
  m().Mix(offset << 32 ^ moved);
  return stops ? -EIO : 0;
}

// Until a sync a crash may undo it.
int SimFiles::Process::Truncate(int fd, uint64_t size) {
  SimNode& node = *At(fd).node;
  if (const int e = Begin(Call::kTruncate, true)) return e;
  if (size < node.bytes.size()) {
    node.unsynced.push_back(
        {.offset = size, .length = 0, .old_size = node.bytes.size(), .overwritten = node.bytes.substr(size)});
    node.bytes.resize(size);
  }
  return End(Call::kTruncate, node, 0);
}

int SimFiles::Process::Fdatasync(int fd) {
  if (!Alive() || Stops()) return -EIO;
  SimNode& node = *At(fd).node;
  const Fault fault = Draw(Call::kSync);
  if (fault == Fault::kError) {
    for (UnsyncedWrite& write : node.unsynced) {
      if (write.state != UnsyncedWrite::State::kDirty) continue;
      write.state = UnsyncedWrite::State::kDropped;
      node.has_dropped = true;
    }
    return End(Call::kSync, node, -EIO);
  }
  if (node.has_dropped) {
    for (UnsyncedWrite& write : node.unsynced) {
      if (write.state == UnsyncedWrite::State::kDirty) write.state = UnsyncedWrite::State::kSynced;
    }
  } else {
    node.unsynced.clear();
  }
  m().committed_order = m().next_order - 1;
  return End(Call::kSync, node, fault == Fault::kErrorAfter ? -EIO : 0);
}

int SimFiles::Process::Create(Call call, const std::string& path) {
  if (const int e = Begin(call == Call::kLockFile ? Call::kCreate : call, true)) return e;
  int error = 0;
  const SimNodeRef parent = Parent(path, &error);
  if (parent == nullptr) return End(call, path, -error);
  const std::string_view name = LastPart(path);
  if (parent->entries.find(name) != parent->entries.end()) return End(call, path, -EEXIST);
  const SimNodeRef node = m().NewNode(FileKind::kRegular);
  node->quiet = name.starts_with("LOCK") || LastPart(ParentPart(path)) == "manifest";
  AddEntry(parent.get(), name, node);
  return End(call, path, NewDescriptor(node));
}

int SimFiles::Process::RenameNoReplace(const std::string& from, const std::string& to) {
  if (const int e = Begin(Call::kRename, true)) return e;
  int error = 0;
  const SimNodeRef source = Parent(from, &error);
  const SimNodeRef target = source == nullptr ? nullptr : Parent(to, &error);
  if (target == nullptr) return End(Call::kRename, to, -error);
  const std::string_view name = LastPart(from), new_name = LastPart(to);
  const auto found = source->entries.find(name);
  if (found == source->entries.end()) return End(Call::kRename, to, -ENOENT);
  if (target->entries.find(new_name) != target->entries.end()) return End(Call::kRename, to, -EEXIST);
  const SimNodeRef node = found->second;
  source->entries.erase(found);
  target->entries.emplace(new_name, node);
  if (source == target) {
    Changed(source.get(), NameChange::Kind::kRename, name, node, new_name);
  } else {
    Changed(target.get(), NameChange::Kind::kAdd, new_name, node);
    Changed(source.get(), NameChange::Kind::kRemove, name, node);
  }
  return End(Call::kRename, to, 0);
}

int SimFiles::Process::Link(const std::string& from, const std::string& to) {
  if (const int e = Begin(Call::kLink, true)) return e;
  int error = 0;
  const SimNodeRef node = m().Find(from, &error);
  const SimNodeRef target = node == nullptr ? nullptr : Parent(to, &error);
  if (target == nullptr) return End(Call::kLink, to, -error);
  if (node->is_dir()) return End(Call::kLink, to, -EPERM);
  if (target->entries.find(LastPart(to)) != target->entries.end()) return End(Call::kLink, to, -EEXIST);
  AddEntry(target.get(), LastPart(to), node);
  return End(Call::kLink, to, 0);
}

int SimFiles::Process::Unlink(const std::string& path) {
  if (const int e = Begin(Call::kUnlink, true)) return e;
  int error = 0;
  const SimNodeRef parent = Parent(path, &error);
  if (parent == nullptr) return End(Call::kUnlink, path, -error);
  const auto found = parent->entries.find(LastPart(path));
  if (found == parent->entries.end()) return End(Call::kUnlink, path, -ENOENT);
  if (found->second->is_dir()) return End(Call::kUnlink, path, -EISDIR);
  Changed(parent.get(), NameChange::Kind::kRemove, found->first, found->second);
  parent->entries.erase(found);
  return End(Call::kUnlink, path, 0);
}

int SimFiles::Process::MakeDirectory(const std::string& path) {
  if (const int e = Begin(Call::kMkdir, true)) return e;
  int error = 0;
  const SimNodeRef parent = Parent(path, &error);
  if (parent == nullptr) return End(Call::kMkdir, path, -error);
  if (parent->entries.find(LastPart(path)) != parent->entries.end()) return End(Call::kMkdir, path, -EEXIST);
  AddEntry(parent.get(), LastPart(path), m().NewNode(FileKind::kDirectory));
  return End(Call::kMkdir, path, 0);
}

int SimFiles::Process::SyncDirectory(const std::string& path) {
  if (const int e = Begin(Call::kSyncDir, true)) return e;
  int error = 0;
  const SimNodeRef dir = m().Find(path, &error);
  if (dir == nullptr) return End(Call::kSyncDir, path, -error);
  if (!dir->is_dir()) return End(Call::kSyncDir, path, -ENOTDIR);
  for (const NameChange& change : dir->changes) Apply(change, false, &dir->durable);
  dir->changes.clear();
  m().committed_order = m().next_order - 1;
  return End(Call::kSyncDir, path, 0);
}

int SimFiles::Process::ListDirectory(const std::string& path, std::vector<local::DirectoryEntry>* out) {
  if (const int e = Begin(Call::kList, false)) return e;
  int error = 0;
  const SimNodeRef dir = m().Find(path, &error);
  if (dir == nullptr) return End(Call::kList, path, -error);
  if (!dir->is_dir()) return End(Call::kList, path, -ENOTDIR);
  std::vector<std::pair<uint64_t, std::string_view>> order;
  for (const auto& [name, node] : dir->entries) order.emplace_back(node->number, name);
  std::sort(order.begin(), order.end());
  for (const auto& [number, name] : order) {
    out->push_back({std::string(name), dir->entries.find(name)->second->kind});
    m().Mix(number);
  }
  return End(Call::kList, path, 0);
}

SimFiles::SimFiles(const std::string& root) : machine_(std::make_shared<Machine>()) {
  machine_->slash = machine_->NewNode(FileKind::kDirectory);
  machine_->root = root;
  SimNodeRef at = machine_->slash;
  for (size_t begin = 1; begin < root.size();) {
    const size_t end = std::min(root.find('/', begin), root.size());
    SimNodeRef next = machine_->NewNode(FileKind::kDirectory);
    at->entries[root.substr(begin, end - begin)] = at->durable[root.substr(begin, end - begin)] = next;
    at = std::move(next);
    begin = end + 1;
  }
}

SimFiles::~SimFiles() = default;

std::shared_ptr<local::FileOps> SimFiles::NewProcess() { return std::make_shared<Process>(machine_); }

void SimFiles::CrashAfter(uint64_t effects) { machine_->stop_in = effects; }

bool SimFiles::stopped() const { return machine_->stopped; }

uint64_t SimFiles::effects() const { return machine_->effects; }

void SimFiles::SetFaults(uint64_t seed, const FaultRates& rates) {
  machine_->random = SeededRandom(seed);
  machine_->rates = rates;
}

void SimFiles::SetWindows(bool windows) { machine_->windows = windows; }

void SimFiles::SetQuiet(bool quiet) { machine_->is_quiet = quiet; }

const std::map<std::string, uint64_t>& SimFiles::faults() const { return machine_->faults; }

uint64_t SimFiles::digest() const { return machine_->digest; }

}  // namespace tarn::test
