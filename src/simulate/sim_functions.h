// The functions of the one simulated tool `t`, and the catalog of a plan that uses it. What they do
// is in sim_tools.h. Pure; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "plan/logical.h"
#include "plan/tool_catalog.h"

namespace sluice {

inline constexpr std::string_view kSimTool = "t";

enum class SimDeed : std::uint8_t {
  kNumber,  // a number that follows from the arguments
  kList,    // `n` numbers, in a list or as a stream
  kRefuse,  // a number, or for some arguments a refusal that no retry helps
  kLook,    // another number each time
  kPlan,    // a plan
};

struct SimFunction {
  std::string_view name;
  Effect effect;
  SimDeed deed;
  bool probe;
  std::string_view undo;  // the function that takes it back, or ""
  bool streams;
  std::uint32_t concurrency;
};

std::span<const SimFunction> sim_functions();
const SimFunction* find_sim_function(std::string_view name);

// Of a plan that has `tools: {t: {kind: python, file: sim.py}}`.
std::unique_ptr<ToolCatalog> sim_catalog(const Plan& plan);

// Of a produced plan: what its limits leave of the tools around it, which must outlive it.
std::unique_ptr<ToolCatalog> sim_catalog_within(const Limits& limits, const ToolCatalog& outer);

}  // namespace sluice
