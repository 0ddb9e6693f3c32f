// How a call goes on beside others: second attempts, what they cost, and which answers of earlier
// runs stand for it. With a tool and models that answer when the test says so.
#include "host/calls/call_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

using ::testing::SizeIs;

Value json(std::string_view text) { return *parse_json(text); }

// Ends nothing by itself, and is not impressed by cancel.
class HeldTool final : public Tool {
 public:
  void discover(std::function<void(Result<std::vector<FunctionSpec>>)>) override {}
  CallId call(ToolCall, ToolCallbacks callbacks) override {
    open.push_back(std::move(callbacks));
    return open.size();
  }
  void cancel(CallId) override { ++cancels; }

  std::vector<ToolCallbacks> open;
  int cancels = 0;
};

class HeldModel final : public ModelInstance {
 public:
  const ModelInfo& info() const override { return info_; }
  RequestId submit(ModelRequest, ModelCallbacks callbacks) override {
    open.push_back(std::move(callbacks));
    return open.size();
  }
  void cancel(RequestId) override { ++cancels; }
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>&) override {
    return fail(ErrorCode::kModelRefused, "none");
  }
  Result<std::size_t> count_tokens(std::string_view text) override { return text.size(); }

  void end(std::size_t number, Result<ModelReply> reply) {
    std::exchange(open.at(number).on_end, nullptr)(std::move(reply));
  }

  std::vector<ModelCallbacks> open;
  int cancels = 0;

 private:
  ModelInfo info_;
};

ModelReply says(std::string_view answer, std::uint64_t prompt_tokens) {
  ModelReply reply;
  reply.json = json(answer);
  reply.usage = {.prompt_tokens = prompt_tokens, .completion_tokens = 1};
  return reply;
}

constexpr std::string_view kPlan = R"(sluice: 1
tools: {t: {kind: process, command: [t], effect: pure}}
models:
  m: {kind: openai, url: "http://127.0.0.1:1/v1"}
  s: {kind: openai, url: "http://127.0.0.1:1/v1"}
steps:
  nap: {tool: t}
  keep: {tool: t, cache: {ttl: 1h}}
  ask: {llm: m, with: {messages: []}, output: {type: integer}}
)";

class CallRunnerTest : public testing::Test {
 protected:
  enum Step { kNap, kKeep, kAsk };

  CallRunnerTest() : resources({}, environment()) {
    plan = parse_plan(kPlan, "plan.yaml").plan;
    scope = std::make_unique<PlanScope>(plan, nullptr);
    auto owned = std::make_unique<HeldTool>();
    tool = owned.get();
    entry.id = "t";
    entry.kind = "process";
    entry.tool = std::move(owned);
    scope->add_tool("t", &entry);
    model = add_model("m", own);
    first = add_model("s", small);
    physical = *lower_plan(plan, *scope);
  }
  // Held ends go nowhere any more.
  ~CallRunnerTest() override { runner.reset(); }

  ToolEnvironment environment() {
    ToolEnvironment made;
    made.io = io.get_executor();
    made.blocking = io.get_executor();
    made.work_dir = made.temp_dir = dir.path();
    made.clock = &system_clock();
    return made;
  }
  HeldModel* add_model(std::string id, ModelEntry& at) {
    auto owned = std::make_unique<HeldModel>();
    HeldModel* made = owned.get();
    at.id = at.identity = id;
    at.instance = std::move(owned);
    scope->add_model(std::move(id), &at);
    return made;
  }
  // A run of its own; `advise` says what passes advise for the steps.
  void start_run(const std::function<void(StepAdvice&)>& advise, bool asks_anew = false) {
    PhysicalPlan made = *physical;
    for (PhysicalStep& step : made.steps) advise(step.advice);
    running = std::make_shared<const PhysicalPlan>(std::move(made));
    runner.reset();
    cache = std::make_unique<ResultCache>(dir.path() / "results.sqlite", system_clock());
    targets = CallTargets();
    targets.add_plan(running, *scope, resources);
    services = std::make_unique<HostServices>(HostServices{
        resources, code, *cache, values, system_clock(), "run", {}, nullptr, {}, asks_anew});
    runner = std::make_shared<CallRunner>(
        io, *services, targets,
        [this](Event event) { ended.push_back(std::get<CallEnded>(std::move(event.body))); },
        [](CallProbed) {});
  }
  CallRef begin(Step step, std::int64_t timeout_ms = 0) {
    StartCall start;
    start.call.task = {.frame = 0, .step = static_cast<std::uint32_t>(step), .item = item++};
    start.step = &running->steps[step];
    start.args =
        step == kAsk ? json(R"({"messages":[{"role":"user","content":"hi"}]})") : Value::object({});
    start.task_id = "it";
    start.timeout_ms = timeout_ms;
    runner->begin(start);
    return start.call;
  }
  void work(int ms) {
    io.restart();
    io.run_for(std::chrono::milliseconds(ms));
  }
  static void hedge_soon(StepAdvice& advice) { advice.hedge_after_s = 0.03; }

