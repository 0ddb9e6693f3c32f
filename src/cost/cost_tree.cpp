#include "cost/cost_tree.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/name_map.h"
#include "cost/prompt_tokens.h"
#include "cost/wait_cost.h"

namespace sluice {
namespace {

constexpr std::size_t kMostNodes = 50'000;  // beyond: sub-plans are not looked into
constexpr std::uint32_t kMostDepth = 32;
constexpr double kToolPlaces = 8;

std::optional<double> constant_number(const Binding* binding) {
  if (binding == nullptr) return std::nullopt;
  const auto value = binding->as_constant();
  if (!value || !value->is_number()) return std::nullopt;
  return value->as_double();
}

class Unfolder {
 public:
  explicit Unfolder(const CostInputs& inputs) : inputs_(inputs), observed_(inputs) {}

  CostTree unfold(const PhysicalPlan& plan, double runs) {
    concurrency_ = std::max<double>(plan.concurrency, 1);
    frame(plan, kNoIndex, "", Estimate::exact(runs), inputs_.params, inputs_.run_params, 0);
    return std::move(tree_);
  }

 private:
  std::uint32_t frame(const PhysicalPlan& plan, std::uint32_t caller, const std::string& path,
                      const Estimate& runs, const Value* params, std::vector<Value> run_params,
                      std::uint32_t depth) {
    static const CountedItems kNone;
    const auto number = static_cast<std::uint32_t>(tree_.frames.size());
    tree_.frames.push_back({.plan = &plan, .caller = caller, .runs = runs.middle});
    tree_.frames.back().nodes.resize(plan.steps.size());
    KnownValues known(plan, params, depth == 0 ? &inputs_.drawn : nullptr);
    known.use_runs(std::move(run_params));
    std::vector<StepRows> rows =
        estimate_rows(plan, runs, known, observed_, depth == 0 ? inputs_.items : kNone);
    for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
      const auto node = static_cast<std::uint32_t>(tree_.nodes.size());
      tree_.frames[number].nodes[i] = node;
      add_node(number, plan.steps[i], path, std::move(rows[i]));
      cost_of_call(node, i, known);
      if (plan.steps[i].logical.op != OperatorKind::kPlan) continue;
      sub_plan(node, i, path, known, depth);
    }
    return number;
  }

  void add_node(std::uint32_t frame, const PhysicalStep& step, const std::string& path,
                StepRows rows) {
    StepEstimate estimate;
    estimate.id = path + step.logical.id;
    estimate.rows = rows.rows;
    estimate.gives = rows.given;
    estimate.selectivity = rows.selectivity;
    estimate.conjuncts = rows.conjuncts;
    estimate.calls = rows.calls;
    estimate.distinct = rows.distinct;
    estimate.failure = rows.failure;
    for (Estimate* none : {&estimate.prompt_tokens, &estimate.completion_tokens, &estimate.call_s,
                           &estimate.busy_s, &estimate.usd, &estimate.task_s}) {
      *none = Estimate::exact(0);
    }
    CostNode node;
    node.step = &step;
    node.frame = frame;
    const double runs = tree_.frames[frame].runs;
    node.asked_in_run = runs > 0 ? rows.asked.middle / runs : 0;
    node.rows = std::move(rows);
    tree_.nodes.push_back(std::move(node));
    tree_.steps.push_back(std::move(estimate));
  }

  void sub_plan(std::uint32_t node, std::uint32_t index, const std::string& path,
                KnownValues& known, std::uint32_t depth) {
    const PhysicalStep& step = *tree_.nodes[node].step;
    const bool fits = step.plan != nullptr && depth < kMostDepth &&
                      tree_.nodes.size() + step.plan->steps.size() <= kMostNodes;
    if (!fits) {
      tree_.steps[node].task_s =
          Estimate::rough(cost_defaults().produced_calls * cost_defaults().model_s);
      return;
    }
    const Value params = known.sub_params(index);
    const StepRows& rows = tree_.nodes[node].rows;
    const Estimate runs = rows.asked.times(rows.rounds);
    const std::string inner = path + step.logical.id + "/";
    const std::uint32_t child =
        frame(*step.plan, node, inner, runs, &params, known.sub_runs(index), depth + 1);
    tree_.nodes[node].child = child;
  }

