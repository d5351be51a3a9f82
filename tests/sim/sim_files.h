// SimFiles: a machine's filesystem in memory that knows what a crash may leave of it, under the seam of the local
// backend (backends/local/file_ops.h). For file_storage and tests: the local backend itself is what is tested.
//
// Model of durability. A file is what processes see, and the ordered list of its writes since the last good
// fdatasync; a directory is its entries, those that are durable, and the ordered list of changes since its last sync.
// A crash draws from these lists:
//   kKill     everything stays, nothing becomes durable. Open descriptors and flocks die. Pages that a failed
//             fdatasync dropped may be evicted, so that the old bytes are back.
//   kAllLost  every unsynced write and name is lost.
//   kPosix    any subset of unsynced 512-byte sectors, and sizes without data; any subset of the changes of each
//             directory. A sync of a file does not persist its name. A rename is undone, done, or leaves both names.
//             A directory whose own entry is lost vanishes with all that is in it.
//   kOrdered  like ext4 in ordered mode: names survive up to one moment of the whole machine that is not before the
//             last sync of anything; a file keeps a prefix of its unsynced writes; renames are atomic.
//
// Faults come at the rates of storage.h. A sync that fails with io_error is Linux's: the dirty pages are marked
// clean, still read back, are not on the device, and the next fdatasync says OK. EINTR never leaves the seam (see
// file_ops.h); what an interruption leaves of a transfer is a short one. Those of an
// object store are ignored.
//
// Deterministic: names of temporaries carry a pid and a count of the real process, so they enter the digest without
// them, directories are listed in the order in which inodes were made, and chance of a crash is drawn for each
// inode by itself. Sizes in files that hold a pid (locks, manifest) stay out of the digest.
//
// Threads: one. A process outlives the machine's users, not the other way round: both share the state.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backends/local/file_ops.h"
#include "tests/sim/storage.h"

namespace tarn::test {

enum class FileCrash : uint8_t { kKill, kAllLost, kPosix, kOrdered };

class SimFiles {
 public:
  // One durable directory exists, `root`.
  explicit SimFiles(const std::string& root);
  ~SimFiles();
  SimFiles(const SimFiles&) = delete;
  SimFiles& operator=(const SimFiles&) = delete;

  // The system calls of a process that starts now. After Crash they fail with EIO and change nothing.
  std::shared_ptr<local::FileOps> NewProcess();
  void Crash(uint64_t seed, FileCrash profile);
  // The effect'th call from now on that may change what a crash leaves (write, sync, create, link, rename, unlink,
  // mkdir, directory sync), and every call after it, fail with EIO; 0 disarms. A write that is cut has happened in
  // part.
  void CrashAfter(uint64_t effects);
  bool stopped() const;
  uint64_t effects() const;  // so far

  void SetFaults(uint64_t seed, const FaultRates& rates);
  // Whether files can be mapped for writing; they can until this is called. A store into a window is a write that
  // meets no fault but the stop of the machine.
  void SetWindows(bool windows);
  // While quiet: no faults, nothing is counted, and what CrashAfter stopped answers.
  void SetQuiet(bool quiet);
  // Damages bytes that were synced, see rot.h. Damage::name is the path below root.
  std::optional<Damage> Rot(uint64_t seed);

  const std::map<std::string, uint64_t>& faults() const;
  uint64_t digest() const;

 private:
  struct Machine;
  class Process;
  struct Settler;
  const std::shared_ptr<Machine> machine_;
};

}  // namespace tarn::test
