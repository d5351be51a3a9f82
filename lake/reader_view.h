// ReaderView: the head, or a snapshot, of a lake that is read beside its writer. A read that met a table which the
// writer has deleted meanwhile (over a network that happens) is done once more, after catching up. Of the head it
// then shows a later state, which no caller can tell from having asked a little later; of a snapshot the same.
//
// Threads: any.
#pragma once

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "lake/lake.h"

namespace tarn::lake {

class ReaderView final : public View {
 public:
  // What the writer has not deleted yet: catches up, and opens the view anew.
  using Renew = std::function<Result<std::shared_ptr<View>>()>;
  ReaderView(std::shared_ptr<View> view, Renew renew) : renew_(std::move(renew)), view_(std::move(view)) {}

  Result<Attr> Lookup(Ino parent, std::string_view name) override {
    return Steady([&](View& view) { return view.Lookup(parent, name); });
  }
  Result<Attr> GetAttr(Ino ino) override {
    return Steady([&](View& view) { return view.GetAttr(ino); });
  }
  Result<std::vector<DirEntry>> ReadDir(Ino dir, std::string_view after, size_t limit) override {
    return Steady([&](View& view) { return view.ReadDir(dir, after, limit); });
  }
  Result<Ino> ParentOf(Ino dir) override {
    return Steady([&](View& view) { return view.ParentOf(dir); });
  }
  Result<size_t> Read(Ino ino, uint64_t offset, std::span<char> out) override {
    return Steady([&](View& view) { return view.Read(ino, offset, out); });
  }
  Result<uint64_t> SeekData(Ino ino, uint64_t offset) override {
    return Steady([&](View& view) { return view.SeekData(ino, offset); });
  }
  Result<uint64_t> SeekHole(Ino ino, uint64_t offset) override {
    return Steady([&](View& view) { return view.SeekHole(ino, offset); });
  }
  Result<std::string> ReadLink(Ino ino) override {
    return Steady([&](View& view) { return view.ReadLink(ino); });
  }
  Result<std::string> GetXattr(Ino ino, std::string_view name) override {
    return Steady([&](View& view) { return view.GetXattr(ino, name); });
  }
  Result<std::vector<std::string>> ListXattr(Ino ino) override {
    return Steady([&](View& view) { return view.ListXattr(ino); });
  }
  Result<lake::Usage> GetUsage() override {
    return Steady([&](View& view) { return view.GetUsage(); });
  }

 private:
  template <typename Reading>
  auto Steady(const Reading& reading) -> decltype(reading(std::declval<View&>())) {
    std::shared_ptr<View> view = Current();
    auto got = reading(*view);
    if (got.ok() || got.status().os_error() != ESTALE) return got;
    TARN_ASSIGN(view, renew_());
    {
      MutexLock lock(mutex_);
      view_ = view;
    }
    return reading(*view);
  }

  std::shared_ptr<View> Current() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return view_;
  }

  const Renew renew_;
  Mutex mutex_;  // guards: which view is read
  std::shared_ptr<View> view_ GUARDED_BY(mutex_);
};

}  // namespace tarn::lake
