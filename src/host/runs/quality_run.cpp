#include "host/runs/quality_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/clock.h"
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
  SampleObserver(RunObserver& outer, bool only_changed)
      : outer_(outer), only_changed_(only_changed) {}

  void use_redactor(const Redactor* redactor) override { outer_.use_redactor(redactor); }
  void on_trace(const TraceEvent&) override {}
  void on_optimized(const OptimizedPlan& plan) override {
    passes_ = approximate_passes(plan.notes);
    unchanged_ = passes_.empty();
  }
  void on_interrupt(int times) override {
    interrupted_ = true;
    outer_.on_interrupt(times);
  }
  void on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) override {
    outer_.on_tick(so_far, engines, now);
  }
  bool wants_stop() const override { return only_changed_ && unchanged_; }

  const std::vector<std::string>& passes() const { return passes_; }
  bool interrupted() const { return interrupted_; }

 private:
  RunObserver& outer_;
  bool only_changed_;
  bool unchanged_ = false;
  bool interrupted_ = false;
  std::vector<std::string> passes_;
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
    SampleObserver exactly_done(observer_, false);
    auto exact = one_way(exactly(settings_.optimizer), exactly_done, made);
    if (!exact) return std::unexpected(std::move(exact.error()));
    if (!*exact) return made;
    SampleObserver as_allowed(observer_, true);
    auto allowed = one_way(settings_.optimizer, as_allowed, made);
    if (!allowed) return std::unexpected(std::move(allowed.error()));
    if (as_allowed.wants_stop()) {
      made.why_not = "the passes that the plan allows found nothing to change";
      made.nothing_to_do = true;
      made.interrupted = as_allowed.interrupted();
    }
    if (!*allowed) return made;
    compare(**exact, **allowed, as_allowed.passes(), made);
    return made;
  }

 private:
  std::string why_not() const {
    if (approximate_passes(*request_.batch.plan, settings_.optimizer).empty()) {
      return "no pass that may change results is allowed and switched on";
    }
    if (request_.rows == 0 || request_.sample == 0) return "there are no rows to measure it on";
    return why_not_twice(*request_.batch.plan);
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
    made.why_not = fmt::format("the sample ended early: {}",
                               report->outcome.errors.empty()
                                   ? std::string(run_status_name(report->outcome.status))
                                   : report->outcome.errors.front().to_string());
    return std::nullopt;
  }

  void compare(const Side& exact, const Side& allowed, const std::vector<std::string>& passes,
               QualityOutcome& made) const {
    std::vector<std::uint64_t> from_one;
    for (const std::uint64_t number : numbers_) from_one.push_back(number + 1);
    MeasuredQuality measured;
    measured.agreement = compare_rows(exact.rows, allowed.rows, from_one);
    measured.exact = exact.cost;
    measured.allowed = allowed.cost;
    measured.passes = passes;
    measured.measured_ns = system_clock().wall_ns();
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

std::string why_not_twice(const Plan& plan) {
  const auto tools = catalog_of(plan);
  return why_not_twice_within(plan, *tools);
}

std::expected<QualityOutcome, RunRefused> measure_quality(const QualityRequest& request,
                                                          const RunSettings& settings,
                                                          RunObserver& observer) {
  return Measurement(request, settings, observer).run();
}

}  // namespace sluice
