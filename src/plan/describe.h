// A physical plan as JSON: steps, edges, modes, ranks and hashes. For `explain --format json` and
// for tests that compare plans. Pure.
#pragma once

#include "data/value.h"
#include "plan/physical.h"

namespace sluice {

Value describe_physical(const PhysicalPlan& plan);
std::string_view edge_mode_name(EdgeMode mode);  // "whole", "slot", "status", "order"
std::string_view edge_use_name(EdgeUse use);     // "items", "when", "body"

}  // namespace sluice
