// Which calls go out together (BulkQueue), what a bulk call looks like and what its answer means
// (bulk_form.h), and all of it with a tool (BulkCalls).
#include "host/calls/bulk_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "data/json.h"
#include "host/calls/hedge_budget.h"
#include "host/calls/tool_call.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Value json(std::string_view text) { return *parse_json(text); }

// ---- BulkQueue ----

using Queue = BulkQueue<int>;
constexpr int kFunction = 0, kStep = 0;
constexpr Queue::Limits kThree{.most = 3, .places = 2};

std::vector<std::vector<int>> taken(Queue& queue) {
  std::vector<std::vector<int>> all;
  for (Queue::Group& group : queue.take(&kFunction)) all.push_back(std::move(group.members));
  return all;
}

TEST(BulkQueue, WhatComesInOneTurnGoesTogether) {
  Queue queue;
  EXPECT_TRUE(queue.add(&kFunction, &kStep, kThree, 1, 1)) << "somebody must take it";
  EXPECT_FALSE(queue.add(&kFunction, &kStep, kThree, 2, 1)) << "somebody will already";
  EXPECT_THAT(taken(queue), ElementsAre(ElementsAre(1, 2)));
  EXPECT_FALSE(queue.came_back(&kFunction, &kStep, true)) << "nothing waits";
}

TEST(BulkQueue, WhatComesWhileAGroupIsOutWaitsForItUnlessItIsFull) {
  Queue queue;
  queue.add(&kFunction, &kStep, kThree, 1, 1);
  EXPECT_EQ(taken(queue).size(), 1U);
  for (int i = 2; i < 4; ++i) queue.add(&kFunction, &kStep, kThree, i, 1);
  EXPECT_TRUE(taken(queue).empty());
  EXPECT_TRUE(queue.add(&kFunction, &kStep, kThree, 4, 1));
  EXPECT_THAT(taken(queue), ElementsAre(ElementsAre(2, 3, 4))) << "full: it need not wait";
  for (int i = 5; i < 12; ++i) queue.add(&kFunction, &kStep, kThree, i, 1);
  EXPECT_TRUE(taken(queue).empty()) << "there are two places";
  EXPECT_TRUE(queue.came_back(&kFunction, &kStep, true));
  EXPECT_THAT(taken(queue), ElementsAre(ElementsAre(5, 6, 7)));
}

TEST(BulkQueue, StepsOfOneFunctionShareItsPlacesAndNotTheirGroups) {
  static const int steps[2] = {};
  Queue queue;
  queue.add(&kFunction, &steps[0], {.most = 3, .places = 1}, 1, 1);
  queue.add(&kFunction, &steps[1], {.most = 3, .places = 1}, 2, 1);
  const auto first = queue.take(&kFunction);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].members.size(), 1U);
  EXPECT_TRUE(queue.came_back(&kFunction, first[0].step, true));
  const auto second = queue.take(&kFunction);
  ASSERT_EQ(second.size(), 1U);
  EXPECT_NE(second[0].step, first[0].step);
}

TEST(BulkQueue, LargeArgumentsMakeSmallGroups) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.add(&kFunction, &kStep, kThree, i, 20U << 20);
  EXPECT_THAT(taken(queue), ElementsAre(ElementsAre(0)));
}

TEST(BulkQueue, AfterThreeFailuresNothingGoesTogetherAnyMore) {
  Queue queue;
  for (int round = 0; round < 3; ++round) {
    queue.add(&kFunction, &kStep, kThree, 1, 1);
    queue.add(&kFunction, &kStep, kThree, 2, 1);
    EXPECT_EQ(taken(queue).size(), 1U);
    queue.came_back(&kFunction, &kStep, false);
  }
  queue.add(&kFunction, &kStep, kThree, 1, 1);
  queue.add(&kFunction, &kStep, kThree, 2, 1);
  EXPECT_THAT(taken(queue), ElementsAre(ElementsAre(1), ElementsAre(2)));
}

TEST(BulkQueue, WhatIsToGoAloneDoes) {
  Queue queue;
  queue.add_alone(&kFunction, &kStep, 1);
  queue.add_alone(&kFunction, &kStep, 2);
  queue.add(&kFunction, &kStep, kThree, 3, 1);
  EXPECT_THAT(taken(queue), ElementsAre(ElementsAre(1), ElementsAre(2)));
}