  ScratchDir dir;
  boost::asio::io_context io;
  Resources resources;
  MemoryValueStore values;
  HeldTool code;
  HeldTool* tool = nullptr;
  ToolEntry entry;
  ModelEntry own, small;
  HeldModel* model = nullptr;
  HeldModel* first = nullptr;
  PlanPtr plan;
  std::unique_ptr<PlanScope> scope;
  PhysicalPlanPtr physical, running;
  CallTargets targets;
  std::unique_ptr<ResultCache> cache;
  std::unique_ptr<HostServices> services;
  std::shared_ptr<CallRunner> runner;
  std::vector<CallEnded> ended;
  std::uint32_t item = 0;
};

TEST_F(CallRunnerTest, ACallThatTakesLongIsTriedTwice) {
  start_run(hedge_soon);
  begin(kNap);
  work(120);
  EXPECT_THAT(tool->open, SizeIs(2));
}

TEST_F(CallRunnerTest, ACancelledCallIsNotTriedAgain) {
  start_run(hedge_soon);
  const CallRef call = begin(kNap);
  runner->cancel(call);
  work(120);
  EXPECT_EQ(tool->cancels, 1);
  EXPECT_THAT(tool->open, SizeIs(1)) << "it does not end at once, and nobody wants it any more";
  tool->open[0].on_end(
      std::unexpected(ToolFailure{Error(ErrorCode::kCancelled, "it was cancelled"), true}));
  work(20);
  EXPECT_THAT(ended, SizeIs(1));
}

TEST_F(CallRunnerTest, ACallOutOfTimeIsNotTriedAgain) {
  start_run(hedge_soon);
  begin(kAsk, 10);
  work(120);
  EXPECT_EQ(model->cancels, 1);
  EXPECT_THAT(model->open, SizeIs(1));
}

TEST_F(CallRunnerTest, BothAttemptsAreCharged) {
  start_run(hedge_soon);
  begin(kAsk);
  work(120);
  ASSERT_THAT(model->open, SizeIs(2));
  model->end(0, says(R"("no number")", 100));
  work(20);
  EXPECT_THAT(ended, SizeIs(0)) << "the other one may do better";
  model->end(1, says("7", 30));
  work(20);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_TRUE(std::holds_alternative<CallReturned>(ended[0].outcome));
  EXPECT_EQ(ended[0].usage.prompt_tokens, 130U);
  EXPECT_EQ(ended[0].usage.completion_tokens, 2U);
}

TEST_F(CallRunnerTest, ASmallModelsTokensAreChargedWhenTheLargeOneFails) {
  small.price = {.usd_per_prompt_token = 0.5, .usd_per_completion_token = 0};
  start_run([](StepAdvice& advice) { advice.first_model = "s"; });
  begin(kAsk);
  work(20);
  ASSERT_THAT(first->open, SizeIs(1));
  first->end(0, says("7", 100));  // without log probabilities: not taken
  work(20);
  ASSERT_THAT(model->open, SizeIs(1));
  model->end(0, fail(ErrorCode::kModelUnreachable, "gone"));
  work(20);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_TRUE(std::holds_alternative<CallFailed>(ended[0].outcome));
  EXPECT_EQ(ended[0].usage.prompt_tokens, 100U);
  EXPECT_EQ(ended[0].usage.usd, 50);
}

TEST_F(CallRunnerTest, WhatIsKeptOfAToolIsThatToolsOwn) {
  const auto none = [](StepAdvice&) {};
  const auto asked = [&] {
    const std::size_t before = tool->open.size();
    start_run(none);
    begin(kKeep);
    work(20);
    for (std::size_t i = before; i < tool->open.size(); ++i) {
      tool->open[i].on_end(ToolReply{json("7")});
    }
    work(20);
    return tool->open.size() - before;
  };
  entry.identity = "answer.sh in a";
  EXPECT_EQ(asked(), 1U);
  EXPECT_EQ(asked(), 0U) << "an earlier run has asked it";
  entry.identity = "answer.sh in b";
  EXPECT_EQ(asked(), 1U) << "the same words for another program";
}

TEST_F(CallRunnerTest, ASampleIsAskedAnew) {
  const auto reuse = [](StepAdvice& advice) { advice.reuse_results = true; };
  const auto asked = [&](bool anew) {
    const std::size_t before = model->open.size();
    start_run(reuse, anew);
    begin(kAsk);
    work(20);
    for (std::size_t i = before; i < model->open.size(); ++i) model->end(i, says("7", 1));
    work(20);
    return model->open.size() - before;
  };
  EXPECT_EQ(asked(false), 1U);
  EXPECT_EQ(asked(false), 0U);
  EXPECT_EQ(asked(true), 1U);
  EXPECT_EQ(asked(false), 0U) << "only of the rows of the sample";
}

}  // namespace
}  // namespace sluice
