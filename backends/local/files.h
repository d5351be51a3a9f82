// Open files of a local store: a blob being read, a blob being written, a log being appended to. For backends/local.
//
// Reads use pread on a descriptor that the reader keeps, so a blob stays readable after its name is gone.
// Writers follow store_directory.h, invariant 2. After a failed write or sync nothing is tried again: the kernel
// may have dropped the dirty pages and would report success the second time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backends/local/store_directory.h"
#include "tarn/sdk/backend.h"

namespace tarn::local {

// Threads: any.
class FileReader final : public BlobReader {
 public:
  // Takes the descriptor.
  FileReader(FileOps* ops, int fd, std::string path, uint64_t size)
      : ops_(ops), fd_(fd), path_(std::move(path)), size_(size) {}
  ~FileReader() override { ops_->Close(fd_); }

  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<char> out) const override;

  // For the io_uring queue, which reads the descriptor by itself.
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  Status CheckRange(uint64_t offset, size_t wanted) const;  // Corruption when past the end

 private:
  FileOps* const ops_;
  const int fd_;
  const std::string path_;
  const uint64_t size_;
};

Result<std::unique_ptr<BlobReader>> OpenReader(const StoreDirectory& directory, std::string_view name);
Result<std::unique_ptr<BlobWriter>> CreateWriter(StoreDirectory* directory, std::string_view name);
Result<std::unique_ptr<AppendFile>> CreateLog(StoreDirectory* directory, std::string_view name);

}  // namespace tarn::local
