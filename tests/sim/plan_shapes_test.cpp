// Every shape in every variant is a plan that the parser, the verifier and the lowering take.

#include "simulate/plan_shapes.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/random.h"

namespace sluice {
namespace {

TEST(PlanShapes, ThereAreAtLeastTwelveWithNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const PlanShape& shape : plan_shapes()) names.insert(shape.name);
  EXPECT_EQ(names.size(), plan_shapes().size());
  EXPECT_GE(names.size(), 12u);
}

TEST(PlanShapes, EveryVariantIsAPlan) {
  for (std::size_t shape = 0; shape < plan_shapes().size(); ++shape) {
    std::set<std::string> texts;
    for (std::uint32_t variant = 0; variant < 200; ++variant) {
      Random random(shape * 1'000'003 + variant);
      ShapeText text = plan_shapes()[shape].make(random);
      texts.insert(text.text);
      auto plan = sim_plan_of("test", text);
      ASSERT_TRUE(plan) << plan_shapes()[shape].name << " " << variant << "\n"
                        << plan.error().to_string() << "\n"
                        << text.text;
    }
    EXPECT_GT(texts.size(), 10u) << plan_shapes()[shape].name << " hardly varies";
  }
}

}  // namespace
}  // namespace sluice
