// Parts of explain's page. Each gives HTML in which everything that comes from outside is escaped.
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "cli/plan_graph.h"
#include "host/runs/run_profile.h"

namespace sluice::cli {

// For text and for attribute values.
std::string html_escaped(std::string_view text);

inline constexpr std::size_t kMostDrawnNodes = 400;
std::string graph_part(const PlanGraph& graph);

inline constexpr std::size_t kMostBars = 2000;  // beyond: how many at once
inline constexpr std::size_t kMostLanes = 150;  // the steps that worked longest
std::string timeline_part(const RunProfile& profile);

std::string_view page_style();
std::string_view page_script();

}  // namespace sluice::cli
