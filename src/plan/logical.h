// The logical plan: what the user wrote, as pure data with source positions. plan/parse makes it,
// verify checks it, plan/lower turns it into the physical plan. Immutable once parsed; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/schema.h"
#include "data/value.h"
#include "plan/binding.h"
#include "plan/tool_spec.h"

namespace sluice {

enum class OperatorKind : std::uint8_t { kLlm, kTool, kCode, kPlan, kValue, kWait, kTable };
std::string_view operator_name(OperatorKind kind);  // "llm"

template <class T>
struct Located {
  T value;
  SourcePos pos;
};

// What a missing input means for the step that reads it.
struct JoinAction {
  enum class Kind : std::uint8_t { kSkip, kFail, kValue };
  Kind kind = Kind::kSkip;
  Binding value;  // kValue
};
struct JoinRule {
  JoinAction skipped{JoinAction::Kind::kSkip, {}};
  JoinAction failed{JoinAction::Kind::kFail, {}};
  bool states_skipped = false;  // written, not defaulted
  bool states_failed = false;
  SourcePos pos;
};

struct RepeatRule {
  Binding until;
  std::uint32_t max_rounds = 0;  // 0: missing (REPEAT_UNBOUNDED)
  std::int64_t delay_ms = 0;
  SourcePos pos;  // of the value of `repeat`
};

struct RetryRule {
  std::uint32_t attempts = 1;
  std::vector<std::string> on;  // error code names or class names; empty: what is retryable
  std::int64_t delay_ms = 1000;
  double factor = 2;
  std::int64_t max_delay_ms = 60'000;
  double jitter = 0.2;  // each delay is multiplied by 1 +- jitter
  SourcePos pos;        // of the key `retry`
};

struct OnErrorRule {
  enum class Kind : std::uint8_t { kFail, kSkip, kValue, kStep };
  Kind kind = Kind::kFail;
  Binding value;     // kValue
  std::string step;  // kStep
  SourcePos pos;
};

// nullopt: not bounded.
struct Budget {
  std::optional<std::int64_t> tokens;
  std::optional<std::int64_t> calls;
  std::optional<double> seconds;
  std::optional<double> usd;
  bool none() const { return !tokens && !calls && !seconds && !usd; }
};

// What a produced plan may use; what is not named is not allowed.
struct Limits {
  std::vector<std::string> operators;
  std::vector<std::string> tools;  // "db.query" or "db"
  std::vector<std::string> models;
  std::uint64_t steps = 0;
  std::uint64_t tasks = 0;
  std::uint32_t depth = 0;
  Budget budget;
  SourcePos pos;
};

struct TableQuery;  // plan/table_query.h

struct Step {
  std::string id;
  SourcePos pos;  // of the id
  OperatorKind op = OperatorKind::kValue;
  SourcePos op_pos;      // of the operator key (`llm`)
  SourcePos target_pos;  // of its value
  std::string target;    // llm: model id; tool: tool id; plan: plan id; code: the Python text
  std::string function;  // tool: its function; "" means the kind's default
  std::optional<Binding> produced_plan;  // plan: an expression instead of an id
  Binding with;                          // kMap; llm: messages, prompt, tools, turns, sampling...
  Binding value;                         // op kValue
  Binding wait;                          // op kWait: kMap of for, until, signal, value, of, ask
  // op kTable: what is asked of the rows; what it reads of the plan stands in `with`.
  std::shared_ptr<const TableQuery> table;
  SchemaPtr output;  // of one task; null: not stated
  SourcePos output_pos;
  std::optional<Binding> for_each;
  std::optional<std::uint32_t> concurrency;
  std::optional<Binding> when;
  std::vector<Located<std::string>> after;
  std::vector<std::pair<std::string, JoinRule>> joins;
  std::optional<RepeatRule> repeat;
  std::optional<RetryRule> retry;
  std::optional<std::int64_t> timeout_ms;
  std::optional<OnErrorRule> on_error;
  std::optional<std::int64_t> cache_ttl_ms;  // set: `cache` is on; 0: no end
  SourcePos cache_pos;
  Budget budget;
  std::optional<Limits> limits;

  const JoinRule* find_join(std::string_view step_id) const;
};

struct ParamSpec {
  std::string id;
  SchemaPtr schema;
  bool has_default = false;
  Value default_value;
  std::string description;
  SourcePos pos;
};

// A tool or model as the plan names it: settings with secrets still as references.
struct NamedSettings {
  std::string id;
  std::string kind;
  Value settings;          // without `kind`
  bool inherited = false;  // of the plan around this one: the same tool or model
  SourcePos pos;           // of the id
  SourcePos kind_pos;
  // Positions of the keys inside, by JSON pointer ("/functions/exec/effect").
  std::map<std::string, SourcePos, std::less<>> positions;
};

struct Plan;
using PlanPtr = std::shared_ptr<const Plan>;

struct Plan {
  std::vector<std::string> files;  // names for SourcePos::file; [0] is this plan's own
  std::vector<ParamSpec> params;
  std::vector<std::pair<std::string, Value>> schemas;
  std::vector<NamedSettings> models;
  std::vector<NamedSettings> tools;
  std::vector<std::pair<std::string, PlanPtr>> plans;
  std::uint32_t concurrency = 64;
  Budget budget;
  std::vector<Step> steps;
  Binding result;     // constant null when not written
  bool undo = false;  // finished tasks are undone when the run fails or is cancelled
  SourcePos undo_pos;
  // Optimizer passes that run only where they are allowed: approximate ones and hedging.
  std::vector<Located<std::string>> allow;
  SourcePos pos;
  bool broken = false;  // its text had errors: what is missing may have been meant to be there
  Value source;         // the plan as JSON, as written (for printing, hashing and the journal)
  // Of a plan that optimizer passes rewrote: the one that the user wrote, which scopes, files and
  // the journal know. Null: this is it.
  PlanPtr written;

  const Step* find_step(std::string_view id) const;
  const NamedSettings* find_tool(std::string_view id) const;
  const NamedSettings* find_model(std::string_view id) const;
  const PlanPtr* find_plan(std::string_view id) const;
  const ParamSpec* find_param(std::string_view id) const;
};

}  // namespace sluice
