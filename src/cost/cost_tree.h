// A plan unfolded for an estimate: a node for each step, a frame for the plan and for each step
// that runs a sub-plan, with what each costs by itself. run_time.h makes times of it. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cost/plan_cost.h"
#include "cost/row_estimate.h"

namespace sluice {

struct CostResource {
  std::string name;
  const ModelCost* model = nullptr;  // of a model that is known
  double parallel = 1;               // calls that it carries at once
  double calls = 0;                  // of the whole run
  double work_s = 0;                 // in seconds of one of its places
  bool batches() const { return model != nullptr && model->instance.has_value(); }
};

struct CostNode {
  const PhysicalStep* step = nullptr;
  std::uint32_t frame = 0;
  std::uint32_t child = kNoIndex;     // the frame of its sub-plan
  std::uint32_t resource = kNoIndex;  // index into CostTree::resources
  StepRows rows;
  double prefix_tokens = 0;  // of its prompts: computed once for all
  double places = 1;         // of its resource that the step may use at once
  double work_s = 0;         // of all calls, in seconds of one place
  double total_s = 0;        // the least for all its tasks, when it has its places for itself
  double asked_in_run = 0;   // tasks that go on in one run of its plan
};

struct CostFrame {
  const PhysicalPlan* plan = nullptr;
  std::uint32_t caller = kNoIndex;  // node; none: the plan itself
  double runs = 1;
  std::vector<std::uint32_t> nodes = {};  // by the step's index
  double span_s = 0;                      // one run, with one task of each step
  double stage_s = 0;                     // one run, with whole lists where readers wait for them
};

struct CostTree {
  std::vector<CostNode> nodes;
  std::vector<StepEstimate> steps;  // of the nodes
  std::vector<CostFrame> frames;    // callers before what they call
  std::vector<CostResource> resources;
};

// Rows, calls, tokens, money and the time of a single call; no work yet.
CostTree unfold_costs(const PhysicalPlan& plan, const CostInputs& inputs, double runs);

// The nearest number of tokens, within reason.
std::uint64_t whole_tokens(double tokens);

}  // namespace sluice
