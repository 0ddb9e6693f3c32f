// The flow of optimizing: passes outside, the tree of plans inside. What the passes have made is
// verified once; where that fails it is done pass by pass, so that the error names the right one.
#include "optimize/optimizer.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/failpoint.h"
#include "fmt/format.h"
#include "optimize/pass.h"
#include "optimize/plan_node.h"
#include "plan/diagnostic.h"
#include "plan/lower.h"
#include "verify/verify.h"

namespace sluice {
namespace {

// A pass that changed something, and what it found.
struct Stage {
  const Pass* pass;
  std::vector<KeptNode> before;  // the outermost plan first
};

// A physical plan that may be written to, each plan inside once. `order`: innermost first.
class PhysicalCopy {
 public:
  std::shared_ptr<PhysicalPlan> of(const PhysicalPlan& plan) {
    if (auto found = known_.find(&plan); found != known_.end()) return found->second;
    auto made = std::make_shared<PhysicalPlan>(plan);
    for (PhysicalStep& step : made->steps) {
      if (step.plan) step.plan = of(*step.plan);
    }
    known_.emplace(&plan, made);
    order_.push_back(made.get());
    return made;
  }
  const std::vector<PhysicalPlan*>& order() const { return order_; }

 private:
  std::map<const PhysicalPlan*, std::shared_ptr<PhysicalPlan>> known_;
  std::vector<PhysicalPlan*> order_;
};

class Optimization {
 public:
  explicit Optimization(const OptimizerInput& input)
      : input_(input), root_(node_of(input.plan, input.tools, "")) {}

  Result<OptimizedPlan> run() {
    SteadyNs start = system_clock().steady_ns();
    auto written = lower_plan(input_.plan, input_.tools);
    if (!written) return std::unexpected(written.error());
    written_ = lowered_ = *std::move(written);
    meanings_.emplace(*written_, *root_);
    estimate();
    made_.before = root_->estimate;
    made_.physical = lowered_;
    if (!input_.settings.off) {
      auto rewritten = rewrite();
      if (!rewritten) return std::unexpected(rewritten.error());
      advise();
    }
    made_.rewritten = root_->now;
    made_.after = fewer_calls_ ? estimate_plan(*made_.physical, input_.cost) : root_->estimate;
    made_.seconds = static_cast<double>(system_clock().steady_ns() - start) / kNsPerSecond;
    return std::move(made_);
  }

 private:
  bool runs(const Pass& pass, const PlanNode& node) const {
    if (input_.settings.without.contains(pass.info.name)) return false;
    return pass.info.kind == PassClass::kExact || node.allowed.contains(pass.info.name);
  }

  void estimate() {
    PhysicalIndex physical;
    index_physical(*lowered_, physical);
    estimate_node(*root_, physical, input_.cost, 1);
  }

  void estimate_node(PlanNode& node, const PhysicalIndex& physical, const CostInputs& cost,
                     double rows) {
    auto found = physical.find(node.written.get());
    node.called = found != physical.end();
    if (!node.called) return;
    node.estimate = estimate_plan(*found->second, cost, rows);
    if (node.inside.empty()) return;
    CostInputs inner_cost = cost;
    inner_cost.params = nullptr;  // those are the outermost plan's
    inner_cost.items.clear();     // by the outermost plan's steps
    inner_cost.drawn.clear();
    for (auto& [at, inner] : node.inside) {
      double calls = 0;
      for (std::uint32_t i = 0; i < found->second->steps.size(); ++i) {
        const PhysicalStep& step = found->second->steps[i];
        if (!step.plan || step.plan->logical != inner->written) continue;
        inner_cost.run_params = params_of_runs(*found->second, i, cost);
        const StepEstimate* caller = node.estimate.find(step.logical.id);
        calls += caller ? caller->calls.middle : rows;
      }
      estimate_node(*inner, physical, inner_cost, calls);
    }
  }

