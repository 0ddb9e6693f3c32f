// Plan shapes: generators of real plans, as text, that go the whole way through parser,
// verification and lowering. A shape and a variant give one plan; variants differ in counts, rules,
// delays and in what is called. Plans are kept once made, per thread; a SimPlan is immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "data/value.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"

namespace sluice {

struct ShapeText {
  std::string text;
  // An undisturbed run always ends alike: no step looks at what changes, and no time is limited.
  bool deterministic = true;
  std::vector<std::string> signals;  // names that its waits wait for
};

struct PlanShape {
  std::string_view name;
  ShapeText (*make)(Random& random);
};

std::span<const PlanShape> plan_shapes();
inline constexpr std::size_t kFirstShapes = 16;  // those behind them came later
inline constexpr std::size_t kLaterShapes = 2;   // of those; and then `rows`, for other forms of it
inline constexpr std::uint32_t kVariants = 48;   // of each shape that worlds draw from

struct SimPlan {
  std::string name;  // "chain/17"
  ShapeText shape;
  PlanPtr logical;
  std::shared_ptr<const ToolCatalog> catalog;
  PhysicalPlanPtr physical;
  Value encoded;  // encode_physical
  Value params;   // bound
};
using SimPlanPtr = std::shared_ptr<const SimPlan>;

SimPlanPtr sim_plan(std::size_t shape, std::uint32_t variant);
// From a text (or JSON) of one's own; what is wrong with it comes back as an error.
Result<SimPlanPtr> sim_plan_of(std::string name, ShapeText shape);

}  // namespace sluice
