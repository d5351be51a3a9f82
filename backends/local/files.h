// Open files of a local store: a blob being read, a blob being written, a log being appended to. For backends/local.
//
// Reads use pread on a descriptor that the reader keeps, so a blob stays readable after its name is gone.
// Writers follow store_directory.h, invariant 2. After a failed write or sync nothing is tried again: the kernel
// may have dropped the dirty pages and would report success the second time.
#pragma once

#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "backends/local/store_directory.h"
#include "tarn/sdk/backend.h"

namespace tarn::local {

// Threads: any.
class FileReader final : public BlobReader {
 public:
  // Takes the descriptor.
  // `direct_bytes`: what reads through it are aligned to; 0: it goes through the page cache.
  FileReader(FileOps* ops, int fd, size_t direct_bytes, std::string path, uint64_t size)
      : ops_(ops), fd_(fd), direct_bytes_(direct_bytes), path_(std::move(path)), size_(size) {}
  ~FileReader() override { ops_->Close(fd_); }

  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<char> out) const override;

  // For the io_uring queue, which reads the descriptor by itself.
  int fd() const { return fd_; }
  bool direct() const { return direct_bytes_ != 0; }  // reads through fd() have to be aligned
  size_t direct_bytes() const { return direct_bytes_; }
  const std::string& path() const { return path_; }
  Status CheckRange(uint64_t offset, size_t wanted) const;  // Corruption when past the end

 private:
  Status ReadAll(uint64_t offset, std::span<char> out, size_t needed) const;

  FileOps* const ops_;
  const int fd_;
  const size_t direct_bytes_;
  const std::string path_;
  const uint64_t size_;
};

// The aligned stretch of a file around a read, and memory for it: a read of any place through a direct descriptor.
class AlignedRead {
 public:
  // Begins another read. Memory of up to kKeptBytes that is there is used again: a block is a page or two, and to get
  // and clear them anew costs as much as to read them. `align`: a power of two. throws bad_alloc
  void Start(uint64_t offset, size_t wanted, size_t align);
  char* data() const { return memory_.get(); }
  uint64_t begin() const { return begin_; }
  size_t size() const { return size_; }
  // The bytes from begin() on that have to be there; the rest may lie past the end of the file.
  size_t needed() const { return needed_; }
  void CopyTo(std::span<char> out) const;  // what was asked for

 private:
  static constexpr size_t kKeptBytes = 64 << 10;
  static constexpr size_t kStepBytes = 4 * kDirectBytes;  // so that blocks of about a page all find room
  struct Free {
    void operator()(char* memory) const { ::operator delete(memory, std::align_val_t(kDirectBytes)); }
  };
  std::unique_ptr<char, Free> memory_;
  uint64_t begin_ = 0;
  size_t size_ = 0, needed_ = 0, capacity_ = 0;
};

// `direct`: past the page cache, if the filesystem can.
Result<std::unique_ptr<BlobReader>> OpenReader(const StoreDirectory& directory, std::string_view name, bool direct);
Result<std::unique_ptr<BlobWriter>> CreateWriter(StoreDirectory* directory, std::string_view name);
Result<std::unique_ptr<AppendFile>> CreateLog(StoreDirectory* directory, std::string_view name);

}  // namespace tarn::local
