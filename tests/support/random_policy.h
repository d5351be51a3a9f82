// A compaction policy that picks any legal plan, or none: what an engine must survive from policies yet unwritten.
//
// Like each policy it is a pure function of the view: the chance comes from a hash of the seed and the view. A plan
// is the oldest runs of one level, all runs of the levels below down to some level, merged into that level or the
// next. It never rewrites a single run in place, and never goes deeper than level 6: so there is an end of plans.
//
// Threads: immutable; any.
#pragma once

#include <memory>
#include <string>

#include "tarn/sdk/compaction.h"

namespace tarn::test {

std::shared_ptr<CompactionPolicy> NewRandomPolicy(uint64_t seed);

// Why a plan breaks the contract of tarn/sdk/compaction.h for this view; empty when it does not.
std::string WhyIllegal(const LevelsView& view, const CompactionPlan& plan);

}  // namespace tarn::test
