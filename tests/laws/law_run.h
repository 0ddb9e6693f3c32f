// LawRun: one run of one physical plan in virtual time, with the calls of law_tools.h, and what can
// be said of it afterwards. The real run loop and binder run it. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/hash.h"
#include "data/value.h"
#include "optimize/optimizer.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"
#include "runtime/effect.h"
#include "runtime/trace.h"

namespace sluice::laws {

struct LawCall {
  std::string task;  // TaskId text
  std::string what;  // "t.pay"
  Effect effect = Effect::kPure;
  Value args;
  std::string key;
  std::uint64_t began = 0;  // numbers in the order of the run
  std::uint64_t ended = 0;
};

// One execution of a plan inside of the run.
struct LawFrame {
  struct Read {
    std::uint32_t from = kNoIndex;
    EdgeMode mode = EdgeMode::kWhole;
    EdgeUse use = EdgeUse::kBody;
  };
  struct Step {
    std::string id;
    std::vector<Read> reads;
    bool conditional = false;  // has a `when`
    bool mapped = false;
    std::uint32_t stands_in_for = kNoIndex;  // on_error of that step names it
  };
  std::string prefix;       // of its tasks' ids: "", "each[2]/"
  std::vector<Step> steps;  // of its plan
  std::map<std::pair<std::uint32_t, std::uint32_t>, TraceKind> tasks;  // (step, item): how it ended
};

struct LawRun {
  bool ended = false;  // else it stood still
  bool spent = false;  // a budget may have been: what it cut hangs on the order of things
  RunStatus status = RunStatus::kSucceeded;
  Value result;
  std::string error;           // the first one, in words
  std::vector<LawCall> calls;  // in the order in which they began
  std::uint64_t shared = 0;    // calls that were answered by an equal one
  std::uint64_t reused = 0;    // calls that were answered by what an earlier run has kept
  std::uint64_t bulks = 0;     // calls that carried several
  std::map<std::uint64_t, LawFrame> frames;
  std::set<std::string> failed;  // steps of the root plan of which a task, or one inside, failed
  // Tasks whose last call failed for a reason that passes: `failed` has their steps too.
  std::set<std::string> unlucky;
  std::set<std::string> by_itself;  // of them, those that failed not only because an input had

  bool succeeded() const { return ended && status == RunStatus::kSucceeded; }
};

// What runs keep for later ones.
using LawKept = std::map<Hash256, Value>;

// `order`: another number, another order of things. `produced`: how plans that steps produce are
// optimized.
LawRun run_law_plan(const PhysicalPlanPtr& plan, const ToolCatalog& tools, const Value& params,
                    std::uint64_t order, const OptimizerSettings& produced,
                    LawKept* kept = nullptr);

// The id of the root plan's step that a task is of or inside of: "each" of "each[2]/ask".
std::string root_step(const std::string& task);
// A task's id without items and rounds: "each/ask".
std::string step_path(const std::string& task);

}  // namespace sluice::laws
