#include "cli/batch/batch_quality.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/terminal.h"
#include "data/json.h"
#include "host/history/quality_store.h"
#include "host/runs/quality_run.h"

namespace sluice::cli {
namespace {

// Holds measuring to the budget of the batch.
class Spending final : public RunObserver {
 public:
  explicit Spending(BudgetKeeper& budget) : budget_(budget) {}

  void on_trace(const TraceEvent& event) override {
    if (event.kind == TraceKind::kRunStarted) budget_.measured();  // the second of both runs
    budget_.on_trace(event);
  }
  void on_optimized(const OptimizedPlan& plan) override { budget_.expect(plan.after); }
  bool lets_call(const StartCall& start) override {
    stopped_ = stopped_ || !budget_.lets(start);
    return !stopped_;
  }
  void on_tick(const RunSummary&, const EngineStats&, SteadyNs now) override {
    stopped_ = stopped_ || budget_.time_is_over(now);
  }
  bool wants_stop() const override { return stopped_; }

 private:
  BudgetKeeper& budget_;
  bool stopped_ = false;
};

// One question from what is known to what is to be done.
class Deciding {
 public:
  explicit Deciding(const QualityQuestion& question)
      : question_(question),
        rows_(identity_of_rows(question.batch, question.input_sha256, question.rows)) {
    made_.optimizer = question.settings.optimizer;
  }

  QualityDecision run() {
    passes_ = approximate_passes(*question_.plan, made_.optimizer);
    if (passes_.empty()) return std::move(made_);
    if (question_.options.sample == 0) {
      return as_allowed("results may differ: it was asked not to measure that");
    }
    if (const std::string why = why_not_twice(*question_.plan); !why.empty()) {
      return as_allowed(fmt::format("results may differ, and that cannot be measured: {}", why));
    }
    if (question_.rows <= question_.options.sample) {
      return exact("there are no more rows than would be measured");
    }
    const auto known = known_quality(question_.plan, made_.optimizer, question_.settings, rows_);
    if (known && known->measured && is_enough(known->measured->agreement)) {
      if (!known->measured->passes.empty()) say(quality_line(*known) + "\n");
      return by_what_was_measured(*known->measured);
    }
    return measure();
  }

 private:
  // Of as many rows as are asked for.
  bool is_enough(const Agreement& agreement) const {
    return agreement.rows + agreement.failed >= question_.options.sample;
  }

  void say(const std::string& text) const {
    if (!question_.output.quiet && !question_.output.json) write_err(text);
  }

  // What a person should know whatever else is quiet.
  void warn(const std::string& text) const {
    if (!question_.output.json) write_err(text);
  }

  std::string names() const { return fmt::format("{}", fmt::join(passes_, ", ")); }

  QualityDecision as_allowed(const std::string& why) {
    made_.remark = fmt::format("note: {}: {}\n", names(), why);
    say(made_.remark);
    return std::move(made_);
  }

  QualityDecision exact(const std::string& why) {
    made_.optimizer = with_equal_results(std::move(made_.optimizer));
    made_.remark = fmt::format("note: done exactly, without {}: {}\n", names(), why);
    warn(made_.remark);
    return std::move(made_);
  }

  // Only what was measured is let: passes decide by estimates, and may find more to change in all
  // rows than they found in the sample.
  QualityDecision by_what_was_measured(const MeasuredQuality& measured) {
    const Agreement& agreement = measured.agreement;
    if (measured.passes.empty()) {
      return exact(fmt::format("in a sample of {} they found nothing to change",
                               plural(agreement.rows + agreement.failed, "row")));
    }
    if (agreement.share() < question_.options.least) {
      return exact(fmt::format("{} is below {:.2f} (--least-agreement)", agreement_text(agreement),
                               question_.options.least));
    }
    for (const std::string& pass : passes_) {
      if (std::ranges::find(measured.passes, pass) != measured.passes.end()) continue;
      made_.optimizer.without.insert(pass);
      say(fmt::format("{} found nothing to change in the sample and is left away\n", pass));
    }
    made_.measured = measured.changes;
    made_.remark = fmt::format("note: results may differ with {}: {}\n",
                               fmt::join(measured.passes, ", "), agreement_text(agreement));
    return std::move(made_);
  }

