// UNDO_PARTIAL (warning): an `undo: true` that does not reach everything: steps that change the
// world through tools without `undo`, and the key in a plan that is not the outermost.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {
namespace {

// The steps of a plan and of the plans inside that nothing can undo.
class OutOfReach {
 public:
  void plan(const Plan& plan, const ToolCatalog& tools, const std::string& prefix) {
    if (!seen_.insert(&plan).second) return;
    for (const Step& step : plan.steps) {
      if (step.op == OperatorKind::kPlan && !step.produced_plan) {
        const PlanPtr* sub_plan = plan.find_plan(step.target);
        if (!sub_plan || !*sub_plan) continue;
        auto inner = catalog_within(**sub_plan, tools);
        this->plan(**sub_plan, *inner, prefix + step.id + "/");
      } else if (changes_for_good(step, tools)) {
        ids_.push_back(prefix + step.id);
      }
    }
  }
  const std::vector<std::string>& ids() const { return ids_; }

 private:
  static bool for_good(std::string_view tool, std::string_view function, const ToolCatalog& tools) {
    const FunctionSpec* spec = tools.find(tool, function);  // null: not known yet
    return spec && spec->effect >= Effect::kIdempotent && spec->undo.is_null();
  }

  static bool changes_for_good(const Step& step, const ToolCatalog& tools) {
    if (step.op == OperatorKind::kTool) return for_good(step.target, step.function, tools);
    std::vector<std::string> names;
    if (step.produced_plan && step.limits) names = step.limits->tools;
    const Binding* offered = step.op == OperatorKind::kLlm ? step.with.find("tools") : nullptr;
    std::optional<Value> list = offered ? offered->as_constant() : std::nullopt;
    if (list && list->is_array()) {
      for (const Value& name : list->items()) {
        if (name.is_string()) names.emplace_back(name.as_string());
      }
    }
    for (const std::string& name : names) {
      auto [tool, function] = split_function(name);
      if (!function.empty() || !step.produced_plan) {
        if (for_good(tool, function, tools)) return true;
        continue;
      }
      for (std::string_view each : tools.function_names(tool)) {  // limits allow all of them
        if (for_good(tool, each, tools)) return true;
      }
    }
    return false;
  }

  std::set<const Plan*> seen_;
  std::vector<std::string> ids_;
};

std::string listed(const std::vector<std::string>& ids) {
  constexpr std::size_t kShown = 8;
  std::vector<std::string> first(
      ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), kShown)));
  std::string text = fmt::format("{}", fmt::join(first, ", "));
  return ids.size() > kShown ? fmt::format("{} and {} more", text, ids.size() - kShown) : text;
}

}  // namespace

void rule_undo(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  const Plan& plan = context.plan;
  if (!plan.undo) return;
  if (context.outermost || context.limits) {
    if (context.outermost && context.outermost->undo) return;
    out.warning(ErrorCode::kUndoPartial, plan.undo_pos,
                "undo does nothing here: the outermost plan decides; write undo: true there");
    return;
  }
  OutOfReach steps;
  steps.plan(plan, context.tools, "");
  if (steps.ids().empty()) return;
  out.warning(ErrorCode::kUndoPartial, plan.undo_pos,
              fmt::format("what {} changed stays: no undo is set for {}", listed(steps.ids()),
                          steps.ids().size() == 1 ? "its tool" : "their tools"));
}

}  // namespace sluice