  // ---- one call ----
  void cost_of_call(std::uint32_t node, std::uint32_t index, KnownValues& known) {
    const PhysicalStep& step = *tree_.nodes[node].step;
    StepEstimate& made = tree_.steps[node];
    switch (step.logical.op) {
      case OperatorKind::kLlm:
        model_call(node, index, known);
        break;
      case OperatorKind::kTool:
        plain_call(node, cost_defaults().tool_s,
                   step.resource_limit > 0 ? step.resource_limit : kToolPlaces);
        break;
      case OperatorKind::kCode:
        plain_call(node, cost_defaults().code_s, std::max<double>(inputs_.code_parallel, 1));
        break;
      case OperatorKind::kValue:
      case OperatorKind::kTable:
        made.task_s = Estimate::exact(cost_defaults().value_s);
        return;
      case OperatorKind::kWait:
        made.task_s = wait_s(node, index, known);
        return;
      case OperatorKind::kPlan:
        return;
    }
    made.busy_s = total_of(made.calls, made.call_s);
    made.task_s = made.call_s * tree_.nodes[node].rows.calls_per_task;
  }

  // What nobody knows counts as nothing, and is told beside the sum.
  Estimate wait_s(std::uint32_t node, std::uint32_t index, KnownValues& known) {
    const auto length = wait_length_s(*tree_.nodes[node].step, index, known, inputs_.now);
    tree_.steps[node].unknown_wait = !length && tree_.nodes[node].rows.asked.middle > 0;
    return length.value_or(Estimate());
  }

  void plain_call(std::uint32_t node, double supposed_s, double places) {
    const PhysicalStep& step = *tree_.nodes[node].step;
    const auto seen = observed_.find(step.step_hash).distribution(&StepStatistics::seconds);
    tree_.steps[node].call_s = seen ? *seen : Estimate::rough(supposed_s);
    use(node, step.resource, nullptr, places);
  }

  void model_call(std::uint32_t node, std::uint32_t index, KnownValues& known) {
    const PhysicalStep& step = *tree_.nodes[node].step;
    StepEstimate& made = tree_.steps[node];
    const auto found = inputs_.models.find(step.logical.target);
    const ModelCost* model = found == inputs_.models.end() ? nullptr : &found->second;
    const Observed::Of& observed = observed_.find(step.step_hash);
    prompt(node, index, known, model);
    const auto written = observed.distribution(&StepStatistics::completion_tokens);
    made.completion_tokens = written ? *written : answer(step, model);
    double places = model == nullptr ? ModelCost().parallel : std::max(model->parallel, 1U);
    if (step.resource_limit > 0) places = std::min<double>(places, step.resource_limit);
    use(node, step.resource, model, places);
    money(node, model, observed);
    if (model != nullptr && model->instance) {
      made.call_s = alone_s(*model->instance, made);
      return;
    }
    const auto seen = observed.distribution(&StepStatistics::seconds);
    made.call_s = seen ? *seen : Estimate::rough(cost_defaults().model_s);
  }

