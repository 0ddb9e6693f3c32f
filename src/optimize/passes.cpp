// The table of passes: what runs, and in which order.
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

// Adding a pass is one file under passes/, its line in passes.h, and its row here.
constexpr Pass kPasses[] = {
    {.info = {"fold_constants", "values that are known before the run stand where they are read"},
     .rewrite = rewrite_fold_constants,
     .take_back = true},
    {.info = {"inline_plans", "the steps of a sub-plan are done in the plan that calls it"},
     .rewrite = rewrite_inline_plans,
     .take_back = true},
    {.info = {"fuse_values", "what a value says stands in the steps that read it"},
     .rewrite = rewrite_fuse_values},
    {.info = {"merge_equal_steps", "pure steps that are equal are done once"},
     .rewrite = rewrite_merge_equal_steps},
    {.info = {"ask_together", "several questions about the same input are asked in one call",
              PassClass::kApproximate},
     .rewrite = rewrite_ask_together},
    {.info = {"reorder_templates", "what prompts say to every row comes before what differs",
              PassClass::kApproximate},
     .rewrite = rewrite_reorder_templates},
    {.info = {"drop_output_fields", "fields of answers that nothing reads are not generated",
              PassClass::kApproximate},
     .rewrite = rewrite_drop_output_fields},
    // Before the two below: a dead reader would keep conditions from what it reads.
    {.info = {"drop_dead_steps", "pure and reading steps that nothing reads are not done"},
     .rewrite = rewrite_drop_dead_steps,
     .wants_estimate = true},
    {.info = {"early_tables", "what a table asks of its rows is asked before these are made"},
     .rewrite = rewrite_early_tables,
     .take_back = true},
    {.info = {"early_conditions", "conditions are asked before the work that they may spare"},
     .rewrite = rewrite_early_conditions,
     .wants_estimate = true},
    {.info = {"small_model_first",
              "a smaller model is asked first, the step's own when it is unsure",
              PassClass::kApproximate},
     .advise = advise_small_model_first},
    {.info = {"share_equal_calls", "calls of pure steps with equal inputs are made once"},
     .advise = advise_share_equal_calls},
    {.info = {"reuse_results", "what models said in earlier runs stands for equal calls"},
     .advise = advise_reuse_results},
    {.info = {"bulk_calls", "tasks that are ready together go out as one call of a tool"},
     .advise = advise_bulk_calls},
    {.info = {"group_by_prefix", "rows whose prompts begin alike are asked together"},
     .advise = advise_group_by_prefix},
    {.info = {"rank_by_cost", "what has the longest way to the end goes first"},
     .advise = advise_rank_by_cost},
    {.info = {"keep_prefixes", "prompts that begin alike are computed once and kept"},
     .advise = advise_keep_prefixes},
    {.info = {"limit_concurrency", "no more calls at once than their callee was seen to gain from"},
     .advise = advise_limit_concurrency},
    {.info = {"hedge_calls", "calls that take far longer than their like are tried once more",
              PassClass::kHedging},
     .advise = advise_hedge_calls},
};

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

std::span<const PassInfo> optimizer_passes() {
  static const std::vector<PassInfo> kInfos = [] {
    std::vector<PassInfo> infos;
    for (const Pass& pass : kPasses) infos.push_back(pass.info);
    return infos;
  }();
  return kInfos;
}

}  // namespace sluice