  // Once more without a pass whose changes are taken back.
  Result<void> rewrite() {
    for (;;) {
      std::vector<Stage> stages;
      auto done = run_passes(stages);
      if (!done || stages.empty() || !misfit(*root_->now)) return done;
      auto again = blame(stages);
      if (!again) return again;
    }
  }

  Result<void> run_passes(std::vector<Stage>& stages) {
    Result<void> done;
    for (const Pass& pass : all_passes()) {
      if (!pass.rewrite) continue;
      if (auto why = taken_back_.find(pass.info.name); why != taken_back_.end()) {
        PassNotes(pass.info.name, "", made_.notes)
            .refused("", "left as written: the plan would not verify (" + why->second + ")");
        continue;
      }
      if ((pass.wants_estimate || new_steps_) && stale_ && !refresh(*stages.back().pass, done))
        return done;
      Stage stage{&pass, {}};
      keep_nodes(*root_, stage.before);
      if (!rewrite_node(pass, *root_, made_.notes)) continue;
      stages.push_back(std::move(stage));
      stale_ = true;
    }
    if (stale_) refresh(*stages.back().pass, done);
    return done;
  }

  // Lowers what the passes have made so far and estimates it. False where that cannot be done:
  // the passes end then, with `done` as their result. A plan that does not verify is none that
  // lowering has to blame a pass for.
  bool refresh(const Pass& last, Result<void>& done) {
    stale_ = new_steps_ = false;
    auto lowered = lower_plan(root_->now, input_.tools, &*meanings_);
    if (lowered) {
      lowered_ = *std::move(lowered);
      estimate();
      return true;
    }
    if (!misfit(*root_->now)) done = broken(last, lowered.error().to_string());
    return false;
  }

  static std::unexpected<Error> broken(const Pass& pass, std::string_view why) {
    return fail(ErrorCode::kInternal,
                fmt::format("the pass {0} made a plan that does not verify ({1}); run without it "
                            "(--without {0})",
                            pass.info.name, why));
  }

  // The plan does not verify: finds the pass that did it, and goes back to the plan as written
  // where that one may be left out.
  Result<void> blame(const std::vector<Stage>& stages) {
    for (std::size_t i = 0; i < stages.size(); ++i) {
      const Plan& after = i + 1 < stages.size() ? *stages[i + 1].before.front().now : *root_->now;
      std::optional<std::string> wrong = misfit(after);
      if (!wrong) continue;
      const Pass& pass = *stages[i].pass;
      if (!pass.take_back) return broken(pass, *wrong);
      taken_back_.emplace(pass.info.name, *std::move(wrong));
      take_back(stages.front().before);
      made_.notes.clear();
      lowered_ = written_;
      estimate();
      return {};
    }
    return fail(ErrorCode::kInternal, "a rewritten plan does not verify, and no pass did it");
  }

  // The first error of a rewritten plan that it did not have as written: a plan that a step
  // produced was verified within limits that are not known here.
  std::optional<std::string> misfit(const Plan& plan) const {
    const Diagnostics now = findings_of(plan);
    if (!now.has_errors()) return std::nullopt;
    const Diagnostics before = findings_of(*input_.plan);
    for (const Diagnostic& each : now.all()) {
      const bool known = std::ranges::any_of(before.all(), [&](const Diagnostic& other) {
        return other.code == each.code && other.message == each.message;
      });
      if (each.severity == Severity::kError && !known) {
        return format_diagnostic(each, input_.plan->files);
      }
    }
    return std::nullopt;
  }

  Diagnostics findings_of(const Plan& plan) const {
    Diagnostics findings;
    verify_plan({plan, input_.tools, nullptr}, findings);
    return findings;
  }

  static bool knows_params(const PlanNode& node) {
    return node.outermost || failpoint(Failpoint::kSubPlanGetsOuterParams);
  }

