// The kernel writes the number of its process into the manifest, for people. In a simulation that would be the one
// thing that a seed does not decide: sizes, and with them digests, would differ from process to process. Linked into
// programs that simulate, in place of the C library's.
#include <unistd.h>

#include <cstring>

pid_t getpid() noexcept { return 4242; }
// So does the name of the machine, where the log is beside the store.
int gethostname(char* name, size_t size) noexcept {
  std::strncpy(name, "sim", size);
  return 0;
}
