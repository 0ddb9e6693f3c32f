#include "host/runs/quality_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "data/hash.h"
#include "data/json.h"
#include "plan/references.h"
#include "plan/tool_catalog.h"
#include "tools/table/cell.h"
#include "tools/table/table_reader.h"

namespace sluice {
namespace {

// Passes on what a person follows, and keeps what passes did.
class SampleObserver final : public RunObserver {
 public:
  // `only_changed`: a run for which no approximate pass found anything does not begin.
  // `spending`: may be null.
  SampleObserver(RunObserver& outer, RunObserver* spending, bool only_changed)
      : outer_(outer), spending_(spending), only_changed_(only_changed) {}

  void use_redactor(const Redactor* redactor) override { outer_.use_redactor(redactor); }
  void on_trace(const TraceEvent& event) override {
    if (spending_ != nullptr) spending_->on_trace(event);
  }
  void on_optimized(const OptimizedPlan& plan) override {
    passes_ = approximate_passes(plan.notes);
    changes_ = approximate_changes(plan.notes);
    unchanged_ = only_changed_ && passes_.empty();
    if (spending_ != nullptr) spending_->on_optimized(plan);
  }
  void on_interrupt(int times) override {
    interrupted_ = true;
    outer_.on_interrupt(times);
  }
  void on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) override {
    outer_.on_tick(so_far, engines, now);
    if (spending_ != nullptr) spending_->on_tick(so_far, engines, now);
  }
  bool lets_call(const StartCall& start) override {
    return spending_ == nullptr || spending_->lets_call(start);
  }
  bool wants_stop() const override { return unchanged_ || stopped(); }

  const std::vector<std::string>& passes() const { return passes_; }
  const std::vector<std::string>& changes() const { return changes_; }
  bool unchanged() const { return unchanged_; }
  bool stopped() const { return spending_ != nullptr && spending_->wants_stop(); }
  bool interrupted() const { return interrupted_; }

 private:
  RunObserver& outer_;
  RunObserver* spending_;
  bool only_changed_;
  bool unchanged_ = false;
  bool interrupted_ = false;
  std::vector<std::string> passes_;
  std::vector<std::string> changes_;
};

// The chosen rows as the plan's parameters take them.
Result<std::vector<Value>> read_sample(const BatchSpec& spec,
                                       const std::vector<std::uint64_t>& numbers) {
  auto columns = table_columns_of(batch_columns(spec));
  if (!columns) return std::unexpected(columns.error());
  auto reader = open_table(spec.input);
  if (!reader) return std::unexpected(reader.error());
  std::vector<Value> rows;
  std::uint64_t at = 0;
  for (const std::uint64_t number : numbers) {
    for (; at < number; ++at) {
      auto there = (*reader)->skip();
      if (!there) return std::unexpected(there.error());
      if (!*there) return rows;
    }
    auto row = (*reader)->next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return rows;
    ++at;
    rows.push_back(read_row(*columns, **row, (*reader)->cells_are_text()));
  }
  return rows;
}

std::vector<RowOutcome> outcomes_of(const Value& result) {
  std::vector<RowOutcome> rows;
  if (!result.is_array()) return rows;
  for (const Value& value : result.items()) {
    const Value* error = value.find(kRowErrorKey);
    const bool failed = error != nullptr && value.members().size() == 1;
    if (!failed) {
      rows.push_back({value, std::nullopt});
      continue;
    }
    rows.push_back({Value(), error->is_string() ? std::string(error->as_string()) : "?"});
  }
  return rows;
}

SideCost cost_of(const RunSummary& summary) {
  SideCost cost;
  for (const StepSummary& step : summary.steps) {
    const bool calls =
        step.operator_name == "llm" || step.operator_name == "tool" || step.operator_name == "code";
    if (!calls) continue;
    cost.calls += step.calls - std::min(step.calls, step.cached);
    cost.earlier += step.earlier;
  }
  cost.tokens = summary.usage.tokens();
  cost.shared = summary.usage.cached_tokens;
  cost.usd = summary.usage.usd;
  cost.seconds = static_cast<double>(summary.end_ns - summary.start_ns) / kNsPerSecond;
  return cost;
}

// What one way through the sample gave.
struct Side {
  std::vector<RowOutcome> rows;
  SideCost cost;
};

class Measurement {
 public:
  Measurement(const QualityRequest& request, const RunSettings& settings, RunObserver& observer)
      : request_(request), settings_(settings), observer_(observer) {
    settings_.journal = nullptr;
    settings_.hold_rows_after = 0;
  }

  std::expected<QualityOutcome, RunRefused> run() {
    QualityOutcome made;
    made.why_not = why_not();
    if (!made.why_not.empty()) return made;
    numbers_ = spread_rows(request_.rows, request_.sample);
    auto rows = read_sample(request_.batch, numbers_);
    if (!rows) return refused(rows.error());
    numbers_.resize(rows->size());
    auto plan = make_sample_plan(request_.batch, *std::move(rows));
    if (!plan) return refused(plan.error());
    plan_ = *std::move(plan);
    // The exact one first: what the other one's passes expect then comes from these very rows.
    SampleObserver exactly_done(observer_, request_.spending, false);
    auto exact = one_way(exactly(settings_.optimizer), exactly_done, made);
    if (!exact) return std::unexpected(std::move(exact.error()));
    if (!*exact) return made;
    SampleObserver as_allowed(observer_, request_.spending, true);
    auto allowed = one_way(settings_.optimizer, as_allowed, made);
    if (!allowed) return std::unexpected(std::move(allowed.error()));
    if (as_allowed.unchanged()) {
      made.why_not = "the passes that the plan allows found nothing to change";
      made.interrupted = as_allowed.interrupted();
      if (!made.interrupted) made.unchanged = measured_of(**exact, **exact, as_allowed);
      return made;
    }
    if (!*allowed) return made;
    compare(**exact, **allowed, as_allowed, made);
    return made;
  }

