#include "cost/sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/json.h"

namespace sluice {
namespace {

constexpr double kAllowed = QuantileSketch::kRelativeError * 1.0001;  // and the rounding of exp

struct Shape {
  const char* name;
  std::function<double(Random&)> draw;
};

std::vector<Shape> shapes() {
  return {
      {"uniform", [](Random& random) { return random.unit() * 100; }},
      {"exponential", [](Random& random) { return -std::log(1 - random.unit()); }},
      {"over 8 powers of ten",
       [](Random& random) { return std::pow(10.0, 8 * random.unit() - 4); }},
      {"two heaps",
       [](Random& random) {
         return random.below(3) == 0 ? 1e-3 * (1 + random.unit()) : 5 + random.unit();
       }},
      {"few integers", [](Random& random) { return static_cast<double>(random.below(4)); }},
      {"equal", [](Random&) { return 0.25; }},
  };
}

// The same rank rule as the sketch's.
double exact_quantile(const std::vector<double>& sorted, double q) {
  const double rank = q * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(std::floor(rank))];
}

TEST(QuantileSketch, QuantilesAreWithinTheRelativeError) {
  for (const Shape& shape : shapes()) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Random random(seed);
      std::vector<double> values(1 + random.below(3000));
      QuantileSketch sketch;
      double sum = 0;
      for (double& value : values) {
        value = shape.draw(random);
        sum += value;
        sketch.add(value);
      }
      std::ranges::sort(values);
      ASSERT_EQ(sketch.count(), values.size());
      EXPECT_NEAR(sketch.mean(), sum / static_cast<double>(values.size()), 1e-9 * sum);
      for (double q : {0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0}) {
        const double exact = exact_quantile(values, q);
        EXPECT_NEAR(sketch.quantile(q), exact, kAllowed * exact)
            << shape.name << ", seed " << seed << ", q " << q;
      }
    }
  }
}

TEST(QuantileSketch, TwoMergedAreAsOneOfAll) {
  for (const Shape& shape : shapes()) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Random random(seed);
      QuantileSketch all;
      QuantileSketch parts[3];
      for (std::size_t i = random.below(2000); i > 0; --i) {
        const double value = shape.draw(random);
        all.add(value);
        parts[random.below(3)].add(value);
      }
      QuantileSketch merged = parts[0];
      merged.merge(parts[1]);
      merged.merge(parts[2]);
      QuantileSketch other_order = parts[2];
      other_order.merge(parts[1]);
      other_order.merge(parts[0]);
      EXPECT_EQ(merged.count(), all.count());
      EXPECT_NEAR(merged.sum(), all.sum(), 1e-9 * all.sum());
      for (double q = 0; q <= 1; q += 0.05) {
        EXPECT_EQ(merged.quantile(q), all.quantile(q)) << shape.name << ", seed " << seed;
        EXPECT_EQ(merged.quantile(q), other_order.quantile(q));
      }
    }
  }
}

TEST(QuantileSketch, TakesWhatItIsGiven) {
  QuantileSketch sketch;
  EXPECT_EQ(sketch.quantile(0.5), 0);
  EXPECT_EQ(sketch.mean(), 0);
  for (double bad :
       {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    sketch.add(bad);
  }
  EXPECT_EQ(sketch.count(), 0U);
  sketch.add(0, 3);
  sketch.add(8, 1);
  EXPECT_EQ(sketch.quantile(0.5), 0);
  EXPECT_NEAR(sketch.quantile(1), 8, 8 * kAllowed);
  for (double extreme :
       {std::numeric_limits<double>::min(), std::numeric_limits<double>::denorm_min(),
        std::numeric_limits<double>::max()}) {
    sketch.add(extreme);
  }
  EXPECT_EQ(sketch.count(), 7U);
  EXPECT_TRUE(std::isfinite(sketch.quantile(0.99)));
}

TEST(QuantileSketch, HasABoundedSizeAndKeepsWhatIsLarge) {
  QuantileSketch sketch;
  std::vector<double> values;
  for (int power = -400; power <= 400; ++power) {  // more buckets than it may have
    values.push_back(std::exp(power / 10.0));
    sketch.add(values.back());
  }
  EXPECT_EQ(sketch.count(), values.size());
  for (double q : {0.6, 0.75, 0.9, 0.99, 1.0}) {
    const double exact = exact_quantile(values, q);
    EXPECT_NEAR(sketch.quantile(q), exact, kAllowed * exact) << q;
  }
  EXPECT_LE(sketch.to_json().find("buckets")->size(), 2 * QuantileSketch::kMostBuckets);
}

TEST(QuantileSketch, AgeHalvesTheCountsAndKeepsTheDistribution) {
  Random random(7);
  QuantileSketch sketch;
  for (int i = 0; i < 4000; ++i) sketch.add(random.unit() * 10);
  const double median = sketch.quantile(0.5);
  const double mean = sketch.mean();
  sketch.age();
  EXPECT_EQ(sketch.count(), 2000U);
  EXPECT_NEAR(sketch.quantile(0.5), median, 0.05 * median);
  EXPECT_NEAR(sketch.mean(), mean, 1e-9);
  // Many values that stood alone do not all vanish at once.
  QuantileSketch sparse;
  for (int power = 0; power < 100; ++power) sparse.add(std::exp(power / 5.0));
  sparse.age();
  EXPECT_EQ(sparse.count(), 50U);
  for (int i = 0; i < 10; ++i) sparse.age();
  EXPECT_EQ(sparse.count(), 0U);
  EXPECT_EQ(sparse.mean(), 0);
}

TEST(QuantileSketch, ComesBackFromItsText) {
  for (const Shape& shape : shapes()) {
    Random random(3);
    QuantileSketch sketch;
    for (int i = 0; i < 500; ++i) sketch.add(shape.draw(random));
    auto json = parse_json(to_json(sketch.to_json()));
    ASSERT_TRUE(json.has_value());
    auto back = QuantileSketch::from_json(*json);
    ASSERT_TRUE(back.has_value()) << back.error().to_string();
    EXPECT_EQ(*back, sketch) << shape.name;
  }
}

TEST(QuantileSketch, RefusesWhatIsNone) {
  for (const char* text :
       {"1", "{}", R"({"zeros":-1,"sum":0,"buckets":[]})", R"({"zeros":0,"sum":-1,"buckets":[]})",
        R"({"zeros":0,"sum":"1","buckets":[]})", R"({"zeros":0,"sum":1,"buckets":[1]})",
        R"({"zeros":0,"sum":1,"buckets":[1,0]})", R"({"zeros":0,"sum":1,"buckets":[1,-2]})",
        R"({"zeros":0,"sum":1,"buckets":[1.5,2]})", R"({"zeros":0,"sum":1,"buckets":[1,2,1,3]})",
        R"({"zeros":0,"sum":1,"buckets":[99999999999,3]})",
        R"({"zeros":0,"sum":1,"buckets":{}})"}) {
    auto read = QuantileSketch::from_json(*parse_json(text));
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_EQ(read.error().code(), ErrorCode::kValueInvalid);
  }
}

}  // namespace
}  // namespace sluice
