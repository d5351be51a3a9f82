// A filesystem in an image, mounted through a loop device, whose power can be cut. For the tests of this folder.
//
// Everything ends with the process, however it ends: mounts are in a mount namespace of its own, and the kernel
// detaches a loop device when its last user is gone.
//
// Threads: one at a time.
#pragma once

#include <string>

#include "tarn/status.h"

namespace tarn::test {

// The exit code by which ctest knows that the machine lacks something; the line says what.
[[noreturn]] void Skip(const std::string& why);
// Skips unless this process may mount loop devices; then moves it into a mount namespace of its own.
void NeedLoopDevices();
// Skips unless there is /dev/fuse as well.
void NeedFuse();
bool HasProgram(const std::string& name);

// An unnamed file of this size in memory: no image is left over, and a flush costs little. -1: errno says why.
int FileInMemory(uint64_t bytes);

class LoopImage {
 public:
  // Of the file behind `fd`, which stays the caller's, to be mounted at `directory`, which is made.
  LoopImage(int fd, std::string directory);
  ~LoopImage();
  LoopImage(const LoopImage&) = delete;
  LoopImage& operator=(const LoopImage&) = delete;

  const std::string& directory() const { return directory_; }
  Status MakeFilesystem(const std::string& type);  // "ext4", "xfs"
  Status Mount(const std::string& type);           // replays the journal
  Status Unmount();
  // From now on nothing reaches the image, not even what the journal gathered; every sync fails.
  Status CutPower();

 private:
  Status Attach();
  void Detach();

  const int backing_;
  const std::string directory_;
  std::string device_;
  int loop_ = -1;
  bool mounted_ = false;
};

}  // namespace tarn::test
