// The names of the optimizer's passes, as far as the plan language knows them: which of them a plan
// has to allow (`allow: [NAME]`) before they run. The passes themselves stand in
// optimize/passes.cpp, in this order, which nothing below may include; a test compares the two
// tables. Pure.
#pragma once

#include <array>
#include <string_view>

namespace sluice {

struct PassName {
  std::string_view name;
  bool needs_allowance = false;  // it may change results, or make more calls
};

inline constexpr std::array<PassName, 19> kPassNames = {{
    {"fold_constants"},
    {"inline_plans"},
    {"fuse_values"},
    {"merge_equal_steps"},
    {"ask_together", true},
    {"reorder_templates", true},
    {"drop_output_fields", true},
    {"drop_dead_steps"},
    {"early_tables"},
    {"early_conditions"},
    {"small_model_first", true},
    {"share_equal_calls"},
    {"reuse_results"},
    {"bulk_calls"},
    {"group_by_prefix"},
    {"rank_by_cost"},
    {"keep_prefixes"},
    {"limit_concurrency"},
    {"hedge_calls", true},
}};

}  // namespace sluice
