// The physical plan: what the runtime executes. Steps are indices, edges are explicit and
// relation-valued, expressions are bound to numbered inputs. Pure data, immutable; any thread.
//
// Every step has a *relation*: one slot (a single step), one slot per item (for_each), or one slot
// per emitted item (a streaming call without for_each). An edge says which part of a relation its
// consumer needs before a task of it may go on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/hash.h"
#include "plan/logical.h"

namespace sluice {

inline constexpr std::uint32_t kNoIndex = 0xFFFF'FFFF;

enum class EdgeMode : std::uint8_t {
  kWhole,   // all of the relation is terminal; reads it as one value
  kSlot,    // slot i for task i (flows)
  kStatus,  // all of it is terminal; reads only its status; never skips or fails the reader
  kOrder,   // `after`: a failed one fails the reader, a skipped one does not matter
};

// When in a task's life the edge is needed.
enum class EdgeUse : std::uint8_t {
  kItems,  // by for_each: before there are tasks
  kWhen,   // by `when`: before the condition
  kBody,   // by everything else
};

// An expression tree whose leaves read numbered inputs of the step.
struct BoundTree {
  Binding binding;
  // For each expression leaf in Binding::for_each_expr order: its inputs as indices into
  // PhysicalStep::inputs.
  std::vector<std::vector<std::uint32_t>> leaf_inputs;
};

struct Edge {
  std::uint32_t from = kNoIndex;  // step index
  EdgeMode mode = EdgeMode::kWhole;
  EdgeUse use = EdgeUse::kBody;
  JoinRule join;
  // The join's `{value: V}`, when it has one: expressions over the step's inputs.
  std::optional<BoundTree> skipped_value;
  std::optional<BoundTree> failed_value;
  // kSlot: the producer may run at most a window ahead of this consumer. False where the consumer
  // also waits (through other steps) for all of the producer, which would otherwise deadlock.
  bool windowed = false;
};

enum class InputSource : std::uint8_t {
  kParam,
  kRunId,
  kItem,
  kIndex,
  kRound,
  kPrevious,
  kOutput,
  kError,
  kEdge,    // the value of edges[edge]
  kStatus,  // the status of edges[edge]
};
struct StepInput {
  InputSource source = InputSource::kParam;
  std::uint32_t edge = kNoIndex;
  std::string param;
  // kEdge written `steps.S.output[index]` where S has a single slot: element [index] of its value.
  bool index_into = false;
  friend bool operator==(const StepInput&, const StepInput&) = default;
};

struct PhysicalPlan;
using PhysicalPlanPtr = std::shared_ptr<const PhysicalPlan>;

// What optimizer passes tell those that carry a step out. It changes when things are done and how
// often, never what comes of them.
struct StepAdvice {
  bool share_equal = false;           // calls with equal inputs are made once (effect pure only)
  bool prefix_returns = false;        // llm: what it computes is read again by a later step
  std::optional<double> remaining_s;  // expected seconds from the start of a task to the end
  std::optional<std::uint32_t> expected_tokens;  // llm: of output
  std::string order;                    // llm: the engine's order policy wished for; "" its own
  std::uint32_t bulk = 0;               // tool: so many tasks' calls go out as one; 0: one by one
  bool reuse_results = false;           // results of equal calls of earlier runs stand for its own
  std::uint32_t most_at_once = 0;       // calls at once, beyond which none is gained; 0: no advice
  std::uint32_t group_bytes = 0;        // llm: tasks whose prompts begin with so many equal bytes
                                        // start together; 0: in the order of their items
  std::optional<double> hedge_after_s;  // a second attempt starts beside one that takes so long
  std::string first_model;   // llm: asked first (approximate); "" the step's own model only
  double least_logprob = 0;  // of the first model's answer, as a mean per token, to be taken
  friend bool operator==(const StepAdvice&, const StepAdvice&) = default;
};

struct PhysicalStep {
  Step logical;                          // its settings, after rewrites
  std::vector<std::string> logical_ids;  // the steps that it computes; [0] names its tasks
  std::vector<Edge> edges;
  std::vector<StepInput> inputs;
  std::optional<BoundTree> for_each;    // absent for a flowing for_each
  std::uint32_t items_edge = kNoIndex;  // flowing for_each: items are the slots of this edge
  std::optional<BoundTree> when;
  BoundTree body;  // `with`, or `value`, or `wait`, or the produced plan's `with`
  std::optional<BoundTree> produced_plan;
  std::optional<BoundTree> until;
  std::optional<BoundTree> on_error_value;  // on_error: {value: V}
  std::vector<std::uint32_t> consumers;     // steps with an edge from this one (no repeats)
  std::uint32_t fallback = kNoIndex;        // on_error: {step}
  std::uint32_t fallback_of = kNoIndex;     // this step runs only as the fallback of that one
  PhysicalPlanPtr plan;                     // op kPlan with a known sub-plan
  Effect effect = Effect::kPure;
  std::string resource;              // "tool:db.exec", "model:default", "code", ""
  std::uint32_t resource_limit = 0;  // 0: none
  bool mapped = false;               // has for_each
  bool streams = false;              // its call emits items
  bool has_undo = false;             // what it calls (a tool, or a tool of its model) can be undone
  bool batch_safe = true;            // nothing but values: no call leaves the process
  std::uint32_t rank = 0;            // longest remaining path: higher goes first
  Hash256 step_hash;                 // the meaning of the step without its inputs
  StepAdvice advice;                 // by the optimizer's passes; empty when nothing is known
};

struct PhysicalPlan {
  PlanPtr logical;
  std::vector<PhysicalStep> steps;  // a topological order
  BoundTree result;
  std::vector<Edge> result_edges;  // read when the run has ended; skipped reads as null
  std::vector<StepInput> result_inputs;
  std::uint32_t concurrency = 64;
  Budget budget;
  bool undo = false;
  std::uint32_t window = 1024;  // slots a producer may run ahead of a windowed consumer
  Hash256 plan_hash;
};

}  // namespace sluice
