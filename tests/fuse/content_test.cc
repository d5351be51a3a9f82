// Content through the mount: writes, holes, sizes, mappings, files without a name, and what survives.

#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>

#include "tests/fuse/mount_fixture.h"

namespace tarn::fuse {
namespace {

class ContentTest : public MountFixture {
 protected:
  // Content as the store has it, not as the kernel remembers it.
  std::string InLake(const std::string& name) {
    const auto attr = lake::Resolve(lake_->Head(), "/" + name);
    EXPECT_OK(attr.status());
    if (!attr.ok()) return {};
    std::string bytes(attr->size, '?');
    const auto got = lake_->Head().Read(attr->ino, 0, bytes);
    EXPECT_OK(got.status());
    return bytes;
  }
};

TEST_F(ContentTest, WhatWasWrittenIsRead) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{65537}, size_t{3} << 20}) {
    const std::string bytes = Pattern(size, size + 1);
    WriteFile("f", bytes);
    EXPECT_TRUE(bytes == ReadFile("f")) << size;
    EXPECT_TRUE(bytes == InLake("f")) << size;
    EXPECT_EQ(static_cast<off_t>(size), Stat("f").st_size);
  }
  Remount({});
  EXPECT_TRUE(Pattern(3 << 20, (3 << 20) + 1) == ReadFile("f"));
  ExpectClean();
}

TEST_F(ContentTest, OverwritesInPlace) {
  std::string bytes = Pattern(1 << 20);
  WriteFile("f", bytes);
  const Fd fd(Path("f"), O_RDWR);
  ASSERT_SYS(fd);
  for (const size_t at : {0u, 4095u, 131071u, 131072u, 700000u, (1u << 20) - 5}) {
    const std::string piece = Pattern(7000, at).substr(0, std::min<size_t>(7000, bytes.size() - at));
    ASSERT_EQ(static_cast<ssize_t>(piece.size()), pwrite(fd, piece.data(), piece.size(), static_cast<off_t>(at)));
    bytes.replace(at, piece.size(), piece);
  }
  EXPECT_TRUE(bytes == ReadFile("f"));
  EXPECT_TRUE(bytes == InLake("f"));
}

TEST_F(ContentTest, AppendsAtTheEnd) {
  const Fd one(Path("f"), O_WRONLY | O_CREAT | O_APPEND), two(Path("f"), O_WRONLY | O_APPEND);
  ASSERT_SYS(one);
  ASSERT_SYS(two);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(1, write(one, "a", 1));
    ASSERT_EQ(1, write(two, "b", 1));
  }
  EXPECT_EQ("ababababab", ReadFile("f"));
}

TEST_F(ContentTest, OpeningWithTruncEmpties) {
  WriteFile("f", Pattern(200000));
  const Fd reader(Path("f"), O_RDONLY);
  const Fd fd(Path("f"), O_WRONLY | O_TRUNC);
  ASSERT_SYS(fd);
  EXPECT_EQ(0, Stat("f").st_size);
  char byte;
  EXPECT_EQ(0, pread(reader, &byte, 1, 0));
}

TEST_F(ContentTest, TruncatesAndExtends) {
  std::string bytes = Pattern(300000);
  WriteFile("f", bytes);
  EXPECT_TRUE(bytes == ReadFile("f"));  // the kernel has the pages
  ASSERT_SYS(truncate(Path("f").c_str(), 100001));
  ASSERT_SYS(truncate(Path("f").c_str(), 250000));
  bytes.resize(100001);
  bytes.resize(250000);
  EXPECT_TRUE(bytes == ReadFile("f"));
  const Fd fd(Path("f"), O_RDWR);
  ASSERT_SYS(ftruncate(fd, 10));
  bytes.resize(10);
  EXPECT_EQ(bytes, ReadFile("f"));
  EXPECT_EQ(bytes, InLake("f"));
  EXPECT_FAILS(EFBIG, ftruncate(fd, INT64_MAX));
}

