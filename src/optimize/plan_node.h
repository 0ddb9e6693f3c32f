// The tree of plans while it is optimized: what each plan has become, and whose work its steps do.
// Internal to optimize/. One thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cost/plan_cost.h"
#include "optimize/plan_draft.h"
#include "plan/lower.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"

namespace sluice {

// One plan of the tree of plans while it is optimized: the user's, or one that its steps call.
struct PlanNode {
  PlanPtr written;
  PlanPtr now;  // as the passes have left it so far
  const ToolCatalog* tools = nullptr;
  std::unique_ptr<ToolCatalog> own_tools;  // of a sub-plan
  std::string path;                        // "ask/" of the plan that step ask calls
  bool outermost = false;
  bool called = true;                          // by a step that is still there
  std::set<std::string, std::less<>> allowed;  // by this plan and those around it
  PlanEstimate estimate;
  // id: the steps that were merged into that one.
  std::map<std::string, std::vector<std::string>, std::less<>> stands_for;
  // Steps of plans that its steps called, whose work it does itself now, by their id here.
  struct Inlined {
    const Plan* plan = nullptr;  // as written; null: no step of it did that
    std::string step;            // its id there
    std::string name;            // of its tasks: "ask/sum", "each[]/sum"
  };
  std::map<std::string, Inlined, std::less<>> inlined;
  // Steps that an approximate pass has made mean something else.
  std::set<std::string, std::less<>> reworded;
  // By the index in Plan::plans.
  std::vector<std::pair<std::size_t, std::unique_ptr<PlanNode>>> inside;
};

std::unique_ptr<PlanNode> node_of(const PlanPtr& plan, const ToolCatalog& tools, std::string path,
                                  std::set<std::string, std::less<>> allowed = {});

// What a pass left in a node, so that it can be taken back.
struct KeptNode {
  PlanNode* node;
  PlanPtr now;
  decltype(PlanNode::stands_for) stands_for;
};
void keep_nodes(PlanNode& node, std::vector<KeptNode>& into);  // the outermost plan first
void take_back(const std::vector<KeptNode>& kept);

// What a pass has done to the plan of a node, before its draft is taken. Of steps that it merged,
// of steps of the plans inside that do their work here now, and of those that mean something else.
void remember_merged(const PlanDraft& draft, PlanNode& node);
void remember_inlined(const PlanDraft& draft, PlanNode& node);
void remember_reworded(const PlanDraft& draft, PlanNode& node);

using PhysicalIndex = std::map<const Plan*, const PhysicalPlan*>;  // by the written plan
void index_physical(const PhysicalPlan& plan, PhysicalIndex& into);

// Whose the steps of rewritten plans are: what they meant as the user wrote them. It looks at the
// nodes when it is asked, and outlives no part of what it was made from.
class WrittenMeanings final : public KnownMeanings {
 public:
  WrittenMeanings(const PhysicalPlan& written, PlanNode& root);

  const Hash256* of(const Plan& plan) const override;
  // nullptr for a step that is new, or that an approximate pass has made mean something else.
  const Hash256* of(const Plan& plan, std::string_view step) const override;
  PlanNode& node_of(const Plan& plan) const;

 private:
  struct Written {
    PlanNode* node = nullptr;
    const PhysicalPlan* plan = nullptr;  // null: no step calls it
    std::unordered_map<std::string_view, const Hash256*> steps;
  };

  void add(PlanNode& node, const PhysicalIndex& physical);
  const Written* written(const Plan& plan) const;  // nullptr: none of the user's
  const Hash256* hash_of(const Plan* plan, std::string_view step) const;

  std::unordered_map<const Plan*, Written> plans_;  // by the user's
};

// The steps are still the user's: what they mean, and whose tasks they do.
void identify(PhysicalPlan& plan, const WrittenMeanings& meanings);

// What an approximate pass has changed gives other results than what the user wrote: they are
// kept under another hash, and so are those of the steps that run such a plan. Innermost plans
// first.
void tell_apart(const std::vector<PhysicalPlan*>& plans, const WrittenMeanings& meanings);

}  // namespace sluice
