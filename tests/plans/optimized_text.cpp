#include "tests/plans/optimized_text.h"

#include <map>
#include <utility>
#include <vector>

#include "data/json.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/optimizer.h"
#include "plan/lower.h"
#include "plan/references.h"
#include "plan/tool_catalog.h"
#include "verify/verify.h"

namespace sluice::plantest {
namespace {

std::string text_of(const Binding& binding) {
  std::vector<std::string> parts;
  switch (binding.kind) {
    case Binding::Kind::kExpr:
      if (auto constant = binding.expr.as_constant()) return to_json(*constant);
      return binding.expr.to_string();
    case Binding::Kind::kList:
      for (const Binding& item : binding.items) parts.push_back(text_of(item));
      return fmt::format("[{}]", fmt::join(parts, ", "));
    case Binding::Kind::kMap:
      for (const auto& [key, member] : binding.members) {
        parts.push_back(fmt::format("{}: {}", key, text_of(member)));
      }
      return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
  return "";
}

std::string text_of(const JoinAction& action) {
  switch (action.kind) {
    case JoinAction::Kind::kSkip:
      return "skip";
    case JoinAction::Kind::kFail:
      return "fail";
    case JoinAction::Kind::kValue:
      return fmt::format("{{value: {}}}", text_of(action.value));
  }
  return "";
}

std::string joins_text(const Step& step) {
  std::vector<std::string> joins;
  for (const auto& [id, rule] : step.joins) {
    std::vector<std::string> parts;
    if (rule.states_skipped) parts.push_back("skipped: " + text_of(rule.skipped));
    if (rule.states_failed) parts.push_back("failed: " + text_of(rule.failed));
    joins.push_back(fmt::format("{}: {{{}}}", id, fmt::join(parts, ", ")));
  }
  return fmt::format("{}", fmt::join(joins, ", "));
}

using Facts = std::vector<std::pair<std::string, std::string>>;  // (what, text), "" where not said

Facts facts_of(const PhysicalStep& step, bool ranks) {
  const Step& logical = step.logical;
  std::vector<std::string> after;
  for (const auto& each : logical.after) after.push_back(each.value);
  Facts facts = {
      {"for_each", logical.for_each ? text_of(*logical.for_each) : ""},
      {"when", logical.when ? text_of(*logical.when) : ""},
      {"with", text_of(body_of(logical))},
      {"output", logical.output ? canonical_json(logical.output->source()) : ""},
      {"join", joins_text(logical)},
      {"after", fmt::format("{}", fmt::join(after, ", "))},
      {"does",
       step.logical_ids.size() > 1 ? fmt::format("{}", fmt::join(step.logical_ids, ", ")) : ""},
      {"share_equal", step.advice.share_equal ? "yes" : ""},
      {"reuse_results", step.advice.reuse_results ? "yes" : ""},
      {"bulk", step.advice.bulk > 0 ? fmt::format("{}", step.advice.bulk) : ""},
      {"hedged", step.advice.hedge_after_s ? "yes" : ""},
      {"prefix_returns", step.advice.prefix_returns ? "yes" : ""},
      {"order", step.advice.order},
      {"asks_first",
       step.advice.first_model.empty()
           ? ""
           : fmt::format("{} from {:.4f}", step.advice.first_model, step.advice.least_logprob)},
      {"group_bytes",
       step.advice.group_bytes > 0 ? fmt::format("{}", step.advice.group_bytes) : ""},
  };
  if (ranks) facts.emplace_back("rank", fmt::format("{}", step.rank));
  return facts;
}

std::map<std::string, const PhysicalStep*> steps_by_id(const PhysicalPlan& plan) {
  std::map<std::string, const PhysicalStep*> steps;
  for (const PhysicalStep& step : plan.steps) steps[step.logical.id] = &step;
  return steps;
}

// A line for each thing that differs; steps of sub-plans behind their callers.
void add_differences(const PhysicalPlan& was, const PhysicalPlan& is, const std::string& path,
                     bool ranks, std::string& into) {
  const auto before = steps_by_id(was), after = steps_by_id(is);
  for (const PhysicalStep& step : was.steps) {
    const std::string id = path + step.logical.id;
    auto found = after.find(step.logical.id);
    if (found == after.end()) {
      into += fmt::format("{}: gone\n", id);
      continue;
    }
    const Facts old_facts = facts_of(step, ranks), new_facts = facts_of(*found->second, ranks);
    for (std::size_t i = 0; i < new_facts.size(); ++i) {
      const auto& [what, text] = new_facts[i];
      if (text == old_facts[i].second) continue;
      into += fmt::format("{}.{}: {}\n", id, what, text.empty() ? "not any more" : text);
    }
    if (step.plan && found->second->plan) {
      add_differences(*step.plan, *found->second->plan, id + "/", ranks, into);
    }
  }
  for (const PhysicalStep& step : is.steps) {
    if (before.contains(step.logical.id)) continue;
    into += fmt::format("{}{}: new, {} {}\n", path, step.logical.id, operator_name(step.logical.op),
                        step.logical.target);
    for (const auto& [what, text] : facts_of(step, ranks)) {
      if (!text.empty()) into += fmt::format("{}{}.{}: {}\n", path, step.logical.id, what, text);
    }
  }
  if (text_of(was.result.binding) != text_of(is.result.binding)) {
    into += fmt::format("{}result: {}\n", path, text_of(is.result.binding));
  }
}

OptimizerSettings settings_of(std::string_view pass) {
  OptimizerSettings settings;
  for (const PassInfo& info : optimizer_passes()) {
    if (pass != "all" && info.name != pass) settings.without.insert(std::string(info.name));
  }
  return settings;
}

}  // namespace

Result<std::string> optimized_text(const PlanPtr& plan, const Value& params,
                                   std::string_view pass) {
  Diagnostics findings;
  const Value bound = bind_params(*plan, params, findings);
  if (findings.has_errors()) return fail(ErrorCode::kParamInvalid, findings.all()[0].message);
  const auto tools = catalog_of(*plan);
  auto written = lower_plan(plan, *tools);
  if (!written) return std::unexpected(written.error());
  const CostInputs cost{.history = nullptr, .sample = nullptr, .models = {}, .params = &bound};
  auto optimized = optimize_plan({.plan = plan,
                                  .tools = *tools,
                                  .params = &bound,
                                  .cost = cost,
                                  .settings = settings_of(pass)});
  if (!optimized) return std::unexpected(optimized.error());
  std::string text;
  for (const PassNote& note : optimized->notes) {
    text += fmt::format("{}{} {}: {}\n", pass == "all" ? fmt::format("{} ", note.pass) : "",
                        note.refused ? "left" : "did", note.step.empty() ? "plan" : note.step,
                        note.text);
  }
  text += "---\n";
  add_differences(**written, *optimized->physical, "", pass == "rank_by_cost", text);
  return text;
}

}  // namespace sluice::plantest