 private:
  std::string why_not() const {
    std::string why = why_not_measured(*request_.batch.plan, settings_.optimizer);
    if (!why.empty()) return why;
    return request_.rows == 0 || request_.sample == 0 ? "there are no rows to measure it on" : "";
  }

  static std::unexpected<RunRefused> refused(Error error) {
    return std::unexpected(RunRefused{{}, std::move(error)});
  }

  // nullopt: it did not come to its end, and `made` says why.
  std::expected<std::optional<Side>, RunRefused> one_way(OptimizerSettings passes,
                                                         SampleObserver& watched,
                                                         QualityOutcome& made) {
    RunSettings settings = settings_;
    settings.optimizer = std::move(passes);
    const RunRequest request{plan_.plan, plan_.params, plan_.texts, std::nullopt, {}};
    auto report = run_plan(request, settings, watched);
    if (!report) return std::unexpected(std::move(report.error()));
    Side side{outcomes_of(report->outcome.result), cost_of(report->summary)};
    made.tokens += static_cast<double>(side.cost.tokens);
    made.usd += side.cost.usd;
    made.seconds += side.cost.seconds;
    if (report->outcome.status == RunStatus::kSucceeded) return side;
    made.interrupted = watched.interrupted();
    made.stopped = watched.stopped() && !made.interrupted;
    if (made.stopped) {
      made.why_not = "the sample ended early: it would cost more than may be spent";
      return std::nullopt;
    }
    made.why_not = fmt::format("the sample ended early: {}",
                               report->outcome.errors.empty()
                                   ? std::string(run_status_name(report->outcome.status))
                                   : report->outcome.errors.front().to_string());
    return std::nullopt;
  }

  MeasuredQuality measured_of(const Side& exact, const Side& allowed,
                              const SampleObserver& watched) const {
    std::vector<std::uint64_t> from_one;
    for (const std::uint64_t number : numbers_) from_one.push_back(number + 1);
    MeasuredQuality measured;
    measured.agreement = compare_rows(exact.rows, allowed.rows, from_one);
    measured.exact = exact.cost;
    measured.allowed = allowed.cost;
    measured.passes = watched.passes();
    measured.changes = watched.changes();
    measured.measured_ns = system_clock().wall_ns();
    return measured;
  }

  void compare(const Side& exact, const Side& allowed, const SampleObserver& watched,
               QualityOutcome& made) const {
    MeasuredQuality measured = measured_of(exact, allowed, watched);
    if (measured.agreement.rows == 0) {
      made.why_not = exact.rows.empty() || !exact.rows.front().error
                         ? "the sample has no rows"
                         : "every row of the sample failed: " + *exact.rows.front().error;
      return;
    }
    made.measured = std::move(measured);
  }

  const QualityRequest& request_;
  RunSettings settings_;
  RunObserver& observer_;
  std::vector<std::uint64_t> numbers_;  // of the rows, from 0
  BatchPlan plan_;
};

std::string why_not_twice_within(const Plan& plan, const ToolCatalog& tools) {
  for (const Step& step : plan.steps) {
    if (step.op == OperatorKind::kWait) return fmt::format("step {} waits", step.id);
    if (step.produced_plan) return fmt::format("step {} runs a plan that is not known", step.id);
    if (step.op == OperatorKind::kPlan) continue;  // its steps are looked at
    const Effect effect = effect_of(step, plan, tools);
    if (effect > Effect::kRead) {
      return fmt::format("step {} changes something ({}), and the sample would do that twice",
                         step.id, effect_name(effect));
    }
  }
  for (const auto& [id, inner] : plan.plans) {
    if (!inner) continue;
    const auto within = catalog_within(*inner, tools);
    std::string why = why_not_twice_within(*inner, *within);
    if (!why.empty()) return fmt::format("{} (in {})", why, id);
  }
  return "";
}

}  // namespace

std::string identity_of_rows(const BatchSpec& batch, std::string_view sha256, std::uint64_t rows) {
  Hasher hasher;
  hasher.field(sha256).field(static_cast<std::uint64_t>(batch.input.format));
  hasher.field(batch.input.query).field(batch.input.table).field(rows);
  hasher.field(content_hash(batch.fixed));
  return hasher.finish().hex();
}

std::string why_not_twice(const Plan& plan) {
  const auto tools = catalog_of(plan);
  return why_not_twice_within(plan, *tools);
}

std::string why_not_measured(const Plan& plan, const OptimizerSettings& settings) {
  if (!approximate_passes(plan, settings).empty()) return why_not_twice(plan);
  const auto allowed = allowed_passes(plan);
  const bool any = std::ranges::any_of(optimizer_passes(), [&](const PassInfo& pass) {
    return pass.kind == PassClass::kApproximate && allowed.contains(pass.name);
  });
  return any ? "every pass that may change results is switched off"
             : "the plan allows no pass that may change results (`allow: [NAME]`)";
}

std::expected<QualityOutcome, RunRefused> measure_quality(const QualityRequest& request,
                                                          const RunSettings& settings,
                                                          RunObserver& observer) {
  return Measurement(request, settings, observer).run();
}

}  // namespace sluice
