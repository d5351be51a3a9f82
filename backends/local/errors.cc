#include "backends/local/errors.h"

#include <cerrno>
#include <system_error>

namespace tarn::local {
namespace {

std::string_view NextStep(int error) {
  switch (error) {
    case ENOENT: return "check that nobody removed it";
    case EEXIST: return "choose another name";
    case ENOSPC:
    case EDQUOT: return "free space on this device";
    case EFBIG: return "raise the limit of file sizes (ulimit -f)";
    case EACCES:
    case EPERM: return "check who owns it and its permissions";
    case EROFS: return "mount the filesystem writable, or open the store read-only";
    case EMFILE: return "raise the limit of open files (ulimit -n)";
    case ENFILE: return "raise the system's limit of open files (sysctl fs.file-max)";
    case EISDIR:
    case ENOTDIR: return "a file and a directory cannot have one name; remove what is not Tarn's";
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOLCK: return "put the store on a local filesystem such as ext4 or xfs";
    default: return "check the device (dmesg) and reopen the store";
  }
}

}  // namespace

Status FileError(int error, std::string_view action, const std::string& path) {
  std::string message = "cannot ";
  message += action;
  message += " " + path + ": " + std::generic_category().message(error) + ": ";
  message += NextStep(error);
  return Status::FromErrno(error, std::move(message));
}

Status PastTheEnd(const std::string& path, uint64_t size, uint64_t offset, size_t wanted) {
  return Status::Corruption(path + " ends at byte " + std::to_string(size) + ", but " + std::to_string(wanted) +
                            " bytes at offset " + std::to_string(offset) + " are needed: run tarn check");
}

}  // namespace tarn::local
