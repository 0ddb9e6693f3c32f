// The law of exact passes (law.h) over random plans: each pass alone and all of them together.
// 300 seeds, 20,000 in long mode. SLUICE_SEED=n: one of them, with its plan.
#include "tests/laws/law.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "tests/laws/law_shrink.h"
#include "tests/laws/random_typed_plan.h"

namespace sluice::laws {
namespace {

std::uint64_t seeds() {
  if (const char* text = std::getenv("SLUICE_SEEDS")) return std::strtoull(text, nullptr, 10);
  return std::getenv("SLUICE_TEST_LONG") != nullptr ? 20'000 : 300;
}

void show_calls(const LawCase& of) {
  for (const char* choice : {"", "all"}) {
    auto made = optimize_plan({.plan = of.plan,
                               .tools = *of.tools,
                               .params = &of.params,
                               .cost = {},
                               .settings = only_pass(choice)});
    ASSERT_TRUE(made) << made.error().to_string();
    const LawRun run = run_law_plan(made->physical, *of.tools, of.params, of.seed, {});
    std::cout << "calls of " << (*choice == '\0' ? "none" : choice) << ", result "
              << preview(run.result, 400) << " " << run.error << "\n";
    for (const LawCall& call : run.calls) {
      std::cout << "  " << call.began << " " << call.what << " for " << call.task << " with "
                << preview(call.args, 200) << "\n";
    }
  }
}

// For a person; SLUICE_TEST_TRACE shows the calls, too.
TEST(Laws, OneSeed) {
  const char* text = std::getenv("SLUICE_SEED");
  if (text == nullptr) GTEST_SKIP() << "SLUICE_SEED names one";
  const std::uint64_t seed = std::strtoull(text, nullptr, 10);
  std::cout << random_typed_plan(seed).text;
  std::string why;
  auto made = random_case(seed, &why);
  ASSERT_TRUE(made) << why;
  if (std::getenv("SLUICE_TEST_TRACE") != nullptr) show_calls(*made);
  const LawReport report = check_law(*made);
  EXPECT_FALSE(report.broken) << failure_text(*made, report);
}

TEST(Laws, HoldForRandomPlans) {
  std::uint64_t made = 0, succeeded = 0, effects = 0, saved = 0, shared = 0, broken = 0;
  std::uint64_t reused = 0, bulks = 0;
  std::map<std::string, std::uint64_t> did;
  for (std::uint64_t seed = 1; seed <= seeds() && broken < 3; ++seed) {
    auto plan = random_case(seed);
    if (!plan) continue;
    ++made;
    const LawReport report = check_law(*plan);
    EXPECT_FALSE(report.broken) << failure_text(*plan, report);
    broken += report.broken ? 1 : 0;
    succeeded += report.succeeded ? 1 : 0;
    effects += report.effects;
    saved += report.saved;
    shared += report.shared;
    reused += report.reused;
    bulks += report.bulks;
    for (const auto& [pass, count] : report.did_by) did[pass] += count;
  }
  // A test that tries nothing proves nothing.
  EXPECT_GT(made, seeds() * 6 / 10) << "too few plans verify";
  EXPECT_GT(succeeded, made / 2) << "too few plans succeed as written";
  EXPECT_GT(effects, made);
  EXPECT_GT(saved, made / 4) << "the passes save nothing";
  EXPECT_GT(shared, 0U);
  EXPECT_GT(reused, 0U);
  EXPECT_GT(bulks, 0U);
  for (const PassInfo& info : optimizer_passes()) {
    if (info.kind == PassClass::kExact)
      EXPECT_GT(did[std::string(info.name)], 0U) << info.name << " never did anything";
  }
  if (std::getenv("SLUICE_TEST_TRACE") != nullptr) {
    std::cout << made << " plans, " << succeeded << " succeed, " << effects << " effects, " << saved
              << " calls saved, " << shared << " shared, " << reused << " reused, " << bulks
              << " bulk calls\n";
    for (const auto& [pass, count] : did) std::cout << pass << ": " << count << "\n";
  }
}

// Why plans of the generator do not verify, for whoever changes it.
TEST(Laws, PlansThatDoNotVerify) {
  if (std::getenv("SLUICE_TEST_TRACE") == nullptr) GTEST_SKIP() << "SLUICE_TEST_TRACE shows them";
  int told = 0;
  for (std::uint64_t seed = 1; seed <= seeds() && told < 12; ++seed) {
    std::string why;
    if (!random_case(seed, &why)) {
      std::cout << "seed " << seed << "\n" << why << "\n";
      ++told;
    }
  }
}

// What runs is what the journal says: the optimized plan comes back from its record as it was.
TEST(Laws, RewrittenPlansAreRecordedWhole) {
  std::uint64_t rewritten = 0;
  for (std::uint64_t seed = 1; seed <= seeds() / 3; ++seed) {
    auto plan = random_case(seed);
    if (!plan) continue;
    auto made = optimize_plan({.plan = plan->plan,
                               .tools = *plan->tools,
                               .params = &plan->params,
                               .cost = {},
                               .settings = {}});
    ASSERT_TRUE(made) << "seed " << seed << ": " << made.error().to_string();
    if (made->rewritten != plan->plan) ++rewritten;
    auto again = decode_physical(encode_physical(*made->physical), plan->plan);
    ASSERT_TRUE(again) << "seed " << seed << ": " << again.error().to_string();
    EXPECT_EQ(encode_physical(**again), encode_physical(*made->physical)) << "seed " << seed;
    const LawRun one = run_law_plan(made->physical, *plan->tools, plan->params, seed, {});
    const LawRun other = run_law_plan(*again, *plan->tools, plan->params, seed, {});
    EXPECT_EQ(one.result, other.result) << "seed " << seed;
    EXPECT_EQ(one.status, other.status) << "seed " << seed;
  }
  EXPECT_GT(rewritten, seeds() / 20);
}

// "call[]/ask" is the step ask of the plan that call calls.
const PhysicalStep* written_step(const PhysicalPlan& plan, std::string_view name) {
  const std::size_t slash = name.find('/');
  const std::string_view id = name.substr(0, std::min(name.find('['), slash));
  for (const PhysicalStep& step : plan.steps) {
    if (step.logical.id != id) continue;
    if (slash == std::string_view::npos) return &step;
    return step.plan ? written_step(*step.plan, name.substr(slash + 1)) : nullptr;
  }
  return nullptr;
}

// A task keeps its name and a step its hash, whatever passes make of it.
TEST(Laws, StepsKeepTheirHashes) {
  for (std::uint64_t seed = 1; seed <= seeds() / 3; ++seed) {
    auto plan = random_case(seed);
    if (!plan) continue;
    auto lowered = lower_plan(plan->plan, *plan->tools);
    ASSERT_TRUE(lowered);
    auto made = optimize_plan({.plan = plan->plan,
                               .tools = *plan->tools,
                               .params = &plan->params,
                               .cost = {},
                               .settings = {}});
    ASSERT_TRUE(made) << "seed " << seed << ": " << made.error().to_string();
    for (const PhysicalStep& step : made->physical->steps) {
      ASSERT_FALSE(step.logical_ids.empty());
      const std::string& name = step.logical_ids.front();
      if (name.find("/with_") != std::string::npos) continue;  // an argument of a call
      const PhysicalStep* was = written_step(**lowered, name);
      ASSERT_NE(was, nullptr) << "seed " << seed << ": " << name;
      EXPECT_EQ(was->step_hash, step.step_hash) << "seed " << seed << ": " << name;
      if (name.find('/') == std::string::npos) {
        EXPECT_EQ(name, step.logical.id) << "seed " << seed;
      }
    }
  }
}

// A law that nothing breaks is no law: written runs against others that differ in one thing.
class BrokenLaws : public testing::Test {
 protected:
  static LawCall call(std::string task, std::string what, Effect effect, std::uint64_t at) {
    LawCall made;
    made.task = std::move(task);
    made.what = std::move(what);
    made.effect = effect;
    made.args = Value::integer(1);
    made.key = "key of " + made.task;
    made.began = at;
    made.ended = at + 1;
    return made;
  }
  static LawRun run() {
    LawRun record;
    record.ended = true;
    record.result = Value::integer(5);
    record.calls = {call("a", "t.calc", Effect::kPure, 1), call("b", "t.pay", Effect::kOnce, 3),
                    call("c", "t.pay", Effect::kOnce, 5)};
    LawFrame& root = record.frames[0];
    root.steps = {{"a", {}}, {"b", {}}, {"c", {{1, EdgeMode::kOrder}}}};
    for (std::uint32_t step = 0; step < 3; ++step) {
      root.tasks[{step, 0}] = TraceKind::kTaskDone;
    }
    return record;
  }
  static std::string broken(const LawRun& optimized) {
    auto found = compare_runs(run(), optimized);
    return found ? found->law : "";
  }
};

TEST_F(BrokenLaws, NothingIsWrongWithTheSame) { EXPECT_EQ(broken(run()), ""); }
TEST_F(BrokenLaws, FewerPureCallsAreFine) {
  LawRun other = run();
  other.calls.erase(other.calls.begin());
  EXPECT_EQ(broken(other), "");
}
TEST_F(BrokenLaws, AnotherResult) {
  LawRun other = run();
  other.result = Value::integer(6);
  EXPECT_EQ(broken(other), "result");
  other.result = Value::integer(5).with_labels({.secret = true});
  EXPECT_EQ(broken(other), "result");
}
TEST_F(BrokenLaws, AnEffectMoreOrLessOrAnother) {
  LawRun other = run();
  other.calls.pop_back();
  EXPECT_EQ(broken(other), "effects");
  other = run();
  other.calls.push_back(other.calls.back());
  EXPECT_EQ(broken(other), "effects");
  other = run();
  other.calls.back().args = Value::integer(2);
  EXPECT_EQ(broken(other), "effects");
  other = run();
  other.calls.back().key = "another";
  EXPECT_EQ(broken(other), "effects");
}
TEST_F(BrokenLaws, EffectsInAnotherOrder) {
  LawRun other = run();
  other.calls[2].began = 2;
  EXPECT_EQ(broken(other), "order");
}
TEST_F(BrokenLaws, AReadingBeforeWhatItWaitedFor) {
  LawRun written = run();
  written.calls[2] = call("c", "t.get", Effect::kRead, 5);
  EXPECT_FALSE(compare_runs(written, written));
  LawRun other = written;
  other.calls[2].began = 2;
  EXPECT_EQ(compare_runs(written, other)->law, "order");
}
// b, then d whose condition reads it and that is skipped, then c.
TEST_F(BrokenLaws, AnOrderThroughASkippedStep) {
  LawRun written = run();
  LawFrame& root = written.frames[0];
  root.steps[2].reads = {{3, EdgeMode::kOrder}};
  root.steps.push_back({"d", {{1, EdgeMode::kWhole, EdgeUse::kWhen}}, true});
  root.tasks[{3, 0}] = TraceKind::kTaskSkipped;
  LawRun other = written;
  other.calls[2].began = 2;
  EXPECT_EQ(compare_runs(written, other)->law, "order");
  root.steps[3].reads[0].use = EdgeUse::kBody;  // nobody looked at b
  EXPECT_FALSE(compare_runs(written, other));
}
TEST_F(BrokenLaws, ADeedThatAFailureHeldUp) {
  LawRun written = run();
  written.status = RunStatus::kFailed;
  written.failed = written.by_itself = {"a"};
  written.failed.insert("c");
  written.calls.pop_back();
  LawFrame& root = written.frames[0];
  root.steps[2].reads = {{3, EdgeMode::kOrder}};
  root.steps.push_back({"d", {{0, EdgeMode::kWhole, EdgeUse::kWhen}}, true});
  root.tasks[{0, 0}] = root.tasks[{2, 0}] = root.tasks[{3, 0}] = TraceKind::kTaskFailed;
  LawRun other = run();
  other.frames = written.frames;
  other.frames[0].tasks[{2, 0}] = TraceKind::kTaskDone;
  other.frames[0].tasks[{3, 0}] = TraceKind::kTaskDone;
  EXPECT_FALSE(compare_runs(written, other)) << "d went well";
  other.frames[0].tasks[{3, 0}] = TraceKind::kTaskSkipped;
  EXPECT_EQ(compare_runs(written, other)->law, "held_up");
}
TEST_F(BrokenLaws, MoreCalls) {
  LawRun other = run();
  other.calls.push_back(call("a", "t.calc", Effect::kPure, 7));
  EXPECT_EQ(broken(other), "calls");
}
TEST_F(BrokenLaws, AFailureThatWasNot) {
  LawRun other = run();
  other.status = RunStatus::kFailed;
  other.failed = other.by_itself = {"c"};
  EXPECT_EQ(broken(other), "failure");
}
TEST_F(BrokenLaws, AFailureLessIsFine) {
  LawRun written = run();
  written.status = RunStatus::kFailed;
  written.failed = {"c"};
  EXPECT_FALSE(compare_runs(written, run()));
  EXPECT_TRUE(compare_runs(written, [] {
    LawRun other = run();
    other.failed = other.by_itself = {"a"};
    return other;
  }()));
}

}  // namespace
}  // namespace sluice::laws
