// Which names an expression may use, by the place where it stands (section "Scope" of the
// language).
#pragma once

#include "data/expr.h"
#include "plan/logical.h"

namespace sluice {

enum class Place : std::uint8_t {
  kForEach,   // params, steps, run
  kTask,      // + item, index when mapped; + round, previous when repeated
  kUntil,     // + output
  kFallback,  // a step named by on_error: + error, item, index
  kResult,    // params, steps, run
};

// What is known of a plan's names while its expressions are compiled.
struct ScopeNames {
  std::vector<std::pair<std::string, Type>> params;
  std::vector<std::string> steps;
};
struct ScopeFlags {
  bool mapped = false;
  bool repeated = false;
};
NameResolver make_resolver(const ScopeNames& names, Place place, ScopeFlags flags);

// For text of a plan that was checked before: every name is taken as it was then, and this says
// only how far each one reaches. `slots`: `steps.S.output[index]` reads one slot.
NameResolver checked_names(bool slots);

}  // namespace sluice
