// The plan behind `sluice batch`: it reads a table row by row, runs the user's plan for each row as
// a sub-plan, keeps what comes of it by row number and writes it out at the end. One run, so it is
// recorded, resumed and explained as any other. Pure; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "host/runs/run_header.h"
#include "plan/logical.h"
#include "tools/table/table_format.h"

namespace sluice {

// The steps that people and progress hear of.
inline constexpr std::string_view kBatchReadStep = "rows";      // the table is read
inline constexpr std::string_view kBatchRowStep = "row";        // the user's plan, once a row
inline constexpr std::string_view kBatchPutStep = "put";        // its result is kept
inline constexpr std::string_view kBatchBeginStep = "begin";    // the work file is this run's
inline constexpr std::string_view kBatchFinishStep = "finish";  // the output is written from it
inline constexpr std::string_view kBatchOutput = "out";         // the tool that does these three

struct BatchSpec {
  const Plan* plan = nullptr;  // the user's: parsed and verified
  PlanTexts texts;             // of it; the first is its own
  TableSource input;
  TableTarget output;
  std::vector<std::string> columns;  // that the input has
  Value fixed;                       // parameters that are the same for all rows; null: none
  std::uint64_t limit = 0;           // rows; 0: all
  std::optional<std::uint32_t> concurrency;  // rows at once
  bool with_input = false;                   // the input's columns stand before the result's
  bool keep_null = false;                    // a row whose result is null is written too
  bool unordered = false;                    // rows in the order in which they were done
};

struct BatchPlan {
  PlanPtr plan;
  PlanTexts texts;
  Value params;  // bound
};

// What the plan needs and neither the columns nor `fixed` give: the names of the parameters.
std::vector<std::string> missing_columns(const BatchSpec& spec);
// Columns that are no parameter of the plan.
std::vector<std::string> unused_columns(const BatchSpec& spec);
// Parameters that have their default because no column has their name, with an unused column whose
// name is nearly that.
std::vector<std::pair<std::string, std::string>> misspelt_columns(const BatchSpec& spec);

// How many rows should be under way at once so that those that have not begun can still be done
// otherwise: enough to keep `concurrency` calls busy. nullopt: as many as come, because a row may
// wait for a person or a time.
std::optional<std::uint32_t> rows_at_once(const Plan& plan);

// Some of the `rows` of the input, spread over all of them (spread_rows), as the plan of a row is
// given them: what is known of all of them before the run. Reads the table; fewer, or none, where
// rows are large or cannot be read.
std::vector<Value> draw_rows(const BatchSpec& spec, std::uint64_t rows, std::uint64_t bytes);

// kParamMissing with the columns that are there, kParamUnknown; kInternal when the plan that was
// made is not one.
Result<BatchPlan> make_batch_plan(const BatchSpec& spec);

// {parameter: schema} of those that a row gives.
Value batch_columns(const BatchSpec& spec);

// The plan that runs the user's for rows that are there already (as read_row makes them), without a
// table to read or to write: its result is a list of what came of each. Errors as above.
Result<BatchPlan> make_sample_plan(const BatchSpec& spec, std::vector<Value> rows);

// What a row's slot has in place of the result of a plan that failed.
inline constexpr std::string_view kRowErrorKey = "$error";

// The result of a batch, as its run gives it.
struct BatchResult {
  std::string file;
  std::uint64_t rows = 0, written = 0, errors = 0, empty = 0;
  std::vector<std::string> first_errors;
};
// nullopt: it is none.
std::optional<BatchResult> read_batch_result(const Value& result);

}  // namespace sluice