  void prompt(std::uint32_t node, std::uint32_t index, KnownValues& known, const ModelCost* model) {
    const PhysicalStep& step = *tree_.nodes[node].step;
    StepEstimate& made = tree_.steps[node];
    const Observed::Of& observed = observed_.find(step.step_hash);
    if (auto seen = observed.distribution(&StepStatistics::prompt_tokens)) {
      made.prompt_tokens = *seen;
      const StepStatistics* of =
          observed.best([](const StepStatistics& all) { return all.prompt_tokens.count(); });
      const double part = std::min(
          1.0, static_cast<double>(of->shared_tokens) / std::max(1.0, of->prompt_tokens.sum()));
      tree_.nodes[node].prefix_tokens = seen->middle * part;
      return;
    }
    const PromptTokens counted = prompt_tokens(step, index, known, model);
    made.prompt_tokens = counted.tokens;
    tree_.nodes[node].prefix_tokens = std::min(counted.prefix, counted.tokens.middle);
  }

  // What an answer will have where none was seen: its schema's, and what the step allows at most.
  static Estimate answer(const PhysicalStep& step, const ModelCost* model) {
    std::optional<double> shaped;
    if (step.logical.output) shaped = answer_tokens(step.logical.output->source());
    Estimate tokens = Estimate::rough(shaped.value_or(cost_defaults().completion_tokens));
    std::optional<double> most = constant_number(step.logical.with.find("max_tokens"));
    if (!most && model != nullptr) most = model->max_tokens;
    return most ? tokens.at_most(*most) : tokens;
  }

  static Estimate alone_s(const InstanceCost& cost, const StepEstimate& made) {
    const auto seconds = [&cost](double prompt, double completion) {
      return cost.prefill_s(0, whole_tokens(prompt)) +
             cost.decode_s(whole_tokens(prompt), whole_tokens(completion), 0);
    };
    return {seconds(made.prompt_tokens.middle, made.completion_tokens.middle),
            seconds(made.prompt_tokens.low, made.completion_tokens.low),
            seconds(made.prompt_tokens.high, made.completion_tokens.high),
            std::max(made.prompt_tokens.source, made.completion_tokens.source)};
  }

  void money(std::uint32_t node, const ModelCost* model, const Observed::Of& observed) {
    StepEstimate& made = tree_.steps[node];
    // Tokens as they were, at the price of today; what was paid then is all that is known of a
    // model that is not.
    if (model != nullptr) {
      const Estimate call = made.prompt_tokens.times(model->usd_per_prompt_token) +
                            made.completion_tokens.times(model->usd_per_completion_token);
      made.usd = total_of(made.calls, call);
      return;
    }
    const StepStatistics* seen =
        observed.best([](const StepStatistics& all) { return all.usd > 0 ? all.calls : 0; });
    if (seen == nullptr) return;
    const double each = seen->usd / static_cast<double>(seen->calls);
    made.usd = made.calls * Estimate{each, each, each, observed.source(seen)};
  }

  // ---- resources ----
  void use(std::uint32_t node, const std::string& name, const ModelCost* model, double places) {
    const auto [at, is_new] =
        numbers_.emplace(name, static_cast<std::uint32_t>(tree_.resources.size()));
    places = std::min(places, concurrency_);
    if (is_new) {
      tree_.resources.push_back({.name = name, .model = model, .parallel = places});
    }
    CostNode& using_it = tree_.nodes[node];
    using_it.resource = at->second;
    CostResource& resource = tree_.resources[at->second];
    resource.parallel = std::max(resource.parallel, places);
    resource.calls += tree_.steps[node].calls.middle;
    using_it.places = places;
    if (using_it.step->logical.concurrency) {
      using_it.places = std::min<double>(places, std::max(*using_it.step->logical.concurrency, 1U));
    }
  }

  const CostInputs& inputs_;
  Observed observed_;
  double concurrency_ = 64;
  CostTree tree_;
  NameMap<std::uint32_t> numbers_;
};

}  // namespace

std::uint64_t whole_tokens(double tokens) {
  return static_cast<std::uint64_t>(std::llround(std::clamp(tokens, 0.0, 1e9)));
}

CostTree unfold_costs(const PhysicalPlan& plan, const CostInputs& inputs, double runs) {
  return Unfolder(inputs).unfold(plan, runs);
}

}  // namespace sluice
