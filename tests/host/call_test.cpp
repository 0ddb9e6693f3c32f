// What a call becomes before it leaves, and what its answer means.
#include <gtest/gtest.h>

#include "data/json.h"
#include "host/calls/llm_call.h"
#include "host/calls/tool_call.h"

namespace sluice {
namespace {

Value json(std::string_view text) { return *parse_json(text); }

class Calls : public testing::Test {
 protected:
  StartCall start(std::string_view args) {
    StartCall call;
    call.step = &step;
    call.args = json(args);
    call.task_id = "ask[3]";
    call.idempotency_key = "k";
    return call;
  }
  static const Error& error_of(const CallOutcome& outcome) {
    return std::get<CallFailed>(outcome.result).error;
  }
  static bool in_doubt(const CallOutcome& outcome) {
    return std::get<CallFailed>(outcome.result).doubt;
  }
  PhysicalStep step;
};

TEST_F(Calls, ToolArgumentsAreCheckedBeforeTheCall) {
  FunctionSpec spec;
  spec.name = "query";
  spec.input = Schema::literal(R"({"type":"object","required":["sql"],"additionalProperties":false,
                                   "properties":{"sql":{"type":"string"}}})");
  auto good =
      make_tool_call(start(R"({"sql":"select 1"})"), "db", spec, json(R"({"sql":"select 1"})"));
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->function, "query");
  EXPECT_EQ(good->timeout_ms, spec.timeout_ms);
  EXPECT_EQ(good->idempotency_key, "k");
  for (const char* args : {R"({})", R"({"sql":1})", R"({"sql":"x","more":1})", R"([1])"}) {
    auto bad = make_tool_call(start("{}"), "db", spec, json(args));
    ASSERT_FALSE(bad.has_value()) << args;
    EXPECT_EQ(bad.error().code(), ErrorCode::kArgInvalid);
    EXPECT_NE(bad.error().message().find("db.query"), std::string::npos);
  }
}

TEST_F(Calls, TheStepsTimeoutGoesBeforeTheToolsOwn) {
  FunctionSpec spec;
  StartCall call = start("{}");
  call.timeout_ms = 5;
  EXPECT_EQ(make_tool_call(call, "t", spec, call.args)->timeout_ms, 5);
}

TEST_F(Calls, TheEngineIsToldWhatComesAfterAWishForTools) {
  FunctionSpec spec;
  spec.name = "query";
  OfferedTool offered{.wire_name = "db__query", .tool = "db", .spec = &spec};
  StartCall call = start(R"({"messages":[{"role":"user","content":"how many?"}],"turns":3})");
  call.call.turn = 1;
  auto first = make_model_request(call, {}, {&offered, 1}, "r");
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(first->hints.returns);
  ModelReply reply;
  reply.tool_calls = json(R"([{"id":"c1","name":"db__query","arguments":{"sql":"select 1"}}])");
  auto next = make_next_turn(call, {}, {&offered, 1}, "r", reply);
  ASSERT_TRUE(next.has_value());
  ASSERT_EQ(next->messages.size(), 2U);
  EXPECT_EQ(next->messages[1].role, "assistant");
  EXPECT_EQ(next->messages[1].tool_calls, reply.tool_calls);
  EXPECT_EQ(next->hints.next_tool, "db__query");
  EXPECT_EQ(next->hints.program, "r");

  call.call.turn = 3;  // the last one: nothing can follow
  EXPECT_FALSE(make_model_request(call, {}, {&offered, 1}, "r")->hints.returns);
  EXPECT_FALSE(make_model_request(call, {}, {}, "r")->hints.returns);
}

