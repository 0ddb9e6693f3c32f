#include "engine/calibrate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/model_file.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

class CalibrateTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("sluice-calibrate-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  CalibrationOptions options_{.threads = 1, .most_s = 4};
};

// Jumps far ahead at each look, so that the first check of the time ends the work.
class LateClock final : public Clock {
 public:
  SteadyNs steady_ns() const override { return now_ += 3 * kNsPerSecond; }
  WallNs wall_ns() const override { return 0; }

 private:
  mutable SteadyNs now_ = 0;
};

TEST_F(CalibrateTest, MeasuresEveryPartOfTheCost) {
  auto model = load_model(test::tiny_model_file());
  ASSERT_TRUE(model);
  std::vector<std::string> steps;
  options_.on_step = [&](std::string_view what) { steps.emplace_back(what); };
  auto cost = measure_cost(model->get(), options_);
  ASSERT_TRUE(cost) << cost.error().to_string();
  const InstanceCost::Parts& parts = cost->parts();
  ASSERT_EQ(parts.curve.size(), 10U);
  EXPECT_EQ(parts.curve.back().tokens, 512U);
  EXPECT_GT(parts.curve.back().seconds, parts.curve.front().seconds);
  // 2 layers x 2 heads x (16 keys + 16 values) of 2 bytes, and what describes a cell.
  EXPECT_GE(parts.cell_bytes, 256U);
  EXPECT_LT(parts.cell_bytes, 320U);
  EXPECT_GT(parts.copy_out_cell_s + parts.copy_out_s, 0);
  EXPECT_GT(parts.copy_in_cell_s + parts.copy_in_s, 0);
  EXPECT_GT(parts.decode_cell_s + parts.prefill_cell_s, 0);
  EXPECT_NE(parts.measured_on.find("1 threads"), std::string::npos) << parts.measured_on;
  EXPECT_EQ(steps.size(), 2U);
}

TEST_F(CalibrateTest, ALateMeasurementIsShortButWhole) {
  auto model = load_model(test::tiny_model_file());
  LateClock clock;
  options_.clock = &clock;
  auto cost = measure_cost(model->get(), options_);
  ASSERT_TRUE(cost) << cost.error().to_string();
  EXPECT_EQ(cost->parts().curve.size(), 1U);
}

TEST_F(CalibrateTest, IsKeptByFileMachineAndSettings) {
  auto file = calibration_file(folder_, "abc", options_);
  EXPECT_NE(file, calibration_file(folder_, "abd", options_));
  CalibrationOptions other = options_;
  other.threads = 2;
  EXPECT_NE(file, calibration_file(folder_, "abc", other));
  other = options_;
  other.own_attention = false;
  EXPECT_NE(file, calibration_file(folder_, "abc", other));

  EXPECT_FALSE(read_calibration(file));
  InstanceCost cost = InstanceCost::defaults();
  ASSERT_TRUE(write_calibration(file, cost));
  auto read = read_calibration(file);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->parts().curve.size(), cost.parts().curve.size());
  EXPECT_EQ(read->parts().copy_in_cell_s, cost.parts().copy_in_cell_s);
  for (const char* damaged : {"", "{", "{}", "[1]", "{\"curve\": [[1, -1]]}"}) {
    std::ofstream(file) << damaged;
    EXPECT_FALSE(read_calibration(file)) << damaged;
  }
}

TEST_F(CalibrateTest, AFolderThatCannotBeWrittenIsSaid) {
  std::ofstream(folder_) << "a file";
  auto kept = write_calibration(folder_ / "x.json", InstanceCost::defaults());
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code(), ErrorCode::kIo);
  EXPECT_NE(kept.error().message().find(folder_.string()), std::string::npos);
}

}  // namespace
}  // namespace sluice
