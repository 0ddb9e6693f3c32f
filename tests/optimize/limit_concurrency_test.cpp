// How many calls at once a callee gains from, as earlier runs have shown it, and what is made of
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cost/call_levels.h"
#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"
#include "tests/optimize/remembered.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::string> kOnly = {"limit_concurrency"};

// Calls at once, and how long each of `calls` calls took.
struct Seen {
  double at_once = 1, seconds = 1;
  int calls = 40;
};

CallLevels levels_of(const std::vector<Seen>& all) {
  CallLevels levels;
  for (const Seen& seen : all) {
    for (int call = 0; call < seen.calls; ++call) levels.add(seen.at_once, seen.seconds);
  }
  return levels;
}

std::uint32_t knee_of(const std::vector<Seen>& all) {
  Remembered history;
  StatisticsTable table;
  levels_of(all).put(Hash256{}, table);
  history.add(table);
  return calls_knee(Hash256{}, history);
}

TEST(CallLevels, TheKneeIsWhereMoreAtOnceGetsLessDone) {
  struct Case {
    const char* what;
    std::vector<Seen> seen;
    std::uint32_t knee;
  };
  const Case cases[] = {
      {"nothing is known", {}, 0},
      {"one level tells nothing", {{8, 5}}, 0},
      {"twice as many take twice as long: nothing is gained, nothing is lost", {{4, 1}, {8, 2}}, 0},
      {"a little less is chance", {{4, 1}, {8, 2.1}}, 0},
      {"more at once got a third less done", {{4, 1}, {8, 3}}, 4},
      {"the fewest that got nearly the most done", {{2, 1}, {4, 1.95}, {8, 3.85}, {16, 9}}, 2},
      {"the more the better", {{1, 1}, {4, 1.2}, {16, 2}}, 0},
      {"one after the other", {{1, 0.1}, {4, 0.8}, {8, 2}}, 1},
      {"too few calls to count", {{4, 1}, {8, 3, 15}}, 0},
      {"between levels it is the mean that counts", {{5.9, 1}, {12, 2.6}}, 6},
      {"hardly more at once", {{5, 1}, {6, 2}}, 0},
  };
  for (const Case& one : cases) EXPECT_EQ(knee_of(one.seen), one.knee) << one.what;
}

TEST(CallLevels, OnlyRunsThatSawTwoLevelsTell) {
  EXPECT_FALSE(levels_of({}).tells());
  EXPECT_FALSE(levels_of({{8, 1}}).tells());
  EXPECT_FALSE(levels_of({{8, 1}, {1, 1, 15}}).tells());
  EXPECT_TRUE(levels_of({{8, 1}, {1, 1, 16}}).tells());
}

TEST(CallLevels, ArePowersOfTwo) {
  const std::vector<std::pair<double, std::uint32_t>> wanted = {
      {0, 0}, {1, 0}, {1.4, 0}, {1.5, 1}, {2, 1}, {3.5, 2}, {6, 3}, {16, 4}, {100, 7}, {1e9, 7}};
  for (const auto& [at_once, level] : wanted) EXPECT_EQ(call_level(at_once), level) << at_once;
}

constexpr const char* kSteps = R"(
  first: {for_each: "{{ params.p }}", tool: calc, with: {args: ["{{ item }}"]}}
  second: {for_each: "{{ params.p }}", tool: calc, with: {args: ["2", "{{ item }}"]}}
  other: {for_each: "{{ params.p }}", tool: pay}
)";
constexpr const char* kParams = R"({"p": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]})";

// What earlier runs have seen of steps of kSteps.
Optimized with_history(const std::map<std::string, std::vector<Seen>>& seen,
                       const std::string& steps = kSteps) {
  const Optimized plain = optimize_text(with_tools(steps), kOnly, kParams);
  Remembered history;
  for (const auto& [id, levels] : seen) {
    StatisticsTable table;
    levels_of(levels).put(plain.physical(id).step_hash, table);
    history.add(table);
  }
  CostInputs cost;
  cost.history = &history;
  return optimize_text(with_tools(steps), kOnly, kParams, cost);
}

