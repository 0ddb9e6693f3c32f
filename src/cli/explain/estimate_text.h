// Estimates and factors as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cost/plan_cost.h"
#include "host/runs/run_profile.h"

namespace sluice::cli {

std::string amount_text(double amount);   // "0.3", "12", "3,640"
std::string length_text(double seconds);  // "12.3 s"; "" below a tenth of a millisecond
std::string money_text(double usd);       // "0.0123 usd"; "" for none
// With its range where that is wider than the number is long: "12.1 s (8.0 s to 16.2 s)".
std::string length_text(const Estimate& seconds);
std::string amount_text(const Estimate& amount);
// "1.3x": actual over estimated; "" where one of them is nothing.
std::string factor_text(double actual, double estimated);

// Of all its calls.
Estimate total_tokens(const StepEstimate& step);
// Where the least trusted part of a step's estimate comes from: "history".
std::string source_text(const StepEstimate& step);

// "plus what a and b wait for": what no estimate has; "" where nothing waits like that.
std::string waits_text(const PlanEstimate& plan);
std::vector<std::string> unknown_waits(const PlanEstimate& plan);  // ids of steps

double seconds_of(std::int64_t ns);

// What a node of the graph says of itself: "10 rows, 3,640 tokens, 12.1 s".
std::string estimate_note(const StepEstimate& step);
std::string actual_note(const StepProfile& step);
// Calls that nobody had to make, and how many of them earlier runs answered: "12 (5 earlier)".
std::string cached_text(const StepProfile& step);

}  // namespace sluice::cli
