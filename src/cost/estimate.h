// An estimated number with its range and where it came from. Plain data; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// From the most to the least trusted.
enum class EstimateSource : std::uint8_t {
  kExact,    // follows from the plan (the length of a given list)
  kHistory,  // earlier tasks of a step with the same meaning
  kSample,   // the first rows of this run
  kDefault,  // nothing is known: a stated default
};
std::string_view estimate_source_name(EstimateSource source);  // "history"

// Half of what happens lies within low and high (quartiles), where that is known. `middle` is the
// mean, because sums are made of it.
struct Estimate {
  double middle = 0;
  double low = 0;
  double high = 0;
  EstimateSource source = EstimateSource::kDefault;

  static Estimate exact(double value) { return {value, value, value, EstimateSource::kExact}; }
  // A default: anything from a half to the double of it.
  static Estimate rough(double value) {
    return {value, value / 2, value * 2, EstimateSource::kDefault};
  }
  Estimate times(double factor) const {  // not negative
    return {middle * factor, low * factor, high * factor, source};
  }
  Estimate at_most(double limit) const;
  // The less trusted of both sources.
  friend Estimate operator+(const Estimate& a, const Estimate& b);
  friend Estimate operator*(const Estimate& a, const Estimate& b);
  friend bool operator==(const Estimate&, const Estimate&) = default;
};

// Of `count` things of which each is `each`: what was observed varies less in a sum of many than
// in one, what is only supposed does not.
Estimate total_of(const Estimate& count, const Estimate& each);

}  // namespace sluice
