// An order of steps in which all that a step needs stands before it. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice {

// `needs[i]`: the steps that step i needs, in any order, also more than once. Among those that
// could come next, the one with the lowest number. Shorter than `needs` where steps need each
// other: those that are in a circle, or behind one, are missing.
std::vector<std::uint32_t> order_by_needs(const std::vector<std::vector<std::uint32_t>>& needs);

}  // namespace sluice
