// import, export, cp: whole trees into, out of, and within a lake. What arrives in a lake is built in a staging
// area that no path reaches and published in one step with its log record: all of it is there, or nothing.
#pragma once

#include <string>

#include "cli/app.h"
#include "cli/context.h"

namespace tarn::cli {

inline constexpr size_t kCopyBytes = 1 << 20;  // one buffer; the memory a copy of any size takes

struct ImportOptions {
  bool replace = false, dry_run = false;
};
Status Import(Context& context, const ImportOptions& options, const Operands& operands);

struct ExportOptions {
  bool force = false, no_xattrs = false;
  std::string at;
};
Status Export(Context& context, const ExportOptions& options, const Operands& operands);

struct CopyOptions {
  bool recursive = false, archive = false, force = false, dry_run = false;
  std::string at;
};
Status Copy(Context& context, const CopyOptions& options, const Operands& operands);

// A staging area that is dropped again unless its content was published.
class Staging {
 public:
  static Result<Staging> Begin(Context& context);
  Staging(Staging&& other) noexcept : lake_(other.lake_), ino_(std::exchange(other.ino_, 0)) {}
  Staging& operator=(Staging&&) = delete;
  ~Staging();
  lake::Ino ino() const { return ino_; }

 private:
  Staging(lake::Lake* lake, lake::Ino ino) : lake_(lake), ino_(ino) {}
  lake::Lake* lake_;
  lake::Ino ino_;
};

// The closing remark of a transfer, unless --quiet: "imported 3 items, 12 B in 0.01 s".
class Progress;
void Remark(Context& context, std::string_view did, const Progress& progress);

}  // namespace tarn::cli
