// A filesystem in a few maps: what the lake must be indistinguishable from. For the model and crash tests.
//
// Operations answer with an errno (0: done) in the precedence that the lake documents or POSIX demands. Inode
// numbers are the lake's: the test makes an entry in the lake first and tells the model the number. Copies are
// cheap (contents are shared), so a snapshot is a copy.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lake/lake.h"

namespace tarn::lake {

class ModelFs {
 public:
  using Content = std::shared_ptr<const std::string>;
  // Other contents that a file may have, beside the one in its node.
  using Versions = std::map<Ino, std::vector<Content>>;
  struct Node {
    uint32_t mode = 0;
    uint32_t nlink = 0;
    uint32_t uid = 0, gid = 0;
    uint32_t opens = 0;
    Ino parent = 0;
    std::optional<int64_t> atime, mtime;  // as SetAttr left them; mtime only until the next change
    Content content = std::make_shared<const std::string>();  // or symlink target
    std::map<std::string, Ino> entries;
    std::map<std::string, std::string> xattrs;
    bool is_dir() const { return (mode & 0170000) == 0040000; }
    bool is_regular() const { return (mode & 0170000) == 0100000; }
    bool is_stage(Ino ino) const { return is_dir() && parent == ino && ino != kRootIno; }
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
  int SetAttr(Ino ino, const AttrChange& change);  // all but sizes
  // The content and, when known, the time that a flush put into the store. Nothing when there is no such file.
  void Store(Ino ino, Content content, std::optional<int64_t> mtime);
  void AddStage(Ino ino, Owner owner);
  int Publish(Ino stage, const std::string& name, Ino parent, const std::string& new_name, RenameMode mode);
  void DropStage(Ino stage);
  int Open(Ino ino);
  void Release(Ino ino);
  void ForgetOpens();  // the process ended: orphans go
  void DropStages();   // and so do they
  // Counts fewer links of files where `other` does: a tree that was removed but not reclaimed yet still counts.
  void LowerLinks(const ModelFs& other);

  const std::map<Ino, Node>& nodes() const { return nodes_; }
  std::vector<Ino> Rootless() const;  // orphans and stages

  // Takes what a view shows: the tree below the root, and of the inodes of `more` those that exist with what is
  // below. The first error is put in *why.
  static ModelFs Load(View& view, const std::vector<Ino>& more, std::string* why);
  // The first difference between the trees, or nothing; orphans and stages are compared too.
  std::string Difference(View& view) const;
  // The same with what was loaded. A file of `versions` may have any of its contents.
  std::string Difference(const ModelFs& found, const Versions& versions) const;

 private:
  Node* Find(Ino ino);
  int LiveDir(Ino ino, Node** dir);
  int Regular(Ino ino, Node** node);
  void Drop(Ino ino);     // one link less; gone when it was the last and nobody has it open
  void DropAll(Ino ino);  // a whole tree
  bool Below(Ino ino, Ino ancestor);
  int Move(Ino from, const std::string& name, Ino to, const std::string& new_name, RenameMode mode, bool trees);
  void LoadFrom(View& view, Ino ino, const std::string& path, std::string* why);
  std::string DifferenceAt(const ModelFs& found, const Versions& versions, Ino ino, const std::string& path) const;

  std::map<Ino, Node> nodes_;
};

}  // namespace tarn::lake
