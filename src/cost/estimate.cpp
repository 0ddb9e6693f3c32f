#include "cost/estimate.h"

#include <algorithm>
#include <cmath>

namespace sluice {

std::string_view estimate_source_name(EstimateSource source) {
  switch (source) {
    case EstimateSource::kExact:
      return "exact";
    case EstimateSource::kHistory:
      return "history";
    case EstimateSource::kSample:
      return "sample";
    case EstimateSource::kDefault:
      return "default";
  }
  return "unknown";
}

Estimate operator+(const Estimate& a, const Estimate& b) {
  return {a.middle + b.middle, a.low + b.low, a.high + b.high, std::max(a.source, b.source)};
}

Estimate operator*(const Estimate& a, const Estimate& b) {
  return {a.middle * b.middle, a.low * b.low, a.high * b.high, std::max(a.source, b.source)};
}

Estimate Estimate::at_most(double limit) const {
  return {std::min(middle, limit), std::min(low, limit), std::min(high, limit), source};
}

Estimate total_of(const Estimate& count, const Estimate& each) {
  Estimate mean = each;
  const bool observed =
      each.source == EstimateSource::kHistory || each.source == EstimateSource::kSample;
  if (observed && count.middle > 1) {
    const double part = 1 / std::sqrt(count.middle);
    mean.low = each.middle - (each.middle - std::min(each.low, each.middle)) * part;
    mean.high = each.middle + (std::max(each.high, each.middle) - each.middle) * part;
  }
  return count * mean;
}

}  // namespace sluice
