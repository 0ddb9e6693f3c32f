#include "cost/observed.h"

#include <algorithm>
#include <cmath>

namespace sluice {

Estimate probability(double held, double seen, double expected, double prior,
                     EstimateSource source) {
  constexpr double kQuartile = 0.674;  // of the normal distribution, in standard deviations
  const double weight = seen + prior;
  const double middle = weight > 0 ? (held + expected * prior) / weight : expected;
  const double spread = kQuartile * std::sqrt(middle * (1 - middle) / (weight + 1));
  return {middle, std::max(0.0, middle - spread), std::min(1.0, middle + spread), source};
}

const StepStatistics* Observed::Of::best(std::uint64_t (*count)(const StepStatistics&)) const {
  const std::uint64_t sampled = sample == nullptr ? 0 : count(*sample);
  if (sampled >= kEnoughSample) return sample;
  if (history && count(*history) > 0) return &*history;
  return sampled > 0 ? sample : nullptr;
}

std::optional<Estimate> Observed::Of::distribution(QuantileSketch StepStatistics::* member) const {
  const std::uint64_t sampled = sample == nullptr ? 0 : (sample->*member).count();
  const bool known = history && ((*history).*member).count() > 0;
  const bool from_sample = sampled >= kEnoughSample || (sampled > 0 && !known);
  if (!from_sample && !known) return std::nullopt;
  const QuantileSketch& sketch = from_sample ? sample->*member : (*history).*member;
  return Estimate{sketch.mean(), sketch.quantile(0.25), sketch.quantile(0.75),
                  from_sample ? EstimateSource::kSample : EstimateSource::kHistory};
}

std::optional<Estimate> Observed::Of::share(std::uint64_t StepStatistics::* part,
                                            std::uint64_t StepStatistics::* whole) const {
  const std::uint64_t sampled = sample == nullptr ? 0 : sample->*whole;
  const bool known = history && (*history).*whole > 0;
  const bool from_sample = sampled >= kEnoughSample || (sampled > 0 && !known);
  if (!from_sample && !known) return std::nullopt;
  const StepStatistics& of = from_sample ? *sample : *history;
  return probability(static_cast<double>(of.*part), static_cast<double>(of.*whole),
                     cost_defaults().selectivity, 2,
                     from_sample ? EstimateSource::kSample : EstimateSource::kHistory);
}

const Observed::Of& Observed::find(const Hash256& meaning) {
  const auto [at, is_new] = found_.try_emplace(meaning);
  if (!is_new) return at->second;
  if (inputs_.history != nullptr) at->second.history = inputs_.history->find(meaning);
  if (inputs_.sample != nullptr) {
    auto sampled = inputs_.sample->find(meaning);
    if (sampled != inputs_.sample->end()) at->second.sample = &sampled->second;
  }
  return at->second;
}

}  // namespace sluice