TEST_F(Calls, OnlyALostOnceCallIsInDoubt) {
  struct {
    Effect effect;
    bool left;
    ErrorCode code;
    bool doubt;
    bool unknown = false;
  } cases[] = {
      {Effect::kOnce, true, ErrorCode::kTimeout, true},
      {Effect::kOnce, true, ErrorCode::kToolDied, true},
      {Effect::kOnce, true, ErrorCode::kHttpUnreachable, true},
      {Effect::kOnce, true, ErrorCode::kCancelled, true},
      {Effect::kOnce, true, ErrorCode::kToolTooLarge, true},
      {Effect::kOnce, false, ErrorCode::kToolTooLarge, false},
      {Effect::kOnce, true, ErrorCode::kHttpServerStatus, false},
      {Effect::kOnce, true, ErrorCode::kHttpServerStatus, true, true},
      {Effect::kIdempotent, true, ErrorCode::kHttpServerStatus, false, true},
      {Effect::kOnce, false, ErrorCode::kTimeout, false},
      {Effect::kOnce, true, ErrorCode::kToolFailed, false},
      {Effect::kOnce, true, ErrorCode::kHttpStatus, false},
      {Effect::kIdempotent, true, ErrorCode::kTimeout, false},
      {Effect::kRead, true, ErrorCode::kToolDied, false},
  };
  for (const auto& one : cases) {
    const ToolFailure failure{Error(one.code, "lost"), one.left, one.unknown};
    auto outcome = tool_outcome(nullptr, one.effect, std::unexpected(failure));
    EXPECT_EQ(in_doubt(outcome), one.doubt) << error_of(outcome).to_string();
  }
}

TEST_F(Calls, ToolOutputsAreCheckedAndMarked) {
  SchemaPtr number = Schema::literal(R"({"type":"integer"})");
  auto bad = tool_outcome(number, Effect::kRead, ToolReply{Value::string("x")});
  EXPECT_EQ(error_of(bad).code(), ErrorCode::kOutputInvalid);
  auto good = tool_outcome(number, Effect::kRead, ToolReply{Value::integer(3)});
  const Value output = std::get<CallReturned>(good.result).output;
  EXPECT_EQ(output, Value::integer(3));
  EXPECT_TRUE(output.labels().untrusted);
}

TEST_F(Calls, RequestsTakeTheStepsSamplingThenTheModels) {
  ModelDefaults defaults{json(R"({"max_tokens":7,"temperature":0.5,"stop":["x"]})"), true, 900};
  auto request = make_model_request(
      start(R"({"messages":[{"role":"user","content":"hi"}],"temperature":1,"seed":4})"), defaults,
      {}, "run1");
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->sampling.max_tokens, 7u);
  EXPECT_EQ(request->sampling.temperature, 1.0);
  EXPECT_EQ(request->sampling.seed, 4u);
  EXPECT_EQ(request->sampling.stop, std::vector<std::string>{"x"});
  EXPECT_TRUE(request->deterministic);
  EXPECT_EQ(request->timeout_ms, 900);
  EXPECT_EQ(request->hints.program, "run1");
  EXPECT_EQ(request->hints.task, "ask[3]");
  ASSERT_EQ(request->messages.size(), 1u);
  EXPECT_EQ(request->messages[0].content, "hi");
}

TEST_F(Calls, OnlyThePlansOwnTextOfAPromptIsNoData) {
  auto whole = make_model_request(start(R"({"prompt":"<|im_start|>"})"), {}, {}, "r");
  ASSERT_TRUE(whole.has_value());
  ASSERT_EQ(whole->prompt.size(), 1u);
  EXPECT_TRUE(whole->prompt[0].text.data) << "nobody knows where it came from";
  auto pieces = make_model_request(
      start(R"({"prompt":[{"text":"<|a|>","data":false},{"text":"<|b|>","data":true}]})"), {}, {},
      "r");
  ASSERT_TRUE(pieces.has_value());
  ASSERT_EQ(pieces->prompt.size(), 2u);
  EXPECT_FALSE(pieces->prompt[0].text.data);
  EXPECT_TRUE(pieces->prompt[1].text.data);
  EXPECT_EQ(pieces->prompt[1].text.text, "<|b|>");
}

TEST_F(Calls, AnLlmStepNeedsSomethingToSay) {
  EXPECT_EQ(make_model_request(start("{}"), {}, {}, "r").error().code(), ErrorCode::kArgInvalid);
  EXPECT_FALSE(make_model_request(start(R"({"messages":[]})"), {}, {}, "r").has_value());
}

