// A filesystem in a few maps: what the lake must be indistinguishable from. For the model and crash tests.
//
// Operations answer with an errno (0: done) in the precedence that the lake documents or POSIX demands. Inode
// numbers are the lake's: the test makes an entry in the lake first and tells the model the number. Copies are
// cheap (contents are shared), so a snapshot is a copy.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lake/lake.h"

namespace tarn::lake {

class ModelFs {
 public:
  struct Node {
    uint32_t mode = 0;
    uint32_t nlink = 0;
    uint32_t opens = 0;
    Ino parent = 0;
    std::shared_ptr<const std::string> content = std::make_shared<const std::string>();  // or symlink target
    std::map<std::string, Ino> entries;
    std::map<std::string, std::string> xattrs;
    bool is_dir() const { return (mode & 0170000) == 0040000; }
    bool is_regular() const { return (mode & 0170000) == 0100000; }
  };

  ModelFs();
  int Add(Ino parent, const std::string& name, uint32_t mode, std::string_view target, Ino ino);
  int Link(Ino ino, Ino parent, const std::string& name);
  int Remove(Ino parent, const std::string& name, bool directory);
  int RemoveTree(Ino parent, const std::string& name);
  int Rename(Ino from, const std::string& name, Ino to, const std::string& new_name, RenameMode mode);
  int Write(Ino ino, uint64_t offset, std::string_view bytes);
  int Truncate(Ino ino, uint64_t size);
  int Punch(Ino ino, uint64_t offset, uint64_t length);
  int SetXattr(Ino ino, const std::string& name, const std::string& value, bool create, bool replace);
  int RemoveXattr(Ino ino, const std::string& name);
  int Open(Ino ino);
  void Release(Ino ino);
  void ForgetOpens();  // the process ended: orphans go

  const std::map<Ino, Node>& nodes() const { return nodes_; }

  // The first difference between the trees, or nothing. Orphans are compared too when `opens` is set.
  std::string Difference(View& view) const;

 private:
  Node* Find(Ino ino);
  int LiveDir(Ino ino, Node** dir);
  int Regular(Ino ino, Node** node);
  void Drop(Ino ino);     // one link less; gone when it was the last and nobody has it open
  void DropAll(Ino ino);  // a whole tree
  bool Below(Ino ino, Ino ancestor);
  std::string DifferenceAt(View& view, Ino ino, const std::string& path) const;

  std::map<Ino, Node> nodes_;
};

}  // namespace tarn::lake
