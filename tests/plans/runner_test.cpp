// The data-driven plan tests: each tests/plans/**/*.test, as written, with one worker, through a
// round trip of its text, from JSON, journaled, without the optimizer, and without or with only one
// of its passes. SLUICE_PLAN_TEST_UPDATE=1 rewrites the expectations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
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

std::string text_of(const std::string& file) {
  std::ifstream in(tests_dir() / file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Each file in each variation in which something else than in the others can happen: a pass matters
// to plans that run or are explained, one that a plan must allow to those that do.
std::vector<std::pair<std::size_t, std::string>> all_cases() {
  std::vector<std::pair<std::size_t, std::string>> cases;
  for (const std::string& file : test_files()) {
    const std::string text = text_of(file);
    const bool only_checked =
        file.starts_with("verify/") && text.find("\n=== run") == std::string::npos;
    const bool allows = text.find("allow:") != std::string::npos;
    for (std::size_t i = 0; i < variations().size(); ++i) {
      const PassInfo* pass = variations()[i].pass;
      if (pass != nullptr && only_checked) continue;
      if (pass != nullptr && pass->kind != PassClass::kExact && !allows) continue;
      cases.emplace_back(i, file);
    }
  }
  return cases;
}

bool updating() { return std::getenv("SLUICE_PLAN_TEST_UPDATE") != nullptr; }

class PlanTest : public testing::TestWithParam<std::pair<std::size_t, std::string>> {};

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
  std::string name = info.param.second + "_" + variations()[info.param.first].name;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, PlanTest, testing::ValuesIn(all_cases()), test_name);

TEST(PlanTestFiles, ThereAreEnough) { EXPECT_GE(test_files().size(), 120U); }

}  // namespace
}  // namespace sluice::plantest