TEST_F(Calls, EarlierTurnsFollowTheMessages) {
  StartCall call = start(R"({"messages":[{"role":"user","content":"q"}]})");
  call.transcript =
      json(R"([{"role":"assistant","content":"","tool_calls":[{"id":"1","name":"db__query",
      "arguments":{}}]},{"role":"tool","tool_call_id":"1","content":{"rows":[1]}}])");
  FunctionSpec spec;
  spec.name = "query";
  OfferedTool offered{"db__query", "db", &spec};
  auto request = make_model_request(call, {}, {&offered, 1}, "r");
  ASSERT_TRUE(request.has_value());
  ASSERT_EQ(request->messages.size(), 3u);
  EXPECT_EQ(request->messages[1].tool_calls.size(), 1u);
  EXPECT_EQ(request->messages[2].content, R"({"rows":[1]})");
  EXPECT_EQ(request->messages[2].tool_call_id, "1");
  ASSERT_EQ(request->tools.size(), 1u);
  EXPECT_EQ(request->tools[0].name, "db__query");
}

TEST_F(Calls, ToolNamesFitEveryServer) {
  EXPECT_EQ(wire_tool_name("db", "query"), "db__query");
  EXPECT_EQ(wire_tool_name("fs", "read/file.v2"), "fs__read_file_v2");
  EXPECT_LE(wire_tool_name(std::string(80, 'a'), "b").size(), 64u);
}

TEST_F(Calls, RepliesAreTextOrCheckedJson) {
  ModelReply reply;
  reply.text = "hello";
  reply.usage.completion_tokens = 2;
  auto text = model_outcome(start("{}"), reply);
  EXPECT_EQ(std::get<CallReturned>(text.result).output, Value::string("hello"));
  EXPECT_EQ(text.usage.completion_tokens, 2u);
  step.logical.output = Schema::literal(R"({"type":"object","properties":{"n":{"multipleOf":2}}})");
  reply.json = json(R"({"n":4})");
  EXPECT_EQ(std::get<CallReturned>(model_outcome(start("{}"), reply).result).output, reply.json);
  reply.json = json(R"({"n":3})");
  auto bad = model_outcome(start("{}"), reply);
  EXPECT_EQ(error_of(bad).code(), ErrorCode::kOutputInvalid);
  EXPECT_EQ(bad.usage.completion_tokens, 2u) << "tokens count also when they came to nothing";
}

TEST_F(Calls, ToolWishesEndWithTheLastTurn) {
  ModelReply reply;
  reply.tool_calls = json(R"([{"id":"1","name":"db__query","arguments":{}}])");
  StartCall call = start(R"({"turns":2})");
  auto outcome = model_outcome(call, reply);
  const auto& wanted = std::get<ToolsWanted>(outcome.result);
  EXPECT_EQ(wanted.calls.size(), 1u);
  EXPECT_EQ(wanted.message.find("role")->as_string(), "assistant");
  call.call.turn = 2;
  EXPECT_EQ(error_of(model_outcome(call, reply)).code(), ErrorCode::kTurnsExhausted);
}

TEST_F(Calls, AProbeSaysDoneAbsentOrUnknown) {
  using State = CallProbed::State;
  const SchemaPtr number = Schema::literal(R"({"type":"integer"})");
  struct {
    const char* reply;
    State state;
    bool why;
  } cases[] = {
      {R"({"state":"done","output":7})", State::kDone, false},
      {R"({"state":"done","output":"seven"})", State::kUnknown, true},
      {R"({"state":"done"})", State::kUnknown, true},
      {R"({"state":"absent"})", State::kAbsent, false},
      {R"({"state":"unknown"})", State::kUnknown, false},
      {R"({"state":"maybe"})", State::kUnknown, true},
      {R"(["done"])", State::kUnknown, true},
      {R"(null)", State::kUnknown, true},
  };
  const CallRef call{.task = {1, 2, 3}};
  for (const auto& each : cases) {
    const CallProbed probed = probe_answer(call, number, ToolReply{json(each.reply)});
    EXPECT_EQ(probed.state, each.state) << each.reply;
    EXPECT_EQ(probed.error.has_value(), each.why) << each.reply;
    EXPECT_EQ(probed.call, call);
  }
  EXPECT_EQ(probe_answer(call, number, ToolReply{json(cases[0].reply)}).output.as_int(), 7);
  EXPECT_EQ(probe_answer(call, nullptr, ToolReply{json(R"({"state":"done"})")}).state,
            State::kDone);
  const CallProbed failed = probe_answer(
      call, number, std::unexpected(ToolFailure{Error(ErrorCode::kToolFailed, "no"), true}));
  EXPECT_EQ(failed.state, State::kUnknown);
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->code(), ErrorCode::kToolFailed);
}

}  // namespace
}  // namespace sluice
