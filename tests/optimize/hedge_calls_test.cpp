// Which calls get a second attempt, after how long, and only where the plan allows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// The same history of every step.
class OneHistory final : public StatisticsStore {
 public:
  explicit OneHistory(int calls) : calls_(calls) {}
  std::optional<StepStatistics> find(const Hash256&) const override {
    StepStatistics known;
    known.tasks = known.calls = static_cast<std::uint64_t>(calls_);
    for (int i = 0; i < calls_; ++i) known.seconds.add(i % 10 == 0 ? 2.0 : 1.0);
    return known;
  }
  void add(const StatisticsTable&) override {}
  std::string problem() const override { return ""; }

 private:
  int calls_;
};

std::string plan_of(std::string_view steps, std::string_view allow) {
  return "sluice: 1\n" + std::string(allow) +
         "params: {p: {}}\n"
         "tools:\n"
         "  calc: {kind: process, command: calc, effect: pure}\n"
         "  web: {kind: http, url: 'http://h'}\n"
         "  lines: {kind: process, command: cat, stdout: lines, effect: pure}\n"
         "  bulky: {kind: python, file: w.py, functions: {f: {effect: pure, bulk: 10}}}\n"
         "models:\n"
         "  far: {kind: openai, url: 'http://m', model: small}\n"
         "  here: {kind: embedded, file: m.gguf}\n"
         "steps:\n" +
         std::string(steps);
}

constexpr const char* kAllow = "allow: [hedge_calls]\n";
constexpr const char* kSteps = R"(
  counted: {for_each: "{{ params.p }}", tool: calc, with: {args: ["{{ item }}"]}}
  asked: {llm: far, with: {prompt: "{{ params.p }}"}}
  made: {code: "def main(x): return x", with: {x: "{{ params.p }}"}}
  mine: {llm: here, with: {prompt: "{{ params.p }}"}}
  seen: {tool: web, with: {path: /a}}
  sampled: {llm: far, with: {prompt: "{{ params.p }}", temperature: 1}}
  agent: {llm: far, with: {prompt: "{{ params.p }}", tools: [calc]}}
  streamed: {tool: lines, with: {args: ["{{ params.p }}"]}}
  bulk: {for_each: "{{ params.p }}", tool: bulky.f, with: {x: "{{ item }}"}}
  value: {value: "{{ params.p }}"}
)";

TEST(HedgeCalls, PureCallsWithAHistory) {
  const OneHistory history(100);
  auto done = optimize_text(plan_of(kSteps, kAllow), {"hedge_calls", "bulk_calls"}, "",
                            {.history = &history});
  for (const char* id : {"counted", "asked", "made"}) {
    ASSERT_TRUE(done.physical(id).advice.hedge_after_s) << id;
    EXPECT_NEAR(*done.physical(id).advice.hedge_after_s, 3, 0.1) << "half as long again as 2 s";
  }
  for (const char* id : {"mine", "seen", "sampled", "agent", "streamed", "bulk", "value"}) {
    EXPECT_FALSE(done.physical(id).advice.hedge_after_s) << id;
  }
  EXPECT_THAT(done.notes(), Contains(HasSubstr("hedge_calls counted: a call that takes over")));
  EXPECT_THAT(done.notes(), Contains(HasSubstr("hedge_calls refused mine: a second attempt would "
                                               "only slow the first")));
  EXPECT_THAT(done.notes(), Contains("hedge_calls refused bulk: its calls go out in bulk"));
}

TEST(HedgeCalls, OnlyWhereThePlanAllowsIt) {
  const OneHistory history(100);
  auto done = optimize_text(plan_of(kSteps, ""), {}, "", {.history = &history});
  EXPECT_FALSE(done.physical("counted").advice.hedge_after_s);
  EXPECT_THAT(done.notes(), Not(Contains(HasSubstr("hedge_calls"))));
}

TEST(HedgeCalls, NotWithoutEnoughHistory) {
  const OneHistory history(19);
  auto done = optimize_text(plan_of("  a: {tool: calc}\n", kAllow), {"hedge_calls"}, "",
                            {.history = &history});
  EXPECT_FALSE(done.physical("a").advice.hedge_after_s);
  EXPECT_THAT(done.notes(), Contains("hedge_calls refused a: too little is known of how long its "
                                     "calls take"));
  auto none = optimize_text(plan_of("  a: {tool: calc}\n", kAllow), {"hedge_calls"});
  EXPECT_FALSE(none.physical("a").advice.hedge_after_s);
}

TEST(HedgeCalls, IsRecorded) {
  const OneHistory history(100);
  auto done = optimize_text(plan_of("  a: {tool: calc}\n", kAllow), {"hedge_calls"}, "",
                            {.history = &history});
  auto back = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ((*back)->steps[0].advice, done.plan.physical->steps[0].advice);
}

}  // namespace
}  // namespace sluice
