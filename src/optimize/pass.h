// What a pass gets and may do. A logical pass rewrites one plan (each sub-plan is a plan of its
// own, innermost first); a physical pass writes StepAdvice and order into the lowered plan. A pass
// has no state and reads no clock.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "optimize/optimizer.h"
#include "optimize/plan_draft.h"

namespace sluice {

class PassNotes {
 public:
  PassNotes(std::string_view pass, std::string path, std::vector<PassNote>& into)
      : pass_(pass), path_(std::move(path)), into_(into) {}
  // `step`: its id in this plan.
  PassNote& did(std::string_view step, std::string text);
  PassNote& refused(std::string_view step, std::string why);

 private:
  std::string_view pass_;
  std::string path_;  // "sub/" of a sub-plan
  std::vector<PassNote>& into_;
};

struct LogicalPassContext {
  PlanDraft& draft;
  const ToolCatalog& tools;
  const Value* params;           // of this plan, where they are known
  const PlanEstimate& estimate;  // of this plan as the pass finds it: steps by id
  PassNotes notes;
  bool sub_plan = false;  // it is called by a step of another plan
};

struct PhysicalPassContext {
  PhysicalPlan& plan;  // its sub-plans were done before
  const ToolCatalog& tools;
  const PlanEstimate& estimate;
  PassNotes notes;
  const StatisticsStore* history = nullptr;  // of earlier runs; null: there is none
};

// One of the two is set.
struct Pass {
  PassInfo info;
  void (*rewrite)(LogicalPassContext& context) = nullptr;
  void (*advise)(PhysicalPassContext& context) = nullptr;
  // Its changes are taken back, with a note, when the plan does not verify with them: it puts
  // values into a plan of which nobody knew whether they fit.
  bool take_back = false;
  // It asks `estimate` what steps cost, which is made anew for it when earlier passes changed the
  // plan. Without it the estimate is of the plan as written.
  bool wants_estimate = false;
};
std::span<const Pass> all_passes();

}  // namespace sluice
