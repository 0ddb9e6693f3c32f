// How often each step of one plan is done: tasks, conditions, calls, failures, along the edges of
// the plan. Conditions count once however many steps of a chain state them, and as independent of
// each other. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cost/conditions.h"
#include "cost/known_values.h"
#include "cost/observed.h"
#include "cost/plan_cost.h"

namespace sluice {

struct StepRows {
  Estimate rows, selectivity;
  std::vector<Estimate> conjuncts;
  Estimate asked;           // tasks that go on to their call
  Estimate calls_per_task;  // 0: it calls nothing
  Estimate distinct, calls, failure;
  double rounds = 1;              // of a sub-plan in one task
  std::optional<Estimate> given;  // rows of the list that a table gives; of one task
};

// What part of all calls has inputs that no other call has, from `drawn` of them (`part` of all)
// with `distinct` different inputs, `alone` of which came once: the first-order jackknife (P. Haas,
// J. Naughton, S. Seshadri, L. Stokes, "Sampling-based estimation of the number of distinct values
// of an attribute", VLDB 1995). Its range reaches down to what is certain up to a factor (GEE, M.
// Charikar et al., PODS 2000), and up to where each value that came once stands for others.
Estimate distinct_part(std::uint64_t drawn, std::uint64_t distinct, std::uint64_t alone,
                       double part);

using CountedItems = std::map<std::string, double, std::less<>>;

// `runs`: of the plan. `counted`: as CostInputs has it, of this plan.
std::vector<StepRows> estimate_rows(const PhysicalPlan& plan, const Estimate& runs,
                                    KnownValues& known, Observed& observed,
                                    const CountedItems& counted);

}  // namespace sluice