TEST_F(ContentTest, HolesReadAsZerosAndAreFound) {
  constexpr off_t kAt = 10 << 20;
  const std::string data = Pattern(131072);
  {
    const Fd fd(Path("f"), O_RDWR | O_CREAT);
    ASSERT_SYS(fd);
    ASSERT_EQ(131072, pwrite(fd, data.data(), data.size(), kAt));
    ASSERT_SYS(ftruncate(fd, 20 << 20));
    EXPECT_EQ(kAt, lseek(fd, 0, SEEK_DATA));
    EXPECT_EQ(0, lseek(fd, 0, SEEK_HOLE));
    EXPECT_EQ(kAt + 131072, lseek(fd, kAt, SEEK_HOLE));
    EXPECT_FAILS(ENXIO, lseek(fd, kAt + 131072, SEEK_DATA));
    EXPECT_FAILS(ENXIO, lseek(fd, 20 << 20, SEEK_DATA));
  }
  EXPECT_EQ(131072 / 512, Stat("f").st_blocks);
  const std::string all = ReadFile("f");
  EXPECT_EQ(size_t{20} << 20, all.size());
  EXPECT_TRUE(all.substr(kAt, 131072) == data);
  EXPECT_EQ(std::string::npos, all.substr(0, kAt).find_first_not_of('\0'));
}

// tar --sparse and cp take a file without blocks for a hole from end to end.
TEST_F(ContentTest, AFileWithDataNeverSeemsEmpty) {
  const std::string data = Pattern(100000);
  const Fd fd(Path("f"), O_RDWR | O_CREAT);
  ASSERT_SYS(fd);
  ASSERT_EQ(100000, write(fd, data.data(), data.size()));
  struct stat st;
  ASSERT_SYS(fstat(fd, &st));
  EXPECT_GE(st.st_blocks * 512, 100000);
  ASSERT_SYS(ftruncate(fd, 1 << 20));
  ASSERT_SYS(fsync(fd));
  ASSERT_SYS(fstat(fd, &st));
  EXPECT_EQ((100000 + 511) / 512, st.st_blocks);
}

TEST_F(ContentTest, Fallocate) {
  std::string bytes = Pattern(1 << 20);
  WriteFile("f", bytes);
  const Fd fd(Path("f"), O_RDWR);
  EXPECT_TRUE(bytes == ReadFile("f"));  // the kernel has the pages
  ASSERT_SYS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100000, 400000));
  bytes.replace(100000, 400000, 400000, '\0');
  EXPECT_TRUE(bytes == ReadFile("f"));
  EXPECT_LT(Stat("f").st_blocks, 1600);  // of 2048: whole blocks are gone
  ASSERT_SYS(fallocate(fd, FALLOC_FL_ZERO_RANGE, (1 << 20) - 10, 1000));
  bytes.replace((1 << 20) - 10, 10, 10, '\0');
  bytes.resize((1 << 20) + 990);
  EXPECT_TRUE(bytes == ReadFile("f"));
  ASSERT_SYS(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 2 << 20, 1000));
  ASSERT_SYS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8 << 20));
  EXPECT_EQ((1 << 20) + 990, Stat("f").st_size);
  ASSERT_SYS(posix_fallocate(fd, 0, 2 << 20));
  bytes.resize(2 << 20);
  EXPECT_TRUE(bytes == ReadFile("f"));
  EXPECT_TRUE(bytes == InLake("f"));
  EXPECT_FAILS(ENOSPC, fallocate(fd, 0, 0, off_t{1} << 60));
  EXPECT_FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
}

