#include "host/runs/adaptive_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "cost/conditions.h"
#include "host/runs/batch_plan.h"
#include "plan/physical_codec.h"

namespace sluice {
namespace {

constexpr double kWorthIt = 0.98;     // of the work with the form that there is
constexpr std::size_t kMostTold = 2;  // conditions, and steps
constexpr std::size_t kLongestText = 80;

bool outside(const Estimate& now, const Estimate& expected) {
  if (now.source != EstimateSource::kSample) return false;
  return now.middle < expected.low || now.middle > expected.high;
}

// Whether what was seen leaves the range of what was expected anywhere.
bool leaves_range(const PlanEstimate& expected, const PlanEstimate& seen) {
  return std::ranges::any_of(seen.steps, [&expected](const StepEstimate& now) {
    const StepEstimate* was = expected.find(now.id);
    if (was == nullptr) return false;
    for (std::size_t i = 0; i < now.conjuncts.size() && i < was->conjuncts.size(); ++i) {
      if (outside(now.conjuncts[i], was->conjuncts[i])) return true;
    }
    return outside(now.call_s, was->call_s) ||
           outside(now.completion_tokens, was->completion_tokens) ||
           outside(now.prompt_tokens, was->prompt_tokens);
  });
}

double work_of(const PlanEstimate& estimate) {
  double seconds = 0;
  for (const StepEstimate& step : estimate.steps) seconds += step.busy_s.middle;
  return seconds;
}

// What a plan does, without advice on when to do it.
std::shared_ptr<PhysicalPlan> bare(const PhysicalPlan& plan) {
  auto copy = std::make_shared<PhysicalPlan>(plan);
  copy->plan_hash = {};
  for (PhysicalStep& step : copy->steps) {
    step.advice = {};
    step.rank = 0;
    if (step.plan) step.plan = bare(*step.plan);
  }
  return copy;
}

bool same_work(const PhysicalPlan& a, const PhysicalPlan& b) {
  return encode_physical(*bare(a)) == encode_physical(*bare(b));
}

// A pass that may change results gives a step another hash. Such passes weigh by estimates as
// others do, and may find more to change by what rows have shown: but how much they change was
// measured for what they found before, and all rows are done in one way.
bool equal_results(const PhysicalPlan& a, const PhysicalPlan& b) {
  return std::ranges::all_of(a.steps, [&b](const PhysicalStep& step) {
    const auto other = std::ranges::find_if(
        b.steps, [&step](const PhysicalStep& each) { return each.logical.id == step.logical.id; });
    if (other == b.steps.end()) return true;
    const bool inside =
        step.plan == nullptr || other->plan == nullptr || equal_results(*step.plan, *other->plan);
    return inside && step.step_hash == other->step_hash;
  });
}

// Folds of the trace tell plans apart by their hashes, and steps by their places.
std::shared_ptr<PhysicalPlan> named_form(const PhysicalPlan& plan, std::uint64_t number) {
  auto copy = std::make_shared<PhysicalPlan>(plan);
  copy->plan_hash = Hasher().field("form of").field(plan.plan_hash).field(number).finish();
  for (PhysicalStep& step : copy->steps) {
    if (step.plan) step.plan = named_form(*step.plan, number);
  }
  return copy;
}

std::string short_text(std::string text) {
  if (text.size() <= kLongestText) return text;
  std::size_t end = kLongestText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

// As they were written, wherever a pass has moved them.
std::vector<std::string> conditions_of_step(const PhysicalStep& step) {
  if (!step.when || step.when->binding.kind != Binding::Kind::kExpr) return {};
  std::vector<std::string> texts = step.when->binding.expr.conjuncts();
  for (std::string& text : texts) text = demanded(text);
  return texts;
}

void add(std::string& text, std::string_view between, const std::string& more) {
  if (!text.empty()) text += between;
  text += more;
}

// "steps.a.output == 'yes' holds for 10% (50% was expected)"
std::string what_was_seen(const PhysicalPlan& form, std::string_view row,
                          const PlanEstimate& expected, const PlanEstimate& seen) {
  std::string text;
  std::size_t told = 0;
  std::vector<std::string> known;
  for (const PhysicalStep& step : form.steps) {
    const std::string id = fmt::format("{}/{}", row, step.logical.id);
    const StepEstimate* now = seen.find(id);
    const StepEstimate* was = expected.find(id);
    if (now == nullptr || was == nullptr) continue;
    const std::vector<std::string> texts = conditions_of_step(step);
    const std::size_t count =
        std::min({texts.size(), now->conjuncts.size(), was->conjuncts.size()});
    for (std::size_t i = 0; i < count && told < kMostTold; ++i) {
      if (!outside(now->conjuncts[i], was->conjuncts[i])) continue;
      if (std::ranges::find(known, texts[i]) != known.end()) continue;
      known.push_back(texts[i]);
      add(text, ", ",
          fmt::format("{} holds for {:.0f}% ({:.0f}% was expected)", short_text(texts[i]),
                      100 * now->conjuncts[i].middle, 100 * was->conjuncts[i].middle));
      ++told;
    }
  }
  return text.empty() ? "calls cost other than was expected" : text;
}

// "b is done only where steps.a.output == 'yes'"
std::string what_changes(const PhysicalPlan& before, const PhysicalPlan& after) {
  std::string text;
  std::size_t told = 0;
  for (const PhysicalStep& step : after.steps) {
    const auto old = std::ranges::find_if(before.steps, [&step](const PhysicalStep& other) {
      return other.logical.id == step.logical.id;
    });
    if (old == before.steps.end() || told == kMostTold) continue;
    const std::vector<std::string> now = conditions_of_step(step);
    const std::vector<std::string> was = conditions_of_step(*old);
    if (now == was) continue;
    ++told;
    std::string conditions;
    for (const std::string& condition : now) add(conditions, " and ", condition);
    add(text, "; ",
        now.empty()
            ? fmt::format("{} is done for all", step.logical.id)
            : fmt::format("{} is done only where {}", step.logical.id, short_text(conditions)));
  }
  return text.empty() ? "the steps of a row are done otherwise" : text;
}

}  // namespace

std::optional<std::uint32_t> AdaptiveRows::rows_step(const PhysicalPlan& plan) {
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    const PhysicalStep& step = plan.steps[i];
    const bool rows = step.logical.id == kBatchRowStep && step.mapped &&
                      step.logical.op == OperatorKind::kPlan && step.plan != nullptr;
    if (rows) return i;
  }
  return std::nullopt;
}

AdaptiveRows::AdaptiveRows(PhysicalPlanPtr plan, std::uint32_t step, PlanEstimate expected)
    : written_(std::move(plan)),
      step_(step),
      form_(written_->steps[step].plan),
      expected_(std::move(expected)) {}

void AdaptiveRows::take_form(PhysicalPlanPtr form) {
  form_ = std::move(form);
  ++forms_;
}

void AdaptiveRows::on_trace(const TraceEvent& event) {
  if (event.kind == TraceKind::kRecoveryBegan) recovering_ = true;
  if (event.kind == TraceKind::kRecovered) recovering_ = false;
  const TaskRef& task = event.call.task;
  if (recovering_ || event.step == nullptr || task.frame != 0 || task.step != step_) return;
  const bool ended = event.kind == TraceKind::kTaskDone || event.kind == TraceKind::kTaskFailed ||
                     event.kind == TraceKind::kTaskSkipped;
  if (ended && task.item != kNoIndex) ++rows_;
}

PhysicalPlanPtr AdaptiveRows::plan() const {
  if (forms_ == 0) return written_;
  auto now = std::make_shared<PhysicalPlan>(*written_);
  now->steps[step_].plan = form_;
  return now;
}

std::optional<AdaptiveRows::Replan> AdaptiveRows::look(const OptimizerInput& input) {
  next_look_ = std::max(2 * next_look_, rows_ + kFirstLook);
  PlanEstimate seen = estimate_plan(*plan(), input.cost);
  if (!leaves_range(expected_, seen)) return std::nullopt;
  auto made = optimize_plan(input);
  if (!made) return std::nullopt;  // it was optimized before: the rows go on as they are
  const std::string& id = written_->steps[step_].logical.id;
  const auto found = std::ranges::find_if(
      made->physical->steps, [&id](const PhysicalStep& step) { return step.logical.id == id; });
  const bool fits = found != made->physical->steps.end() && found->plan != nullptr &&
                    found->plan->logical == form_->logical && equal_results(*found->plan, *form_);
  if (!fits || same_work(*found->plan, *form_) || work_of(made->after) > kWorthIt * work_of(seen)) {
    expected_ = std::move(seen);
    return std::nullopt;
  }
  Replan replan;
  replan.step = step_;
  replan.why = fmt::format("{}: {}", what_was_seen(*form_, id, expected_, seen),
                           what_changes(*form_, *found->plan));
  replan.plan = named_form(*found->plan, ++forms_);
  form_ = replan.plan;
  expected_ = std::move(made->after);
  return replan;
}

}  // namespace sluice
