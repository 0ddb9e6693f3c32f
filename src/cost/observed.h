// What earlier runs, and the first rows of this one, have shown of a step or a condition. A sample
// of this very run's rows goes first once it has shown enough, then history, then a smaller sample.
// One thread; lives as long as one estimate is made.
#pragma once

#include <map>
#include <optional>

#include "cost/estimate.h"
#include "cost/plan_cost.h"
#include "cost/step_statistics.h"

namespace sluice {

class Observed {
 public:
  static constexpr std::uint64_t kEnoughSample = 8;

  struct Of {
    std::optional<StepStatistics> history;
    const StepStatistics* sample = nullptr;

    // The one that has shown enough of what `count` counts; null: neither has shown any.
    const StepStatistics* best(std::uint64_t (*count)(const StepStatistics&)) const;
    EstimateSource source(const StepStatistics* of) const {
      return of == sample ? EstimateSource::kSample : EstimateSource::kHistory;
    }
    std::optional<Estimate> distribution(QuantileSketch StepStatistics::* member) const;
    // part / whole, as an estimate of a probability.
    std::optional<Estimate> share(std::uint64_t StepStatistics::* part,
                                  std::uint64_t StepStatistics::* whole) const;
  };

  explicit Observed(const CostInputs& inputs) : inputs_(inputs) {}
  const Of& find(const Hash256& meaning);

 private:
  const CostInputs& inputs_;
  std::map<Hash256, Of> found_;
};

// A probability of which `held` of `seen` tries are known, with its quartiles; `prior` tries beside
// them held in the part `expected`.
Estimate probability(double held, double seen, double expected, double prior,
                     EstimateSource source);

}  // namespace sluice
