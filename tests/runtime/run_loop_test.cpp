// The loop around the state machine: plans of values alone, without a world.

#include "runtime/run_loop.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "runtime/summary.h"

namespace sluice {
namespace {

// Posts wait until the test lets them run; nothing is ever called.
class PostHost final : public Host {
 public:
  SteadyNs now() override { return ++now_; }
  void post(std::function<void()> work) override { posts.push_back(std::move(work)); }
  WallNs wall_now() override { return now_; }
  void set_timer(const SetTimer&) override {}
  void clear_timer(std::uint64_t) override {}
  void perform(const StartCall&) override { ADD_FAILURE() << "nothing is to be called"; }
  void cancel(const CallRef&) override {}
  void resume(const CallRef&) override {}
  void admit(const AdmitPlan&) override { ADD_FAILURE() << "no plan is produced"; }
  void begin_wait(const BeginWait&) override { ADD_FAILURE() << "nothing waits"; }
  Effect effect_of(const StartCall&) override { return Effect::kPure; }
  bool has_probe(const StartCall&) override { return false; }
  void probe(const StartCall&) override {}
  Result<PhysicalPlanPtr> adopt(const AdmitPlan&, const Value&) override {
    return fail(ErrorCode::kInternal, "no plan is produced");
  }

  // At most `most` posts, one after the other.
  void run(int most) {
    for (; most > 0 && !posts.empty(); --most) {
      auto work = std::move(posts.front());
      posts.pop_front();
      work();
    }
  }
  std::deque<std::function<void()>> posts;

 private:
  SteadyNs now_ = 0;
};

PhysicalPlanPtr plan_of(const std::string& text) {
  ParsedPlan parsed = parse_plan(text, "test.yaml");
  EXPECT_TRUE(parsed.plan && !parsed.diagnostics.has_errors());
  return *lower_plan(parsed.plan, *catalog_of(*parsed.plan));
}

class RunLoopTest : public testing::Test {
 protected:
  void start(const std::string& text, Value params = Value::object({})) {
    loop_.emplace(plan_of(text), host_, values_, &summary_,
                  [this](RunOutcome outcome) { outcome_ = std::move(outcome); });
    loop_->start({"run", std::move(params), 1});
  }

  PostHost host_;
  MemoryValueStore values_;
  SummaryFold summary_;
  std::optional<RunLoop> loop_;
  std::optional<RunOutcome> outcome_;
};

constexpr const char* kEndless =
    "sluice: 1\n"
    "steps:\n"
    "  a: {value: 1, repeat: {until: \"{{ false }}\", max: 4000000000}}\n";

TEST_F(RunLoopTest, ALoopOfValuesAloneLetsTheHostInAndCanBeStopped) {
  start(kEndless);
  host_.run(3);
  ASSERT_FALSE(outcome_) << "it ended by itself";
  ASSERT_FALSE(host_.posts.empty()) << "the host never gets its turn";
  loop_->interrupt();
  host_.run(10);
  ASSERT_TRUE(outcome_);
  EXPECT_EQ(outcome_->status, RunStatus::kInterrupted);
}

TEST_F(RunLoopTest, CancellingIsFinal) {
  start(kEndless);
  loop_->cancel("enough");
  host_.run(10);
  ASSERT_TRUE(outcome_);
  EXPECT_EQ(outcome_->status, RunStatus::kCancelled);
  loop_->interrupt();
  EXPECT_EQ(outcome_->status, RunStatus::kCancelled);
}

// As an element that an expression reads has it; a secret among the items is none of the others'.
TEST_F(RunLoopTest, AnItemHasWhatItsListIsLabelled) {
  const Value secret = Value::string("k").with_labels({.secret = true});
  const Value list = Value::array({Value::string("a"), secret}).with_labels({.untrusted = true});
  start(
      "sluice: 1\n"
      "params: {xs: {}}\n"
      "steps:\n"
      "  each: {for_each: \"{{ params.xs }}\", value: \"{{ item }}\"}\n"
      "  same: {for_each: \"{{ params.xs }}\", value: \"{{ steps.list.output[index] }}\"}\n"
      "  list: {value: \"{{ params.xs }}\"}\n"
      "result: [\"{{ steps.each.output[0] }}\", \"{{ steps.same.output[0] }}\"]\n",
      Value::object({{"xs", list}}));
  host_.run(1000);
  ASSERT_TRUE(outcome_);
  ASSERT_EQ(outcome_->status, RunStatus::kSucceeded);
  for (const Value& first : outcome_->result.items()) {
    EXPECT_TRUE(first.labels().untrusted);
    EXPECT_FALSE(first.labels().secret);
  }
}

TEST_F(RunLoopTest, TheSummaryStandsInPlanOrderAndCountsEveryTask) {
  start(
      "sluice: 1\n"
      "steps:\n"
      "  rows: {value: [1, 2, 3, 4]}\n"
      "  even: {for_each: \"{{ steps.rows.output }}\", when: \"{{ item is even }}\","
      " value: \"{{ item }}\"}\n"
      "  sum: {value: \"{{ steps.even.output | present | sum }}\"}\n"
      "result: \"{{ steps.sum.output }}\"\n");
  ASSERT_TRUE(outcome_);
  EXPECT_EQ(outcome_->result, Value::integer(6));
  const RunSummary& summary = summary_.summary();
  ASSERT_EQ(summary.steps.size(), 3u);
  EXPECT_EQ(summary.steps[0].id, "rows");
  EXPECT_EQ(summary.steps[1].id, "even");
  EXPECT_EQ(summary.steps[1].known, 4u);
  EXPECT_EQ(summary.steps[1].done, 2u);
  EXPECT_EQ(summary.steps[1].skipped, 2u);
  EXPECT_TRUE(summary.steps[1].closed);
}

TEST_F(RunLoopTest, AMapLargerThanTheWindowFlowsThroughToTheEnd) {
  std::vector<Value> items;
  for (int i = 0; i < 5000; ++i) items.push_back(Value::integer(i));
  start(
      "sluice: 1\n"
      "params: {rows: {type: array}}\n"
      "steps:\n"
      "  a: {for_each: \"{{ params.rows }}\", value: \"{{ item + 1 }}\"}\n"
      "  b: {for_each: \"{{ steps.a.output }}\", value: \"{{ item * 2 }}\"}\n"
      "result: \"{{ steps.b.output | sum }}\"\n",
      Value::object({{"rows", Value::array(std::move(items))}}));
  host_.run(1000);
  ASSERT_TRUE(outcome_);
  EXPECT_EQ(outcome_->result, Value::integer(25'005'000)) << to_json(outcome_->result);
}

}  // namespace
}  // namespace sluice
