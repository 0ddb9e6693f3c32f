#include "engine/prepare.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/model_file.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class PrepareTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("sluice-prepare-" + std::to_string(getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    source_ = folder_ / "tiny.gguf";
    fs::copy_file(test::tiny_model_file(), source_);
    options_.folder = folder_ / "prepared";
    options_.threads = 1;
    options_.most_measure_s = 0.5;
    options_.loss_tokens = 200;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::size_t files(std::string_view ending) const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(options_.folder)) {
      count += entry.path().string().ends_with(ending) ? 1U : 0U;
    }
    return count;
  }
  fs::path chosen(WeightChoice choice, std::vector<std::string> kept = {}) const {
    auto weights = choose_weights(source_, options_.folder, choice, kept);
    EXPECT_TRUE(weights) << weights.error().to_string();
    return weights ? weights->file : fs::path();
  }

  fs::path folder_;
  fs::path source_;
  PrepareOptions options_;
};

TEST(WeightFormatTest, NamesAndChoices) {
  EXPECT_EQ(weight_format_of("q8_0"), WeightFormat::kQ8_0);
  EXPECT_FALSE(weight_format_of("q5_1"));
  EXPECT_TRUE(parse_weight_choice("auto")->automatic);
  EXPECT_EQ(parse_weight_choice("latency")->purpose, WeightPurpose::kLatency);
  EXPECT_FALSE(parse_weight_choice("as-is")->automatic);
  auto wrong = parse_weight_choice("fast");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), ErrorCode::kUsage);
  EXPECT_NE(wrong.error().message().find("'fast'"), std::string::npos);
}

TEST(WeightLossTest, KlDivergence) {
  const float even[]{0, 0};
  const float odd[]{std::log(3.0F), 0};
  EXPECT_NEAR(kl_divergence(even, even, 2), 0, 1e-9);
  // 0.5 log(0.5/0.75) + 0.5 log(0.5/0.25)
  EXPECT_NEAR(kl_divergence(even, odd, 2), 0.5 * std::log(4.0 / 3.0), 1e-6);
}

TEST_F(PrepareTest, OneFormatIsWrittenWithItsLoss) {
  options_.format = WeightFormat::kQ8_0;
  fs::create_directories(options_.folder);
  std::ofstream(options_.folder / (hash_file(source_)->substr(0, 16) + "-f16.gguf.17.part"))
      << "of a process that was killed";
  std::vector<std::string> steps;
  options_.on_step = [&](std::string_view what) { steps.emplace_back(what); };
  auto report = prepare_weights(source_, options_);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->chosen, WeightFormat::kQ8_0);
  EXPECT_FALSE(report->made_before);
  EXPECT_GE(steps.size(), 5U);
  ASSERT_EQ(report->formats.size(), 2U);
  const MeasuredFormat& made = report->formats[1];
  EXPECT_LT(made.bytes, report->formats[0].bytes / 3) << "the tiny model has 32-bit weights";
  ASSERT_TRUE(made.loss);
  EXPECT_GT(made.loss->mean_kl, 0);
  EXPECT_LT(made.loss->mean_kl, 0.05);
  EXPECT_GT(made.loss->top1_agreement, 0.8);
  EXPECT_EQ(format_of_file(report->file), WeightFormat::kQ8_0);
  EXPECT_TRUE(load_model(report->file));
  EXPECT_EQ(files(".part"), 0U);

  EXPECT_EQ(chosen({}), source_) << "no choice has been made by writing a format";
  EXPECT_EQ(chosen({.automatic = false, .format = WeightFormat::kQ8_0}), report->file);
  auto prepared = find_prepared(source_, options_.folder, WeightFormat::kQ8_0);
  ASSERT_TRUE(prepared);
  EXPECT_EQ(prepared->hash, *hash_file(report->file));
  EXPECT_TRUE(prepared->about.find("formats"));

  auto again = prepare_weights(source_, options_);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->made_before);
  EXPECT_EQ(again->file, report->file);
}

TEST_F(PrepareTest, TheChoiceIsTheFastestThatLosesLittle) {
  options_.most_kl = 100;
  options_.least_top1 = 0;
  options_.least_gain = 0;  // whatever the noise of a tiny model's times
  auto report = prepare_weights(source_, options_);
  ASSERT_TRUE(report) << report.error().to_string();
  ASSERT_EQ(report->formats.size(), 4U);
  ASSERT_NE(report->chosen, WeightFormat::kAsIs);
  const MeasuredFormat* best = nullptr;
  for (const MeasuredFormat& measured : report->formats) {
    bool better = !best || purpose_seconds(measured, WeightPurpose::kThroughput) <
                               purpose_seconds(*best, WeightPurpose::kThroughput);
    if (measured.format != WeightFormat::kAsIs && better) best = &measured;
  }
  EXPECT_EQ(report->chosen, best->format);
  EXPECT_EQ(files(".gguf"), 1U) << "what is slower is not kept";
  EXPECT_EQ(chosen({}), report->file);
  EXPECT_EQ(chosen({.purpose = WeightPurpose::kLatency}), source_) << "chosen for throughput only";
  EXPECT_EQ(chosen({.automatic = false}), source_);

  // A run that goes on keeps what it began with, whatever is chosen now.
  const std::string hash = *hash_file(report->file);
  EXPECT_EQ(chosen({.automatic = false}, {"other", hash}), report->file);
  EXPECT_EQ(chosen({}, {report->source_hash}), source_);

  // Neither a changed source nor a cut copy is taken for the old one.
  fs::resize_file(report->file, fs::file_size(report->file) - 1);
  EXPECT_EQ(chosen({}), source_);
  fs::last_write_time(source_, fs::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_FALSE(find_choice(source_, options_.folder, WeightPurpose::kThroughput));
}

TEST_F(PrepareTest, WhatLosesTooMuchIsNotChosen) {
  options_.most_kl = 0;
  options_.least_gain = 0;
  options_.purpose = WeightPurpose::kLatency;
  auto report = prepare_weights(source_, options_);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->chosen, WeightFormat::kAsIs);
  EXPECT_EQ(report->file, source_);
  EXPECT_EQ(files(".gguf"), 0U);
  EXPECT_EQ(find_choice(source_, options_.folder, WeightPurpose::kLatency), WeightFormat::kAsIs);
  EXPECT_TRUE(prepare_weights(source_, options_)->made_before);
}

TEST_F(PrepareTest, FilesThatAreNoModels) {
  std::ofstream(source_) << "GGUF and nothing else";
  auto report = prepare_weights(source_, options_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kModelLoad);
  EXPECT_FALSE(prepare_weights(folder_ / "missing.gguf", options_));
  auto asked =
      choose_weights(source_, options_.folder, {.automatic = false, .format = WeightFormat::kF16});
  ASSERT_FALSE(asked);
  EXPECT_NE(asked.error().message().find("models prepare --format f16"), std::string::npos);
}

}  // namespace
}  // namespace sluice
