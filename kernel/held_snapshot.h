// HeldSnapshot: every Snapshot that a store hands out.
//
// On a store that is open for writing a sequence is enough: what it sees is kept in every later view. The merges of a
// store that is read beside its writer are that writer's, who knows nothing of our snapshots; so there a snapshot
// holds on to the view it was taken from, and is read through it.
#pragma once

#include <memory>
#include <utility>

#include "kernel/store.h"
#include "tarn/db.h"

namespace tarn::kernel {

class HeldSnapshot final : public Snapshot {
 public:
  // `moment.sequence` is registered already; `moment.view` is null where later views will do.
  HeldSnapshot(Store& store, Store::Pinned moment) : store_(store), moment_(std::move(moment)) {}
  ~HeldSnapshot() override { store_.ReleaseSnapshot(moment_.sequence); }
  Sequence sequence() const override { return moment_.sequence; }
  const std::shared_ptr<const ReadView>& view() const { return moment_.view; }

  // Null for none, and for one without a view.
  static const std::shared_ptr<const ReadView>* ViewOf(const Snapshot* snapshot) {
    if (snapshot == nullptr) return nullptr;
    const auto& view = static_cast<const HeldSnapshot*>(snapshot)->view();
    return view == nullptr ? nullptr : &view;
  }

 private:
  Store& store_;
  const Store::Pinned moment_;
};

}  // namespace tarn::kernel