  // Nothing of the batch is done any more.
  QualityDecision out_of_budget() {
    made_.interrupted = made_.spent = true;
    warn(
        fmt::format("stopped while quality was measured, before the budget is exceeded ({}); "
                    "nothing of the batch was done\n"
                    "next: a larger --budget, a smaller --quality-sample, or exactly: --without "
                    "{}\n",
                    question_.budget.words(), fmt::join(passes_, ",")));
    return std::move(made_);
  }

  QualityDecision measure() {
    say(fmt::format("measuring {} on {} of {} rows, exactly and as allowed\n", names(),
                    count_text(question_.options.sample), count_text(question_.rows)));
    RunWatcher watcher(question_.output, terminal_of(2));
    Spending spending(question_.budget);
    const QualityRequest request{question_.batch, question_.rows, question_.options.sample,
                                 &spending};
    auto outcome = measure_quality(request, question_.settings, watcher);
    watcher.finish();
    // Whatever keeps the sample from running keeps the batch from it, which tells it.
    if (!outcome) return exact("the sample could not be run");
    question_.budget.measured();
    if (question_.output.json) {
      (void)write_out(watcher.clean(to_json(quality_event(*outcome))) + "\n");
    }
    if (outcome->interrupted) {
      made_.interrupted = true;
      warn("interrupted while quality was measured; nothing of the batch was done\n");
      return std::move(made_);
    }
    if (outcome->stopped) return out_of_budget();
    if (!outcome->measured && !outcome->unchanged) return exact(watcher.clean(outcome->why_not));
    if (outcome->measured) say(watcher.clean(quality_report(*outcome->measured)));
    const MeasuredQuality& told = outcome->measured ? *outcome->measured : *outcome->unchanged;
    const std::string problem = keep_quality(question_.plan, question_.settings, rows_, told);
    if (!problem.empty()) say(fmt::format("note: {}\n", problem));
    return by_what_was_measured(told);
  }

  const QualityQuestion& question_;
  const std::string rows_;
  QualityDecision made_;
  std::vector<std::string> passes_;
};

}  // namespace

void add_quality_options(CLI::App& app, QualityOptions& options) {
  app.add_option("--quality-sample", options.sample,
                 "Of a plan with `allow`: rows on which it is measured how much results differ "
                 "(default: 20; 0 measures nothing)")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{10'000}))
      ->type_name("N");
  app.add_option(
         "--least-agreement", options.least,
         "Of a plan with `allow`: the share of equal rows below which the plan runs exactly "
         "(default: 0.9)")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
}

std::optional<AllowedQuality> known_quality(const PlanPtr& plan, const OptimizerSettings& optimizer,
                                            const RunSettings& settings, const std::string& rows) {
  AllowedQuality known;
  known.passes = approximate_passes(*plan, optimizer);
  if (known.passes.empty()) return std::nullopt;
  if (auto key = quality_key(plan, optimizer, settings.models, settings.work_dir)) {
    key->rows = rows;
    QualityStore store(settings.cache_dir, system_clock());
    known.measured = store.find(*key);
  }
  return known;
}

std::string keep_quality(const PlanPtr& plan, const RunSettings& settings, const std::string& rows,
                         const MeasuredQuality& measured) {
  auto key = quality_key(plan, settings.optimizer, settings.models, settings.work_dir);
  if (!key) return "";
  key->rows = rows;
  QualityStore store(settings.cache_dir, system_clock());
  store.put(*key, measured);
  return store.problem();
}

QualityDecision decide_quality(const QualityQuestion& question) { return Deciding(question).run(); }

}  // namespace sluice::cli
