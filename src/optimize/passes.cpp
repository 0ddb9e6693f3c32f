// The table of passes: what runs, and in which order.
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

// Adding a pass is one file under passes/, its line in passes.h, and its row here.
constexpr Pass kPasses[] = {
    {.info = {"fold_constants", "values that are known before the run stand where they are read"},
     .rewrite = rewrite_fold_constants,
     .take_back = true},
    {.info = {"merge_equal_steps", "pure steps that are equal are done once"},
     .rewrite = rewrite_merge_equal_steps},
    {.info = {"early_conditions", "conditions are asked before the work that they may spare"},
     .rewrite = rewrite_early_conditions,
     .wants_estimate = true},
    {.info = {"drop_dead_steps", "pure and reading steps that nothing reads are not done"},
     .rewrite = rewrite_drop_dead_steps},
    {.info = {"share_equal_calls", "calls of pure steps with equal inputs are made once"},
     .advise = advise_share_equal_calls},
    {.info = {"rank_by_cost", "what has the longest way to the end goes first"},
     .advise = advise_rank_by_cost},
    {.info = {"keep_prefixes", "prompts that begin alike are computed once and kept"},
     .advise = advise_keep_prefixes},
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
