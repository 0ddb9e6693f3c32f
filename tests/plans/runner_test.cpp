// The data-driven plan tests: each tests/plans/**/*.test, as written, with one worker, through a
// round trip of its text, from JSON, journaled, without the optimizer, and without or with only one
// of its passes. SLUICE_PLAN_TEST_UPDATE=1 rewrites the expectations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "tests/plans/test_case.h"
#include "tests/plans/test_file.h"

namespace sluice::plantest {
namespace {

std::filesystem::path tests_dir() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  return std::filesystem::path(root == nullptr ? "." : root) / "tests" / "plans";
}

std::vector<std::string> test_files() {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tests_dir(), error)) {
    if (entry.path().extension() != ".test") continue;
    files.push_back(std::filesystem::relative(entry.path(), tests_dir()).string());
  }
  std::ranges::sort(files);
  return files;
}

bool updating() { return std::getenv("SLUICE_PLAN_TEST_UPDATE") != nullptr; }

class PlanTest : public testing::TestWithParam<std::tuple<std::size_t, std::string>> {};

TEST_P(PlanTest, HoldsWhatTheFileSays) {
  const auto& [which, name] = GetParam();
  const Variation& variation = variations()[which];
  if (updating() && which != 0) GTEST_SKIP() << "updating";
  auto file = read_test_file(tests_dir() / name);
  ASSERT_TRUE(file.has_value()) << file.error().to_string();
  for (const std::string& failure : run_test_file(*file, variation, updating())) {
    ADD_FAILURE() << failure;
  }
  if (updating()) ASSERT_TRUE(write_test_file(*file).has_value());
}

std::string test_name(const testing::TestParamInfo<PlanTest::ParamType>& info) {
  std::string name = std::get<1>(info.param) + "_" + variations()[std::get<0>(info.param)].name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, PlanTest,
                         testing::Combine(testing::Range(std::size_t{0}, variations().size()),
                                          testing::ValuesIn(test_files())),
                         test_name);

TEST(PlanTestFiles, ThereAreEnough) { EXPECT_GE(test_files().size(), 120U); }

}  // namespace
}  // namespace sluice::plantest
