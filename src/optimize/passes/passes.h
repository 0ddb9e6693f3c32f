// The passes: one function and one file each. Their order, and what they are for, stands in
// optimize/passes.cpp. Internal to optimize/.
#pragma once

#include "optimize/pass.h"

namespace sluice {

void rewrite_fold_constants(LogicalPassContext& context);
void rewrite_merge_equal_steps(LogicalPassContext& context);
void rewrite_early_conditions(LogicalPassContext& context);
void rewrite_drop_dead_steps(LogicalPassContext& context);

void advise_share_equal_calls(PhysicalPassContext& context);
void advise_rank_by_cost(PhysicalPassContext& context);
void advise_keep_prefixes(PhysicalPassContext& context);

}  // namespace sluice