// ---- its form ----

ToolCall call_of(std::string_view args) {
  ToolCall call;
  call.args = json(args);
  call.task = "each[0]";
  call.idempotency_key = "k";
  call.timeout_ms = 700;
  return call;
}

TEST(BulkForm, ArgumentsByKind) {
  FunctionSpec function;
  function.name = "embed";
  function.max_bytes = 1000;
  const ToolCall one = call_of(R"({"text":"a"})"), two = call_of(R"({"text":"b"})");
  const ToolCall* calls[] = {&one, &two};
  const std::string list = R"({"calls":[{"text":"a"},{"text":"b"}]})";
  const std::pair<std::string_view, std::string> wanted[] = {
      {"python", list},
      {"mcp", list},
      {"http", R"({"body":)" + list + "}"},
      {"process", R"({"stdin":)" + list + "}"}};
  for (const auto& [kind, args] : wanted) {
    const ToolCall bulk = bulk_request(kind, function, calls);
    EXPECT_EQ(to_json(bulk.args), args) << kind;
    EXPECT_EQ(bulk.function, "embed");
    EXPECT_EQ(bulk.timeout_ms, 700) << "the time of one";
    EXPECT_EQ(bulk.max_bytes, 2000U) << "the room of both";
    EXPECT_EQ(bulk.task, "each[0] and 1 more");
  }
  function.max_bytes = 1ULL << 40;
  EXPECT_EQ(bulk_request("python", function, calls).max_bytes, 1ULL << 40);
}

TEST(BulkForm, ItemsAreTaskByTask) {
  auto items = bulk_items(json(R"([{"output":1},{"output":null},
      {"error":{"message":"no such word"}},{"error":{"message":"busy","retryable":true}},
      7,{"output":1,"error":{}},{"error":"x"}])"),
                          7, 0);
  ASSERT_TRUE(items.has_value()) << items.error().to_string();
  EXPECT_EQ(*(*items)[0], Value::integer(1));
  EXPECT_TRUE((*items)[1]->is_null());
  EXPECT_EQ((*items)[2].error().code(), ErrorCode::kToolOutput);
  EXPECT_FALSE((*items)[2].error().retryable());
  EXPECT_EQ((*items)[2].error().message(), "no such word");
  EXPECT_TRUE((*items)[3].error().retryable());
  for (int i : {4, 5, 6}) {
    EXPECT_EQ((*items)[i].error().code(), ErrorCode::kToolOutput);
    EXPECT_THAT((*items)[i].error().message(), HasSubstr("an item of a bulk call is"));
  }
}

TEST(BulkForm, AnythingElseThanSoManyItemsIsAFailureOfTheWhole) {
  for (const char* output :
       {"[]", "[{\"output\":1}]", "{}", "null", "\"words\"", "3", R"({"a":[],"b":[]})"}) {
    EXPECT_FALSE(bulk_items(json(output), 2, 0).has_value()) << output;
  }
}

TEST(BulkForm, ServersWithoutListsMayWrapThem) {
  const std::string list = R"([{"output":1},{"output":2}])";
  for (const Value& output : {Value::string(list), json(R"({"result":)" + list + "}")}) {
    auto items = bulk_items(output, 2, 0);
    ASSERT_TRUE(items.has_value()) << items.error().to_string();
    EXPECT_EQ(*(*items)[1], Value::integer(2));
  }
}

TEST(BulkForm, AnItemHasTheRoomOfOneResult) {
  auto items = bulk_items(
      json(R"([{"output":"small"},{"output":")" + std::string(200, 'x') + R"("}])"), 2, 100);
  ASSERT_TRUE(items.has_value());
  EXPECT_TRUE((*items)[0].has_value());
  EXPECT_EQ((*items)[1].error().code(), ErrorCode::kToolTooLarge);
}

// ---- with a tool ----