TEST_F(ContentTest, AFileLivesWithoutANameWhileItIsOpen) {
  const std::string bytes = Pattern(300000);
  WriteFile("f", bytes);
  Fd fd(Path("f"), O_RDWR);
  ASSERT_SYS(fd);
  struct stat st;
  ASSERT_SYS(fstat(fd, &st));
  ASSERT_SYS(unlink(Path("f").c_str()));
  std::string got(300000, '\0');
  EXPECT_EQ(300000, pread(fd, got.data(), got.size(), 0));
  EXPECT_TRUE(bytes == got);
  EXPECT_EQ(3, pwrite(fd, "new", 3, 300000));
  ASSERT_SYS(ftruncate(fd, 300002));
  EXPECT_EQ(2, pread(fd, got.data(), 10, 300000));
  EXPECT_SYS(fchmod(fd, 0600));
  struct stat after;
  ASSERT_SYS(fstat(fd, &after));
  EXPECT_EQ(st.st_ino, after.st_ino);
  EXPECT_EQ(0u, after.st_nlink);
  ASSERT_SYS(fd.Close());
  // The kernel's release comes after close; ending the session has waited for it.
  Unmount();
  EXPECT_EQ(Code::kNotFound, lake_->Head().GetAttr(st.st_ino).status().code());
  ExpectClean();
}

TEST_F(ContentTest, FilesStillOpenAtTheEndAreGivenBack) {
  WriteFile("f", Pattern(100000));
  Fd fd(Path("f"), O_RDONLY), dir(root_, O_RDONLY | O_DIRECTORY);
  ASSERT_SYS(fd);
  const ino_t ino = Stat("f").st_ino;
  ASSERT_SYS(unlink(Path("f").c_str()));
  EXPECT_OK(lake_->Head().GetAttr(ino).status());
  Unmount();
  EXPECT_EQ(Code::kNotFound, lake_->Head().GetAttr(ino).status().code());
  EXPECT_FAILS(ENOTCONN, openat(dir, "x", O_WRONLY | O_CREAT, 0644));
  ExpectClean();
}

// In a process of its own, as mount.h demands. It tells by its status where it failed.
TEST_F(ContentTest, MappingsReadAndWrite) {
  std::string bytes = Pattern(500000);
  WriteFile("f", bytes);
  const std::string path = Path("f");
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open(path.c_str(), O_RDWR);
    void* const at = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) _exit(1);
    if (std::memcmp(at, bytes.data(), bytes.size()) != 0) _exit(2);
    std::memcpy(static_cast<char*>(at) + 200000, "through the mapping", 19);
    if (msync(at, bytes.size(), MS_SYNC) != 0) _exit(3);
    static_cast<char*>(at)[0] = 'z';  // left to the kernel to write
    _exit(munmap(at, bytes.size()) == 0 ? 0 : 4);
  }
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, WEXITSTATUS(status));
  EXPECT_TRUE(WIFEXITED(status));
  bytes.replace(200000, 19, "through the mapping");
  bytes[0] = 'z';
  EXPECT_TRUE(bytes == ReadFile("f"));
  EXPECT_TRUE(bytes == InLake("f"));
  Remount({});
  EXPECT_TRUE(bytes == ReadFile("f"));
}

TEST_F(ContentTest, SyncedBytesAreInTheStoreBeforeTheLakeCloses) {
  const std::string bytes = Pattern(400000);
  const Fd fd(Path("f"), O_WRONLY | O_CREAT);
  ASSERT_EQ(400000, write(fd, bytes.data(), bytes.size()));
  ASSERT_SYS(fsync(fd));
  const Fd root(root_, O_RDONLY | O_DIRECTORY);
  ASSERT_SYS(fsync(root));
  // A second opening, beside the first, sees what reached the store's files.
  const auto backend = local::OpenLocal(base_ + "/lake", {.create = false, .read_only = true});
  ASSERT_OK(backend.status());
  Components components;
  components.backend = *backend;
  lake::LakeOptions options;
  options.settings.read_only = true;
  const auto beside = lake::Lake::Open(components, options);
  ASSERT_OK(beside.status());
  const auto attr = lake::Resolve((*beside)->Head(), "/f");
  ASSERT_OK(attr.status());
  std::string got(400000, '\0');
  ASSERT_OK((*beside)->Head().Read(attr->ino, 0, got).status());
  EXPECT_TRUE(bytes == got);
}

