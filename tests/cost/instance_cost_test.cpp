#include "cost/instance_cost.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice {
namespace {

TEST(InstanceCostTest, DefaultsFitWhatWasMeasured) {
  InstanceCost cost = InstanceCost::defaults();
  auto near = [](double value, double measured, double part = 0.15) {
    EXPECT_NEAR(value, measured, part * measured);
  };
  near(cost.batch_s({.decode_tokens = 1}), 0.0087);
  near(cost.batch_s({.decode_tokens = 16, .decode_cells = 16 * 256}), 0.052);
  near(cost.prefill_s(0, 512), 0.70);
  near(cost.prefill_s(4096, 512) / 512, 0.0029);
  near(cost.prefill_s(0, 32, 32) / 32, 0.00165);
  near(cost.batch_s({.decode_tokens = 1, .decode_cells = 2048}), 0.0112);
  near(cost.batch_s({.decode_tokens = 1, .decode_cells = 4096}), 0.0131);
  EXPECT_GT(cost.prefill_s(0, 1000), 50 * (cost.copy_out_s(1000) + cost.copy_in_s(1000)));
}

TEST(InstanceCostTest, ChunksSeeWhatStandsBeforeThem) {
  EXPECT_EQ(chunk_cells(0, 0), 0U);
  EXPECT_EQ(chunk_cells(0, 3), 1U + 2 + 3);
  EXPECT_EQ(chunk_cells(10, 3), 11U + 12 + 13);
  InstanceCost cost = InstanceCost::defaults();
  EXPECT_NEAR(cost.prefill_s(0, 1024, 512),
              cost.prefill_s(0, 512, 512) + cost.prefill_s(512, 512, 512), 1e-9);
}

TEST(InstanceCostTest, LargerBatchesNeverCostLess) {
  InstanceCost cost = InstanceCost::defaults();
  double last = 0;
  for (std::uint32_t tokens = 1; tokens <= 1200; ++tokens) {
    double s = cost.batch_s({.prefill_tokens = tokens});
    EXPECT_GE(s, last) << tokens;
    last = s;
  }
  EXPECT_EQ(cost.batch_s({}), 0);
  EXPECT_NEAR(cost.batch_s({.prefill_tokens = 1024}), 2 * cost.batch_s({.prefill_tokens = 512}),
              0.03);
}

TEST(InstanceCostTest, SharedAndIdleCellsHaveTheirOwnPrice) {
  InstanceCost cost = InstanceCost::defaults();
  BatchShape alone{.decode_tokens = 4, .decode_cells = 4000};
  BatchShape shared = alone;
  shared.shared_cells = 3000;
  EXPECT_LT(cost.batch_s(shared), cost.batch_s(alone));
  BatchShape idle = alone;
  idle.idle_cells = 1'000'000;
  EXPECT_GT(cost.batch_s(idle), cost.batch_s(alone));
  shared.shared_cells = 1'000'000;  // more than there are counts as all
  EXPECT_GT(cost.batch_s(shared), cost.batch_s({.decode_tokens = 4}));
}

TEST(InstanceCostTest, PrefillWithinIsTheLargestChunkThatFits) {
  InstanceCost cost = InstanceCost::defaults();
  BatchShape shape{.decode_tokens = 8, .decode_cells = 8000};
  for (std::uint64_t depth : {0, 1000, 6000}) {
    for (double seconds : {0.01, 0.05, 0.1, 0.25, 0.7, 5.0}) {
      std::uint32_t fits = cost.prefill_within(shape, depth, seconds, 512);
      auto with = [&](std::uint32_t tokens) {
        BatchShape more = shape;
        more.prefill_tokens = tokens;
        more.prefill_cells = chunk_cells(depth, tokens);
        return cost.batch_s(more);
      };
      if (fits > 0) EXPECT_LE(with(fits), seconds);
      if (fits < 512) EXPECT_GT(with(fits + 1), seconds);
    }
  }
  EXPECT_EQ(cost.prefill_within({}, 0, 1, 0), 0U);
}

TEST(InstanceCostTest, JsonRoundTrip) {
  InstanceCost cost = InstanceCost::defaults();
  InstanceCost::Parts parts = cost.parts();
  parts.measured_on = "a machine, 2 threads";
  auto made = InstanceCost::make(parts);
  ASSERT_TRUE(made.has_value());
  auto read = InstanceCost::from_json(made->to_json());
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->to_json(), made->to_json());
  EXPECT_EQ(read->parts().measured_on, "a machine, 2 threads");
  EXPECT_EQ(read->parts().curve.size(), parts.curve.size());
}

TEST(InstanceCostTest, WrongPartsAreRefused) {
  auto refuse = [](auto change) {
    InstanceCost::Parts parts = InstanceCost::defaults().parts();
    change(parts);
    auto made = InstanceCost::make(parts);
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code(), ErrorCode::kValueInvalid);
  };
  refuse([](auto& parts) { parts.curve.clear(); });
  refuse([](auto& parts) { parts.curve[1].tokens = parts.curve[0].tokens; });
  refuse([](auto& parts) { parts.curve[2].seconds = parts.curve[1].seconds; });
  refuse([](auto& parts) { parts.curve[0].seconds = -1; });
  refuse([](auto& parts) { parts.curve[0].tokens = 0; });
  refuse([](auto& parts) { parts.curve[0].seconds = std::numeric_limits<double>::quiet_NaN(); });
  refuse([](auto& parts) { parts.decode_cell_s = -1e-9; });
  refuse([](auto& parts) { parts.copy_in_s = std::numeric_limits<double>::infinity(); });
}

TEST(InstanceCostTest, WrongJsonIsRefused) {
  Value good = InstanceCost::defaults().to_json();
  for (std::size_t drop = 0; drop < good.members().size(); ++drop) {
    std::vector<Value::Member> members(good.members().begin(), good.members().end());
    std::string name = members[drop].first;
    members[drop].second = Value::array({Value::string("no")});
    EXPECT_FALSE(InstanceCost::from_json(Value::object(members)).has_value()) << name;
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(drop));
    EXPECT_FALSE(InstanceCost::from_json(Value::object(members)).has_value()) << name;
  }
  EXPECT_FALSE(InstanceCost::from_json(Value()).has_value());
}

}  // namespace
}  // namespace sluice
