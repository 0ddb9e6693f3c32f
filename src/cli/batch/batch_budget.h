// What may be spent on a batch, and when that is reached: what was used, and what the calls under
// way will probably use, which is set aside for them. So a batch goes beyond its budget seldom, by
// what calls under way take beyond that. Folds the run's trace, that of earlier processes
// too, and before it the traces of the runs that measured quality: a value, to be copied where the
// next run is watched. The run's thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cost/plan_cost.h"
#include "data/hash.h"
#include "host/runs/run_header.h"
#include "runtime/effect.h"
#include "runtime/trace.h"

namespace sluice::cli {

// "usd=5", "tokens=20000", "seconds=600"; kUsage.
Result<BatchBudget> parse_batch_budget(const std::vector<std::string>& texts);

class BudgetKeeper {
 public:
  // `anew`: what earlier processes of the run have used does not count.
  explicit BudgetKeeper(BatchBudget budget, bool anew = false) : budget_(budget), anew_(anew) {}

  // Of the plan that runs: what is set aside for calls of steps of which none has ended.
  void expect(const PlanEstimate& estimate);
  // The run is over; what it took was for measuring, and counts with that of the next one.
  void measured();
  // In place of the trace up to here: a run that was compacted.
  void restored(std::string_view folded);
  void on_trace(const TraceEvent& event);
  // Whether one more call of a step may be made: it is then counted as under way until the trace
  // tells of its end. Whether the time is over, `now` in the life of the run. Once the budget is
  // reached it stays so.
  bool lets(const PhysicalStep& step);
  bool lets(const StartCall& start);  // the same; tools that a model asks for are let
  bool time_is_over(SteadyNs now);
  const std::string& words() const { return words_; }  // which bound, and how far
  // What measuring took.
  double measured_tokens() const { return before_.tokens; }
  double measured_usd() const { return before_.usd; }
  double measured_seconds() const { return before_.seconds; }

 private:
  struct Spent {
    double tokens = 0, usd = 0, seconds = 0;
  };
  // Calls of one step.
  struct Asked {
    double expected_tokens = 0, expected_usd = 0;  // of a call, before one has ended
    std::uint64_t ended = 0, open = 0;
    double mean_tokens = 0, mean_usd = 0;
    double square_tokens = 0, square_usd = 0;  // sums of squared differences from the means
    double most_tokens = 0, most_usd = 0;
  };
  bool exceeded();
  Asked& asked(const PhysicalStep& step);
  void call_ended(const TraceEvent& event);
  double set_aside(double Asked::* expected, double Asked::* mean, double Asked::* square,
                   double Asked::* most) const;

  BatchBudget budget_;
  bool anew_;
  bool recovering_ = false;
  Spent before_;  // by runs that are over
  double used_tokens_ = 0, used_usd_ = 0;
  SteadyNs began_ = 0;  // the first call
  SteadyNs now_ = 0;    // as far as the run has come
  std::map<Hash256, Asked> steps_;
  std::map<std::string, std::pair<double, double>, std::less<>> expected_;  // tokens and usd
  std::string words_;
};

}  // namespace sluice::cli
