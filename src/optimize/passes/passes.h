// The passes: one function and one file each. Their order, and what they are for, stands in
// optimize/passes.cpp. Internal to optimize/.
#pragma once

#include "optimize/pass.h"

namespace sluice {

void rewrite_fold_constants(LogicalPassContext& context);
void rewrite_inline_plans(LogicalPassContext& context);
void rewrite_fuse_values(LogicalPassContext& context);
void rewrite_merge_equal_steps(LogicalPassContext& context);
void rewrite_ask_together(LogicalPassContext& context);
void rewrite_reorder_templates(LogicalPassContext& context);
void rewrite_drop_output_fields(LogicalPassContext& context);
void rewrite_early_tables(LogicalPassContext& context);
void rewrite_early_conditions(LogicalPassContext& context);
void rewrite_drop_dead_steps(LogicalPassContext& context);

void advise_small_model_first(PhysicalPassContext& context);
void advise_share_equal_calls(PhysicalPassContext& context);
void advise_reuse_results(PhysicalPassContext& context);
void advise_bulk_calls(PhysicalPassContext& context);
void advise_group_by_prefix(PhysicalPassContext& context);
void advise_rank_by_cost(PhysicalPassContext& context);
void advise_keep_prefixes(PhysicalPassContext& context);
void advise_limit_concurrency(PhysicalPassContext& context);
void advise_hedge_calls(PhysicalPassContext& context);

}  // namespace sluice