TEST(LimitConcurrency, ToTheKneeOfACallee) {
  auto done = with_history({{"first", {{2, 1}, {8, 8}}}, {"second", {{4, 1}, {8, 8}}}});
  EXPECT_EQ(done.physical("first").advice.most_at_once, 4U) << "the most of its steps";
  EXPECT_EQ(done.physical("second").advice.most_at_once, 4U);
  EXPECT_EQ(done.physical("other").advice.most_at_once, 0U);
  const std::string callee = done.physical("first").resource;
  EXPECT_THAT(done.notes(),
              ElementsAre(fmt::format("limit_concurrency first: at most 4 calls of {} at once: "
                                      "with more, fewer were done in a second",
                                      callee),
                          fmt::format("limit_concurrency second: at most 4 calls of {} at once: "
                                      "with more, fewer were done in a second",
                                      callee)));
  auto back = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ((*back)->steps[0].advice.most_at_once, 4U);
}

TEST(LimitConcurrency, NotWhereAStepOfTheCalleeIsUnknown) {
  auto done = with_history({{"first", {{2, 1}, {8, 8}}}});
  EXPECT_EQ(done.physical("first").advice.most_at_once, 0U);
  EXPECT_THAT(done.notes(), IsEmpty());
}

TEST(LimitConcurrency, AStepOfOneCallDoesNotCount) {
  const std::string steps = std::string(kSteps) + "  once: {tool: calc, with: {args: ['x']}}\n";
  auto done = with_history({{"first", {{2, 1}, {8, 8}}}, {"second", {{2, 1}, {8, 8}}}}, steps);
  EXPECT_EQ(done.physical("first").advice.most_at_once, 2U);
  EXPECT_EQ(done.physical("once").advice.most_at_once, 2U) << "it takes a place like the others";
}

TEST(LimitConcurrency, NeverMoreThanIsStated) {
  auto done = with_history({{"first", {{8, 1}, {16, 8}}}, {"second", {{8, 1}, {16, 8}}}});
  EXPECT_EQ(done.physical("first").resource_limit, 8U);
  EXPECT_EQ(done.physical("first").advice.most_at_once, 0U);
}

// Each of the calls of a bulk was under way with the others: what was seen of calls at once says
// nothing of bulks at once, and a limit would only make bulks smaller.
TEST(LimitConcurrency, LeavesCallsAloneThatGoOutAsOne) {
  const std::string text =
      "sluice: 1\nparams: {p: {}}\ntools:\n"
      "  words: {kind: python, file: w.py, functions: {embed: {effect: pure, bulk: 10}, "
      "one: {effect: pure}}}\n"
      "steps:\n"
      "  many: {for_each: \"{{ params.p }}\", tool: words.embed, with: {x: \"{{ item }}\"}}\n"
      "  one: {for_each: \"{{ params.p }}\", tool: words.one, with: {x: \"{{ item }}\"}}\n";
  const Optimized plain = optimize_text(text, kOnly, kParams);
  Remembered history;
  for (const char* id : {"many", "one"}) {
    StatisticsTable table;
    levels_of({{4, 1}, {8, 8}}).put(plain.physical(id).step_hash, table);
    history.add(table);
  }
  CostInputs cost;
  cost.history = &history;
  const Optimized both = optimize_text(text, {"bulk_calls", "limit_concurrency"}, kParams, cost);
  EXPECT_EQ(both.physical("many").advice.bulk, 10U);
  EXPECT_EQ(both.physical("many").advice.most_at_once, 0U);
  EXPECT_EQ(both.physical("one").advice.most_at_once, 4U);
  EXPECT_THAT(both.notes(),
              Contains("limit_concurrency refused many: its calls go out together: what "
                       "was seen of calls at once does not tell of these"));
  const Optimized alone = optimize_text(text, kOnly, kParams, cost);
  EXPECT_EQ(alone.physical("many").advice.most_at_once, 4U) << "nothing goes out together";
}

TEST(LimitConcurrency, OfServersButNotOfEmbeddedModels) {
  const std::string steps = R"(
  asked: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}"}}
)";
  auto done = with_history({{"asked", {{4, 1}, {16, 8}}}}, steps);
  EXPECT_EQ(done.physical("asked").advice.most_at_once, 4U);
  const std::string embedded =
      "sluice: 1\nparams: {p: {}}\nmodels: {default: {kind: embedded, file: m.gguf}}\nsteps:" +
      steps;
  const Optimized plain = optimize_text(embedded, kOnly, kParams);
  Remembered history;
  StatisticsTable table;
  levels_of({{4, 1}, {16, 8}}).put(plain.physical("asked").step_hash, table);
  history.add(table);
  CostInputs cost;
  cost.history = &history;
  EXPECT_EQ(optimize_text(embedded, kOnly, kParams, cost).physical("asked").advice.most_at_once,
            0U);
}

}  // namespace
}  // namespace sluice