  // Plans inside first. True when something changed.
  bool rewrite_node(const Pass& pass, PlanNode& node, std::vector<PassNote>& notes) {
    if (!node.called) return false;
    const PlanPtr before = node.now;
    PlanPtr now = node.now;
    std::shared_ptr<Plan> with_inner;
    for (auto& [at, inner] : node.inside) {
      if (!rewrite_node(pass, *inner, notes)) continue;
      if (!with_inner) with_inner = std::make_shared<Plan>(*now);
      with_inner->plans[at].second = inner->now;
    }
    if (with_inner) {
      if (!with_inner->written) with_inner->written = node.written;
      now = with_inner;
    }
    node.now = std::move(now);
    if (runs(pass, node)) rewrite_one(pass, node, notes);
    return node.now != before;
  }

  void rewrite_one(const Pass& pass, PlanNode& node, std::vector<PassNote>& notes) {
    PlanDraft draft(*node.now, *node.tools);
    LogicalPassContext context{.draft = draft,
                               .tools = *node.tools,
                               .params = knows_params(node) ? input_.params : nullptr,
                               .estimate = node.estimate,
                               .notes = PassNotes(pass.info.name, node.path, notes),
                               .sub_plan = !node.outermost};
    pass.rewrite(context);
    if (!draft.changed()) return;
    remember_merged(draft, node);
    remember_inlined(draft, node);
    if (!draft.inlined().empty()) new_steps_ = true;
    if (pass.info.kind == PassClass::kApproximate) remember_reworded(draft, node);
    node.now = draft.take(node.written);
  }

  void advise() {
    PhysicalCopy copy;
    std::shared_ptr<PhysicalPlan> root = copy.of(*lowered_);
    for (PhysicalPlan* plan : copy.order()) identify(*plan, *meanings_);
    for (const Pass& pass : all_passes()) {
      if (!pass.advise) continue;
      for (PhysicalPlan* plan : copy.order()) {
        PlanNode& node = meanings_->node_of(*plan->logical);
        if (!runs(pass, node)) continue;
        PhysicalPassContext context{.plan = *plan,
                                    .tools = *node.tools,
                                    .estimate = node.estimate,
                                    .notes = PassNotes(pass.info.name, node.path, made_.notes),
                                    .history = input_.cost.history};
        pass.advise(context);
      }
    }
    tell_apart(copy.order(), *meanings_);
    for (const PhysicalPlan* plan : copy.order()) {
      const PlanEstimate& estimate = meanings_->node_of(*plan->logical).estimate;
      for (const PhysicalStep& step : plan->steps) {
        if (!step.advice.share_equal) continue;
        const StepEstimate* known = estimate.find(step.logical.id);
        fewer_calls_ = fewer_calls_ || known == nullptr || known->distinct.low < 1;
      }
    }
    made_.physical = std::move(root);
  }

  const OptimizerInput& input_;
  std::unique_ptr<PlanNode> root_;
  PhysicalPlanPtr written_;  // the user's plan, lowered
  std::optional<WrittenMeanings> meanings_;
  PhysicalPlanPtr lowered_;   // as the passes have left it so far
  bool stale_ = false;        // passes have changed the plan since it was lowered
  bool new_steps_ = false;    // among them some that the estimate does not know
  bool fewer_calls_ = false;  // by advice: what the estimates of the passes do not know
  std::map<std::string_view, std::string> taken_back_;  // passes, and why
  OptimizedPlan made_;
};

}  // namespace

PassNote& PassNotes::did(std::string_view step, std::string text) {
  PassNote note;
  note.pass = pass_;
  note.step = step.empty() ? path_.substr(0, path_.size() - (path_.empty() ? 0 : 1))
                           : path_ + std::string(step);
  note.text = std::move(text);
  into_.push_back(std::move(note));
  return into_.back();
}

PassNote& PassNotes::refused(std::string_view step, std::string why) {
  PassNote& note = did(step, std::move(why));
  note.refused = true;
  return note;
}

Result<OptimizedPlan> optimize_plan(const OptimizerInput& input) {
  return Optimization(input).run();
}

}  // namespace sluice
