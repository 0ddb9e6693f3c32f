#include "cli/batch/batch_quality.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "cli/numbers_text.h"
#include "cli/terminal.h"
#include "data/json.h"
#include "host/history/quality_store.h"
#include "host/runs/quality_run.h"

namespace sluice::cli {
namespace {

// One question from what is known to what is to be done.
class Deciding {
 public:
  explicit Deciding(const QualityQuestion& question) : question_(question) {
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
    const auto known = known_quality(question_.plan, made_.optimizer, question_.settings);
    if (known && known->measured) {
      say(quality_line(*known) + "\n");
      return by_agreement(known->measured->agreement);
    }
    return measure();
  }

 private:
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
    made_.optimizer = exactly(std::move(made_.optimizer));
    made_.remark = fmt::format("note: done exactly, without {}: {}\n", names(), why);
    warn(made_.remark);
    return std::move(made_);
  }

  QualityDecision by_agreement(const Agreement& agreement) {
    if (agreement.share() < question_.options.least) {
      return exact(fmt::format("{} is below {:.2f} (--least-agreement)", agreement_text(agreement),
                               question_.options.least));
    }
    made_.remark =
        fmt::format("note: results may differ with {}: {}\n", names(), agreement_text(agreement));
    return std::move(made_);
  }

  QualityDecision measure() {
    say(fmt::format("measuring {} on {} of {} rows, exactly and as allowed\n", names(),
                    count_text(question_.options.sample), count_text(question_.rows)));
    RunWatcher watcher(question_.output, terminal_of(2));
    const QualityRequest request{question_.batch, question_.rows, question_.options.sample};
    auto outcome = measure_quality(request, question_.settings, watcher);
    watcher.finish();
    // Whatever keeps the sample from running keeps the batch from it, which tells it.
    if (!outcome) return exact("the sample could not be run");
    made_.tokens = outcome->tokens;
    made_.usd = outcome->usd;
    made_.seconds = outcome->seconds;
    if (question_.output.json) {
      (void)write_out(watcher.clean(to_json(quality_event(*outcome))) + "\n");
    }
    if (outcome->interrupted) {
      made_.interrupted = true;
      warn("interrupted while quality was measured; nothing of the batch was done\n");
      return std::move(made_);
    }
    if (outcome->nothing_to_do) {
      say(fmt::format("{}\n", outcome->why_not));
      return std::move(made_);
    }
    if (!outcome->measured) return exact(watcher.clean(outcome->why_not));
    say(watcher.clean(quality_report(*outcome->measured)));
    keep(*outcome->measured);
    return by_agreement(outcome->measured->agreement);
  }

  void keep(const MeasuredQuality& measured) const {
    const auto key =
        quality_key(question_.plan, question_.settings.optimizer, question_.settings.models);
    if (!key) return;
    QualityStore store(question_.settings.cache_dir, system_clock());
    store.put(*key, measured);
    if (const std::string problem = store.problem(); !problem.empty()) {
      say(fmt::format("note: {}\n", problem));
    }
  }

  const QualityQuestion& question_;
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
                                            const RunSettings& settings) {
  AllowedQuality known;
  known.passes = approximate_passes(*plan, optimizer);
  if (known.passes.empty()) return std::nullopt;
  if (const auto key = quality_key(plan, optimizer, settings.models)) {
    QualityStore store(settings.cache_dir, system_clock());
    known.measured = store.find(*key);
  }
  return known;
}

QualityDecision decide_quality(const QualityQuestion& question) { return Deciding(question).run(); }

}  // namespace sluice::cli