// A file and a string go through the same random changes. Sizes lie around those where the lake changes its ways:
// 64 KiB (content in one row) and multiples of 128 KiB (blocks).
TEST_F(ContentTest, RandomChangesAgreeWithAModel) {
  constexpr uint64_t kMax = 600000;
  const std::string noise = Pattern(kMax + 100);
  std::string model;
  Fd fd(Path("f"), O_RDWR | O_CREAT);
  ASSERT_SYS(fd);
  uint64_t seed = 42;
  const auto random = [&seed](uint64_t below) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % below;
  };
  for (int step = 0; step < 1500; ++step) {
    const uint64_t at = random(3) == 0 ? random(kMax / 65536) * 65536 : random(kMax);
    const uint64_t length = std::min(kMax - at, 1 + random(random(4) == 0 ? 300000 : 3000));
    const uint64_t end = at + length;
    switch (random(8)) {
      case 0:
      case 1:
      case 2:
        ASSERT_EQ(static_cast<ssize_t>(length), pwrite(fd, noise.data() + step % 97, length, static_cast<off_t>(at)));
        model.resize(std::max<size_t>(model.size(), end));
        model.replace(at, length, noise, step % 97, length);
        break;
      case 3:
        ASSERT_SYS(ftruncate(fd, static_cast<off_t>(at)));
        model.resize(at);
        break;
      case 4:
        ASSERT_SYS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at),
                             static_cast<off_t>(length)));
        for (uint64_t i = at; i < std::min<uint64_t>(end, model.size()); ++i) model[i] = '\0';
        break;
      case 5:
        ASSERT_SYS(fallocate(fd, FALLOC_FL_ZERO_RANGE, static_cast<off_t>(at), static_cast<off_t>(length)));
        model.resize(std::max<size_t>(model.size(), end));
        std::fill_n(model.begin() + static_cast<ptrdiff_t>(at), length, '\0');
        break;
      case 6: {
        std::string got(length, '?');
        const ssize_t n = pread(fd, got.data(), length, static_cast<off_t>(at));
        ASSERT_EQ(at < model.size() ? std::min<uint64_t>(length, model.size() - at) : 0, static_cast<uint64_t>(n));
        ASSERT_TRUE(got.substr(0, static_cast<size_t>(n)) == model.substr(std::min<size_t>(at, model.size()), length))
            << "step " << step;
        break;
      }
      default:
        if (random(20) == 0) {
          ASSERT_SYS(fsync(fd));
        }
        break;
    }
    ASSERT_EQ(static_cast<off_t>(model.size()), Stat("f").st_size) << "step " << step;
  }
  EXPECT_TRUE(model == InLake("f"));
  ASSERT_SYS(fd.Close());
  Remount({});
  EXPECT_TRUE(model == ReadFile("f"));
  ExpectClean();
}

TEST_F(ContentTest, DirectReadsAndWrites) {
  const Fd fd(Path("f"), O_RDWR | O_CREAT | O_DIRECT);
  ASSERT_SYS(fd);
  void* raw = nullptr;
  ASSERT_EQ(0, posix_memalign(&raw, 4096, 1 << 20));
  const std::unique_ptr<void, decltype(&free)> memory(raw, free);
  const std::string bytes = Pattern(1 << 20);
  std::memcpy(raw, bytes.data(), bytes.size());
  ASSERT_EQ(1 << 20, pwrite(fd, raw, 1 << 20, 0));
  std::memset(raw, 0, 1 << 20);
  ASSERT_EQ(1 << 20, pread(fd, raw, 1 << 20, 0));
  EXPECT_EQ(0, std::memcmp(raw, bytes.data(), bytes.size()));
}

TEST_F(ContentTest, WritingTakesTheSetuidBitAway) {
  if (geteuid() != 0) return;  // for the owner only what follows would differ in nothing
  WriteFile("f", "x");
  ASSERT_SYS(chmod(Path("f").c_str(), 04755));
  ASSERT_SYS(chown(Path("f").c_str(), 1000, 1000));
  EXPECT_EQ(0755u, Stat("f").st_mode & 07777);
}

}  // namespace
}  // namespace tarn::fuse
