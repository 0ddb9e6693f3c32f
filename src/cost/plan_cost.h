// What a plan will cost before it runs: per step rows, calls, tokens, seconds, money and the
// chance of failure, each with its range and its source, and from these the time of the whole run.
// Pure; any thread. docs/architecture/cost.md tells what each number is made of.
//
// The time of the run. Let a step's *work* on its resource (a model, a tool's function, the code
// workers) be the seconds of all its calls, W the sum over the steps of a resource, m how many
// calls it carries at once (of an embedded model: W counts a call's part of a batch, and m is the
// batch), S the longest path through the plan with the time of one task in each step, and C that
// path with the time of a step's whole list wherever a reader waits for all of it. No schedule is
// shorter than
//   L = max(C, W_r / m_r of each resource r),
// and list scheduling, which lets no resource idle while a task waits for it, stays within
//   U = max(L, W_b / m_b + (1 - 1 / m_b) S) on the bottleneck b
// (R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969). The
// estimate is (L + U) / 2.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cost/estimate.h"
#include "cost/instance_cost.h"
#include "cost/step_statistics.h"
#include "data/value.h"
#include "plan/physical.h"

namespace sluice {

// What a model costs: seconds by its calibration, or money by a table of prices.
struct ModelCost {
  std::optional<InstanceCost> instance;  // embedded, measured
  double usd_per_prompt_token = 0;
  double usd_per_completion_token = 0;
  std::uint32_t parallel = 16;       // requests that it works on at once
  std::optional<double> max_tokens;  // that its settings allow an answer
  // Tokens of a text with the model's own tokenizer and template; unset: four bytes a token.
  std::function<std::uint64_t(std::string_view text)> count_tokens;
};

// Everything that estimates are made from. Pointers may be null; what they point to outlives it.
struct CostInputs {
  const StatisticsStore* history = nullptr;
  const StatisticsTable* sample = nullptr;               // of the first rows of this very run
  std::map<std::string, ModelCost, std::less<>> models;  // by the plan's names
  const Value* params = nullptr;                         // bound: lengths of lists that are given
  std::uint32_t code_parallel = 2;                       // workers of code steps
  WallNs now = 0;  // when the run begins, for what waits until an instant; 0: not known
  // How many items steps of the plan itself give or go over, by id, where somebody has counted.
  std::map<std::string, double, std::less<>> items;
  // Of what steps of the plan itself go over: some items, drawn evenly from all of it, by id.
  std::map<std::string, std::vector<Value>, std::less<>> drawn;
  // Of a plan that runs often: the parameters of some of its runs, drawn evenly from all of them.
  std::vector<Value> run_params;
};

struct StepEstimate {
  // "each/ask" for the step `ask` of the sub-plan that the step `each` runs.
  std::string id;
  Estimate rows;                  // tasks, skipped ones too
  std::optional<Estimate> gives;  // of a table: rows of the list that one task of it gives
  Estimate selectivity;           // of its `when`: the part that holds; 1 without
  // Of each operand of its `when`, in the order of Expr::conjuncts().
  std::vector<Estimate> conjuncts;
  Estimate calls;     // that are made; of a step that runs a plan: how often it does
  Estimate distinct;  // part of the calls whose inputs no other call has
  Estimate prompt_tokens, completion_tokens;  // of a call
  Estimate call_s;                            // one call alone
  Estimate busy_s;                            // all calls, one after the other
  Estimate usd;                               // all calls
  Estimate failure;                           // chance that a task fails
  Estimate task_s;                            // one task alone: its calls, or its sub-plan
  // How long its tasks wait is not known (for somebody's signal, say): it counts as nothing.
  bool unknown_wait = false;
  double remaining_s = 0;  // from the start of a task of it to the end of the plan (upward rank)
  bool critical = false;   // on the critical path
};

struct PlanEstimate {
  std::vector<StepEstimate> steps;  // the plan's order, steps of sub-plans behind their caller
  Estimate seconds;                 // of the run
  Estimate usd, prompt_tokens, completion_tokens, calls;

  std::vector<std::uint32_t> by_id;  // indices of `steps`, sorted by id; empty: not sorted

  const StepEstimate* find(std::string_view id) const;
};

// `rows`: how many times the plan itself runs (as a sub-plan under a for_each; 1 for a run).
PlanEstimate estimate_plan(const PhysicalPlan& plan, const CostInputs& inputs, double rows = 1);

// CostInputs::run_params of the sub-plan of a step, as far as they follow from what is given.
std::vector<Value> params_of_runs(const PhysicalPlan& plan, std::uint32_t step,
                                  const CostInputs& inputs);

// The defaults, for docs and tests.
struct CostDefaults {
  double items = 10;           // of a list of unknown length
  double selectivity = 0.5;    // of a condition
  double prompt_tokens = 300;  // of which nothing is known
  double completion_tokens = 64;
  double tool_s = 0.05, code_s = 0.0005, value_s = 1e-6;
  double model_s = 1.0;  // of a call to a model without calibration
  double failure = 0.01;
  double bytes_per_token = 4;
  double input_tokens = 60;   // of what a prompt reads and nobody knows
  double message_tokens = 5;  // that the chat template adds to a message
  double prior_tasks = 10;    // that an observed share of failures is weighed against
  double produced_calls = 5;  // of a plan that a step produces, of which nothing is known
};
const CostDefaults& cost_defaults();

}  // namespace sluice