// Answers when it is told to.
class SlowTool final : public Tool {
 public:
  struct Open {
    CallId id;
    ToolCall call;
    ToolCallbacks callbacks;
  };
  void discover(std::function<void(Result<std::vector<FunctionSpec>>)>) override {}
  CallId call(ToolCall call, ToolCallbacks callbacks) override {
    sent.push_back(to_json(call.args));
    open.push_back({++last, std::move(call), std::move(callbacks)});
    return last;
  }
  void cancel(CallId id) override { cancelled.push_back(id); }

  void answer(std::string_view output) {
    Open first = std::move(open.front());
    open.pop_front();
    first.callbacks.on_end(ToolReply{json(output)});
  }
  void fail_with(ErrorCode code) {
    Open first = std::move(open.front());
    open.pop_front();
    first.callbacks.on_end(std::unexpected(ToolFailure{Error(code, "it broke")}));
  }

  std::vector<std::string> sent;
  std::deque<Open> open;
  std::vector<CallId> cancelled;
  CallId last = 0;
};

class BulkCallsTest : public testing::Test {
 protected:
  BulkCallsTest() {
    auto owned = std::make_unique<SlowTool>();
    tool = owned.get();
    entry.id = "words";
    entry.kind = "python";
    entry.tool = std::move(owned);
    function.name = "embed";
    function.effect = Effect::kPure;
    function.bulk = 3;
    function.concurrency = 1;
    function.output = Schema::literal(R"({"type": "integer"})");
    step.advice.bulk = 3;
    bulk = std::make_shared<BulkCalls>(BulkCalls::Ways{
        .later = [this](std::function<void()> work) { turns.push_back(std::move(work)); },
        .end =
            [this](const HostCallPtr& call, CallOutcome outcome) {
              if (std::exchange(call->ended, true)) return;
              ended.push_back(call->start.task_id + ": " + words(outcome));
            }});
  }

  static std::string words(const CallOutcome& outcome) {
    if (const auto* failed = std::get_if<CallFailed>(&outcome.result)) {
      return std::string(failed->error.name());
    }
    return to_json(std::get<CallReturned>(outcome.result).output);
  }

  HostCallPtr begin(int number) {
    auto call = std::make_shared<HostCall>();
    call->start.step = &step;
    call->start.task_id = std::to_string(number);
    call->start.args = Value::object({{"x", Value::integer(number)}});
    EXPECT_TRUE(BulkCalls::may_carry(call->start, function));
    auto request = make_tool_call(call->start, "words", function, call->start.args);
    bulk->add(call, {.tool = &entry, .name = "words", .function = &function, .args = {}}, *request,
              function.output);
    return call;
  }
  void turn() {
    for (auto& work : std::exchange(turns, {})) work();
  }

  FunctionSpec function;
  PhysicalStep step;
  ToolEntry entry;
  SlowTool* tool = nullptr;
  std::vector<std::function<void()>> turns;
  std::vector<std::string> ended;
  std::shared_ptr<BulkCalls> bulk;
};

TEST_F(BulkCallsTest, EachTaskHasItsOwnEnd) {
  for (int i = 1; i <= 3; ++i) begin(i);
  EXPECT_TRUE(tool->sent.empty()) << "the turn is not over";
  turn();
  EXPECT_THAT(tool->sent, ElementsAre(R"({"calls":[{"x":1},{"x":2},{"x":3}]})"));
  tool->answer(R"([{"output":10},{"error":{"message":"no"}},{"output":"not a number"}])");
  EXPECT_THAT(ended, ElementsAre("1: 10", "2: TOOL_OUTPUT", "3: OUTPUT_INVALID"));
}

TEST_F(BulkCallsTest, OneAloneIsAPlainCall) {
  auto call = begin(1);
  turn();
  EXPECT_THAT(tool->sent, ElementsAre(R"({"x":1})"));
  EXPECT_EQ(call->tool, tool) << "cancelled like any other";
  tool->answer("10");
  EXPECT_THAT(ended, ElementsAre("1: 10"));
}

TEST_F(BulkCallsTest, AFailureOfTheWholeIsAnsweredOneByOne) {
  for (int i = 1; i <= 2; ++i) begin(i);
  turn();
  tool->fail_with(ErrorCode::kToolDied);
  turn();
  EXPECT_THAT(tool->sent, ElementsAre(R"({"calls":[{"x":1},{"x":2}]})", R"({"x":1})"))
      << "there is one place";
  tool->answer("10");
  turn();
  tool->fail_with(ErrorCode::kToolFailed);
  EXPECT_THAT(ended, ElementsAre("1: 10", "2: TOOL_FAILED"));
}

