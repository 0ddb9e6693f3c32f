// How often the results of a plan stay the same when passes that may change them run: two lists of
// results, row by row, the share of equal rows with its lower bound, and what both ways took. Pure;
// any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "optimize/optimizer.h"
#include "plan/logical.h"

namespace sluice {

// What came of a row.
struct RowOutcome {
  Value value;
  std::optional<std::string> error;  // set: there is no value
};

// A row of which the results differ, as people read it.
struct RowDifference {
  std::uint64_t row = 0;  // from 1, in the whole input
  std::string exact, allowed;
  friend bool operator==(const RowDifference&, const RowDifference&) = default;
};

struct Agreement {
  std::uint64_t rows = 0;     // compared
  std::uint64_t equal = 0;    // of them
  std::uint64_t failed = 0;   // failed both ways: they say nothing, and are not among `rows`
  std::uint64_t objects = 0;  // of `rows`: both results are objects
  double equal_fields = 0;    // the sum of their shares of equal fields
  std::vector<RowDifference> first;

  double share() const;  // 0 when nothing was compared
  // With 95 % confidence the share of equal rows among all rows is at least this.
  double at_least() const;
  std::optional<double> field_share() const;  // nullopt: results are no objects
  friend bool operator==(const Agreement&, const Agreement&) = default;
};

inline constexpr std::size_t kDifferencesTold = 3;

// `numbers`: of the rows, from 1. All three have as many.
Agreement compare_rows(std::span<const RowOutcome> exact, std::span<const RowOutcome> allowed,
                       std::span<const std::uint64_t> numbers);

// The lower end of Wilson's score interval: one-sided, 95 % (E. B. Wilson, "Probable inference, the
// law of succession, and statistical inference", JASA 22, 1927). 0 of 0 is 0.
double wilson_lower(std::uint64_t good, std::uint64_t all);

// `count` of `all` rows, from 0, spread over all of them: of each of `count` stretches one, drawn
// by chance, since evenly spaced ones would meet whatever comes again and again in a table at one
// place of it. The same for the same seed. All when there are no more.
inline constexpr std::uint64_t kSampleSeed = 20;
std::vector<std::uint64_t> spread_rows(std::uint64_t all, std::uint64_t count,
                                       std::uint64_t seed = kSampleSeed);

// What the sample took one way.
struct SideCost {
  std::uint64_t calls = 0;
  std::uint64_t earlier = 0;  // calls that earlier runs had answered: not among `calls`
  std::uint64_t tokens = 0;
  std::uint64_t shared = 0;  // of `tokens`: of prompts, taken from a shared prefix
  double usd = 0;
  double seconds = 0;
  friend bool operator==(const SideCost&, const SideCost&) = default;
};

struct MeasuredQuality {
  Agreement agreement;
  SideCost exact, allowed;
  std::vector<std::string> passes;   // that changed something; none: results cannot differ
  std::vector<std::string> changes;  // by them: as approximate_changes gives them
  WallNs measured_ns = 0;
  friend bool operator==(const MeasuredQuality&, const MeasuredQuality&) = default;
};
Value encode_quality(const MeasuredQuality& measured);
std::optional<MeasuredQuality> decode_quality(const Value& value);  // nullopt: it is none

// Passes that the plan, or one inside it, allows: hedging ones too.
std::set<std::string, std::less<>> allowed_passes(const Plan& plan);
// The approximate passes that the plan, or one inside it, allows and `settings` let run; sorted.
std::vector<std::string> approximate_passes(const Plan& plan, const OptimizerSettings& settings);
// Those of them that changed something; sorted.
std::vector<std::string> approximate_passes(std::span<const PassNote> notes);
// What they changed, each as "PASS STEP"; sorted.
std::vector<std::string> approximate_changes(std::span<const PassNote> notes);
// The same settings without any pass that may change results; one that only makes more calls stays.
OptimizerSettings with_equal_results(OptimizerSettings settings);
// The same settings without any pass that may change results or make more calls: to be compared
// with.
OptimizerSettings exactly(OptimizerSettings settings);

}  // namespace sluice
