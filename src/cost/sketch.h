// QuantileSketch: the distribution of positive numbers (seconds, tokens) in a few hundred bytes,
// with a bounded relative error; two can be added. After DDSketch (Masson, Rim, Lee, VLDB 2019):
// counts per logarithmic bucket. Plain data; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

class QuantileSketch {
 public:
  static constexpr double kRelativeError = 0.02;
  static constexpr std::size_t kMostBuckets = 512;  // beyond: the smallest are put together

  void add(double value, std::uint64_t times = 1);  // not finite or negative: ignored
  void merge(const QuantileSketch& other);
  // Counts of the past weigh less: all are halved.
  void age();
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  double mean() const;              // 0 when empty
  double quantile(double q) const;  // q in 0..1; 0 when empty

  Value to_json() const;
  static Result<QuantileSketch> from_json(const Value& json);
  friend bool operator==(const QuantileSketch&, const QuantileSketch&) = default;

 private:
  std::map<std::int32_t, std::uint64_t> buckets_;
  std::uint64_t zeros_ = 0;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace sluice
