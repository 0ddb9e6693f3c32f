// Proof that the law of exact passes bites: every mistake of base/pass_failpoints.def is made, with
// the first seed that finds it, and must be noticed by the law that is known to notice it.
// SLUICE_FIND_PASS_BUGS=1 looks for the seeds and writes injected_pass_bugs.def and the page
// docs/injected_pass_bugs.md; build and run again behind it. SLUICE_FIND_PASS_BUGS=bulk_ only tells
// of those whose names begin so.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "tests/laws/law.h"

namespace sluice::laws {
namespace {

constexpr std::uint64_t kMostSeeds = 3000;

struct KnownBug {
  Failpoint mistake;
  std::uint64_t seed;
  std::string_view choice;  // with which passes
  std::string_view law;
};

const std::vector<KnownBug>& known_bugs() {
  static const std::vector<KnownBug> all = {
#define SLUICE_INJECTED_PASS_BUG(enumerator, seed, choice, law) \
  {Failpoint::enumerator, seed, choice, law},
#include "tests/laws/injected_pass_bugs.def"
#undef SLUICE_INJECTED_PASS_BUG
  };
  return all;
}

const FailpointInfo& info_of(Failpoint mistake) {
  return *std::ranges::find(pass_failpoints(), mistake, &FailpointInfo::point);
}

std::filesystem::path source_file(std::string_view path) {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  return std::filesystem::path(root == nullptr ? "." : root) / path;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string page(const std::vector<KnownBug>& known) {
  std::string text = fmt::format(
      "# Injected bugs of the optimizer\n\n"
      "Each row is a mistake of a pass, or of what passes are made of, that can be switched on in\n"
      "the running program (`src/base/pass_failpoints.def`), the first random plan that notices "
      "it\n"
      "(of {} that are tried), with which passes, and the law that it breaks. `make test` makes\n"
      "every mistake again with its plan. The laws, and what they allow, stand in\n"
      "`tests/laws/law.h`. This page is written by\n"
      "`SLUICE_FIND_PASS_BUGS=1 test_laws --gtest_filter='*FindThem*'`.\n\n"
      "| mistake | what is wrong | plan | passes | broken law |\n|-|-|-|-|-|\n",
      kMostSeeds);
  for (const KnownBug& bug : known) {
    const FailpointInfo& info = info_of(bug.mistake);
    text += fmt::format("| {} | {} | {} | {} | {} |\n", info.name, info.mistake, bug.seed,
                        bug.choice, bug.law);
  }
  return text;
}

std::string table(const std::vector<KnownBug>& known) {
  std::string text =
      "// Which random plan finds which injected bug, with which passes, and by which law. "
      "Written\n"
      "// by SLUICE_FIND_PASS_BUGS=1 test_laws --gtest_filter='*FindThem*'.\n"
      "// SLUICE_INJECTED_PASS_BUG(enumerator, seed, \"passes\", \"law\")\n";
  for (const KnownBug& bug : known) {
    text += fmt::format("SLUICE_INJECTED_PASS_BUG({}, {}, \"{}\", \"{}\")\n",
                        info_of(bug.mistake).enumerator, bug.seed, bug.choice, bug.law);
  }
  return text;
}

// With a view into its report, which lives as long as the program.
std::optional<KnownBug> find_bug(Failpoint mistake) {
  static std::vector<std::unique_ptr<LawReport>> reports;
  FailpointScope on(mistake);
  for (std::uint64_t seed = 1; seed <= kMostSeeds; ++seed) {
    auto plan = random_case(seed);
    if (!plan) continue;
    auto report = std::make_unique<LawReport>(check_law(*plan));
    if (!report->broken) continue;
    const KnownBug found{mistake, seed, report->choice, report->broken->law};
    reports.push_back(std::move(report));
    return found;
  }
  return std::nullopt;
}

class InjectedPassBug : public testing::TestWithParam<KnownBug> {};

TEST_P(InjectedPassBug, IsFoundByItsSeed) {
  const KnownBug& known = GetParam();
  auto plan = random_case(known.seed);
  ASSERT_TRUE(plan) << "the plan of seed " << known.seed << " does not verify any more";
  const std::vector<std::string> choices = {std::string(known.choice)};
  EXPECT_FALSE(check_law(*plan, choices).broken) << "also without the mistake";
  FailpointScope on(known.mistake);
  const LawReport report = check_law(*plan, choices);
  ASSERT_TRUE(report.broken) << info_of(known.mistake).name << " goes unnoticed with seed "
                             << known.seed << "; SLUICE_FIND_PASS_BUGS=1 looks for another one";
  EXPECT_EQ(report.broken->law, known.law) << report.broken->what;
}

INSTANTIATE_TEST_SUITE_P(All, InjectedPassBug, testing::ValuesIn(known_bugs()),
                         [](const auto& info) {
                           return std::string(info_of(info.param.mistake).name);
                         });

TEST(InjectedPassBugs, AreAllKnownAndAtLeastThirty) {
  EXPECT_GE(known_bugs().size(), 30U);
  for (const FailpointInfo& info : pass_failpoints()) {
    EXPECT_NE(std::ranges::find(known_bugs(), info.point, &KnownBug::mistake), known_bugs().end())
        << info.name << " is found by no known seed; SLUICE_FIND_PASS_BUGS=1 looks for one";
  }
}

TEST(InjectedPassBugs, ThePageIsCurrent) {
  EXPECT_EQ(read_file(source_file("docs/injected_pass_bugs.md")), page(known_bugs()))
      << "SLUICE_FIND_PASS_BUGS=1 writes it";
}

TEST(InjectedPassBugs, FindThem) {
  const char* asked = std::getenv("SLUICE_FIND_PASS_BUGS");
  if (asked == nullptr) GTEST_SKIP() << "SLUICE_FIND_PASS_BUGS looks for the seeds";
  const std::string_view wanted = std::string_view(asked) == "1" ? "" : asked;
  std::vector<KnownBug> known;
  for (const FailpointInfo& info : pass_failpoints()) {
    if (!info.name.starts_with(wanted)) continue;
    const auto found = find_bug(info.point);
    EXPECT_TRUE(found) << info.name << " is found by none of " << kMostSeeds << " plans";
    if (!found) continue;
    std::cout << info.name << ": " << found->seed << " " << found->choice << " " << found->law
              << std::endl;
    known.push_back(*found);
  }
  if (!wanted.empty()) return;
  std::ofstream(source_file("tests/laws/injected_pass_bugs.def")) << table(known);
  std::ofstream(source_file("docs/injected_pass_bugs.md")) << page(known);
}

}  // namespace
}  // namespace sluice::laws