TEST_F(BulkCallsTest, AnAnswerThatIsNoListIsAFailureOfTheWhole) {
  for (int i = 1; i <= 2; ++i) begin(i);
  turn();
  tool->answer(R"([{"output":10}])");
  turn();
  EXPECT_EQ(tool->sent.back(), R"({"x":1})");
}

TEST_F(BulkCallsTest, WhoIsCancelledNoLongerWaits) {
  auto one = begin(1);
  auto two = begin(2);
  auto three = begin(3);
  two->ended = true;  // while it is collected
  turn();
  EXPECT_THAT(tool->sent, ElementsAre(R"({"calls":[{"x":1},{"x":3}]})"));
  one->ended = true;
  bulk->left(*one);
  EXPECT_TRUE(tool->cancelled.empty()) << "the other one waits";
  three->ended = true;
  bulk->left(*three);
  EXPECT_EQ(tool->cancelled.size(), 1U);
  tool->fail_with(ErrorCode::kCancelled);
  turn();
  EXPECT_EQ(tool->sent.size(), 1U) << "nobody wants it any more";
  EXPECT_TRUE(ended.empty());
}

TEST_F(BulkCallsTest, WhatComesMeanwhileGoesTogether) {
  begin(1);
  turn();
  for (int i = 2; i <= 6; ++i) begin(i);
  turn();
  EXPECT_EQ(tool->sent.size(), 1U) << "there is one place";
  tool->answer("10");
  turn();
  EXPECT_EQ(tool->sent.back(), R"({"calls":[{"x":2},{"x":3},{"x":4}]})");
  tool->answer(R"([{"output":1},{"output":2},{"output":3}])");
  turn();
  EXPECT_EQ(tool->sent.back(), R"({"calls":[{"x":5},{"x":6}]})");
}

TEST_F(BulkCallsTest, NothingComesBackToOneThatIsGone) {
  begin(1);
  begin(2);
  turn();
  bulk.reset();
  tool->answer(R"([{"output":1},{"output":2}])");
  EXPECT_TRUE(ended.empty());
}

TEST_F(BulkCallsTest, ACallIsNotHeldByTheGroupThatCarriesIt) {
  std::weak_ptr<HostCall> one = begin(1);
  std::weak_ptr<HostCall> two = begin(2);
  turn();
  ASSERT_FALSE(one.lock()->bulk.expired());
  bulk.reset();
  tool->open.clear();  // as when the run's tools are closed
  EXPECT_TRUE(one.expired());
  EXPECT_TRUE(two.expired());
}

TEST_F(BulkCallsTest, NotOfEffectsStreamsAndWishesOfModels) {
  StartCall start;
  start.step = &step;
  EXPECT_TRUE(BulkCalls::may_carry(start, function));
  StartCall other = start;
  other.undo = true;
  EXPECT_FALSE(BulkCalls::may_carry(other, function));
  other = start;
  other.streaming = true;
  EXPECT_FALSE(BulkCalls::may_carry(other, function));
  other = start;
  other.wanted = json(R"({"name":"embed"})");
  EXPECT_FALSE(BulkCalls::may_carry(other, function));
  function.effect = Effect::kIdempotent;
  EXPECT_FALSE(BulkCalls::may_carry(start, function));
  function.effect = Effect::kRead;
  EXPECT_TRUE(BulkCalls::may_carry(start, function));
  step.advice.bulk = 0;
  EXPECT_FALSE(BulkCalls::may_carry(start, function)) << "no pass has said so";
}

// ---- hedging ----

TEST(HedgeBudget, OneAndThenOneForTwentyCalls) {
  HedgeBudget budget;
  budget.call_made();
  EXPECT_TRUE(budget.take());
  for (int i = 0; i < 38; ++i) budget.call_made();
  EXPECT_FALSE(budget.take()) << "39 calls are not 40";
  budget.call_made();
  EXPECT_TRUE(budget.take());
  EXPECT_FALSE(budget.take());
  EXPECT_EQ(budget.taken(), 2U);
}

}  // namespace
}  // namespace sluice
