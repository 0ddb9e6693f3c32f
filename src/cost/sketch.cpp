#include "cost/sketch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// Bucket i holds the values in (gamma^(i-1), gamma^i]; all of them are within the relative error of
// 2 gamma^i / (gamma + 1).
constexpr double kGamma =
    (1 + QuantileSketch::kRelativeError) / (1 - QuantileSketch::kRelativeError);
constexpr double kSmallest = 1e-12;          // below: zero
constexpr std::int32_t kMostIndex = 20'000;  // no finite double lies beyond

std::int32_t bucket_of(double value) {
  static const double scale = 1 / std::log(kGamma);
  return static_cast<std::int32_t>(std::ceil(std::log(value) * scale));
}

double value_of(std::int32_t bucket) {
  const double value = 2 / (kGamma + 1) * std::exp(bucket * std::log(kGamma));
  return std::min(value, std::numeric_limits<double>::max());
}

std::uint64_t add_counts(std::uint64_t a, std::uint64_t b) {
  return a > std::numeric_limits<std::uint64_t>::max() - b
             ? std::numeric_limits<std::uint64_t>::max()
             : a + b;
}

// The smallest together, so that what is large keeps its error.
void shrink(std::map<std::int32_t, std::uint64_t>& buckets) {
  while (buckets.size() > QuantileSketch::kMostBuckets) {
    const std::uint64_t count = buckets.begin()->second;
    buckets.erase(buckets.begin());
    buckets.begin()->second = add_counts(buckets.begin()->second, count);
  }
}

std::unexpected<Error> invalid(const char* what) {
  return fail(ErrorCode::kValueInvalid, std::string("a sketch of a distribution: ") + what);
}

bool is_count(const Value* value) { return value && value->is_int() && value->as_int() >= 0; }

}  // namespace

void QuantileSketch::add(double value, std::uint64_t times) {
  if (!std::isfinite(value) || value < 0 || times == 0) return;
  count_ = add_counts(count_, times);
  sum_ += value * static_cast<double>(times);
  if (value < kSmallest) {
    zeros_ = add_counts(zeros_, times);
    return;
  }
  std::uint64_t& count = buckets_[bucket_of(value)];
  count = add_counts(count, times);
  shrink(buckets_);
}

void QuantileSketch::merge(const QuantileSketch& other) {
  for (const auto& [bucket, count] : other.buckets_) {
    std::uint64_t& own = buckets_[bucket];
    own = add_counts(own, count);
  }
  shrink(buckets_);
  zeros_ = add_counts(zeros_, other.zeros_);
  count_ = add_counts(count_, other.count_);
  sum_ += other.sum_;
}

// Halves go on to the next bucket: the whole is halved, not each bucket rounded.
void QuantileSketch::age() {
  const std::uint64_t before = count_;
  std::uint64_t rest = zeros_ % 2;
  zeros_ /= 2;
  count_ = zeros_;
  for (auto at = buckets_.begin(); at != buckets_.end();) {
    const std::uint64_t both = add_counts(at->second, rest);
    at->second = both / 2;
    rest = both % 2;
    count_ += at->second;
    at = at->second == 0 ? buckets_.erase(at) : std::next(at);
  }
  sum_ = count_ == 0 ? 0 : sum_ * static_cast<double>(count_) / static_cast<double>(before);
}

double QuantileSketch::mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

double QuantileSketch::quantile(double q) const {
  if (count_ == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_ - 1);
  double seen = static_cast<double>(zeros_);
  if (rank < seen) return 0;
  for (const auto& [bucket, count] : buckets_) {
    seen += static_cast<double>(count);
    if (rank < seen) return value_of(bucket);
  }
  return buckets_.empty() ? 0 : value_of(buckets_.rbegin()->first);
}

Value QuantileSketch::to_json() const {
  std::vector<Value> flat;
  flat.reserve(buckets_.size() * 2);
  for (const auto& [bucket, count] : buckets_) {
    flat.push_back(Value::integer(bucket));
    flat.push_back(Value::integer(static_cast<std::int64_t>(
        std::min<std::uint64_t>(count, std::numeric_limits<std::int64_t>::max()))));
  }
  return Value::object({{"zeros", Value::integer(static_cast<std::int64_t>(zeros_))},
                        {"sum", Value::number(sum_)},
                        {"buckets", Value::array(std::move(flat))}});
}

Result<QuantileSketch> QuantileSketch::from_json(const Value& json) {
  const Value* zeros = json.find("zeros");
  const Value* sum = json.find("sum");
  const Value* flat = json.find("buckets");
  if (!is_count(zeros)) return invalid("`zeros` is not a count");
  if (!sum || !sum->is_number() || !std::isfinite(sum->as_double()) || sum->as_double() < 0) {
    return invalid("`sum` is not a sum of positive numbers");
  }
  if (!flat || !flat->is_array() || flat->size() % 2 != 0) {
    return invalid("`buckets` is not a list of pairs");
  }
  QuantileSketch sketch;
  sketch.zeros_ = sketch.count_ = static_cast<std::uint64_t>(zeros->as_int());
  sketch.sum_ = sum->as_double();
  const std::span<const Value> numbers = flat->items();
  for (std::size_t i = 0; i < numbers.size(); i += 2) {
    const bool fits = numbers[i].is_int() && numbers[i].as_int() >= -kMostIndex &&
                      numbers[i].as_int() <= kMostIndex && is_count(&numbers[i + 1]) &&
                      numbers[i + 1].as_int() > 0;
    if (!fits) return invalid("each bucket has its number and its count");
    const auto count = static_cast<std::uint64_t>(numbers[i + 1].as_int());
    const auto bucket = static_cast<std::int32_t>(numbers[i].as_int());
    if (!sketch.buckets_.emplace(bucket, count).second) return invalid("a bucket stands twice");
    sketch.count_ = add_counts(sketch.count_, count);
  }
  shrink(sketch.buckets_);
  return sketch;
}

}  // namespace sluice
