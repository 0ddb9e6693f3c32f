// What clients of the generation routes may send, what it becomes, and how mistakes are named.
#include "serve/generation_call.h"

#include <gtest/gtest.h>

#include <limits>

#include "data/json.h"

namespace sluice {
namespace {

using Chat = ApiResult<GenerationCall>;

Value json(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Value();
}

// A chat request with more members after its model and messages.
Chat chat(std::string_view more = "", SteadyNs now = 0) {
  std::string text = R"({"model": "m", "messages": [{"role": "user", "content": "hi"}])";
  if (!more.empty()) text += ", " + std::string(more);
  return read_chat_call(json(text + "}"), now);
}

Chat completion(std::string_view more = "") {
  std::string text = R"({"model": "m", "prompt": "Once")";
  if (!more.empty()) text += ", " + std::string(more);
  return read_completion_call(json(text + "}"), 0);
}

TEST(GenerationCall, APlainChatHasOpenAisDefaults) {
  auto call = chat();
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "m");
  EXPECT_FALSE(call->stream);
  ASSERT_EQ(call->requests.size(), 1u);
  const ModelRequest& request = call->requests[0];
  EXPECT_EQ(request.sampling.temperature, 1);
  EXPECT_EQ(request.sampling.top_p, 1);
  EXPECT_EQ(request.sampling.max_tokens, std::numeric_limits<std::uint32_t>::max());
  EXPECT_FALSE(request.sampling.seed);
  EXPECT_FALSE(request.sampling.logprobs);
  ASSERT_EQ(request.messages.size(), 1u);
  EXPECT_EQ(request.messages[0].role, "user");
  EXPECT_EQ(request.messages[0].content, "hi");
  EXPECT_EQ(request.hints.priority, 0);
  EXPECT_FALSE(call->says_return);
}

TEST(GenerationCall, CompletionsStopAfterSixteenTokensUnlessTold) {
  auto call = completion();
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->requests[0].sampling.max_tokens, 16u);
  ASSERT_EQ(call->requests[0].prompt.size(), 1u);
  EXPECT_EQ(call->requests[0].prompt[0].text.text, "Once");
}

TEST(GenerationCall, EveryParameterArrives) {
  auto call = chat(R"("max_tokens": 5, "max_completion_tokens": 7, "temperature": 0.5,
      "top_p": 0.25, "seed": -3, "stop": ["a", "b"], "n": 2, "logprobs": true, "top_logprobs": 4,
      "stream": true, "stream_options": {"include_usage": true}, "user": "u",
      "prompt_cache_key": "k", "store": false, "metadata": {"a": "b"}, "service_tier": "auto",
      "parallel_tool_calls": false, "logit_bias": {}, "presence_penalty": 0,
      "frequency_penalty": 0.0, "modalities": ["text"], "tools": null)");
  ASSERT_TRUE(call) << call.error().message;
  ASSERT_EQ(call->requests.size(), 2u);
  const Sampling& sampling = call->requests[0].sampling;
  EXPECT_EQ(sampling.max_tokens, 7u);
  EXPECT_EQ(sampling.temperature, 0.5);
  EXPECT_EQ(sampling.top_p, 0.25);
  EXPECT_EQ(sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(call->requests[1].sampling.seed, static_cast<std::uint64_t>(-2));
  EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(sampling.logprobs);
  EXPECT_EQ(sampling.top_logprobs, 4u);
  EXPECT_TRUE(call->stream);
  EXPECT_TRUE(call->include_usage);
  EXPECT_EQ(call->user, "u");
  EXPECT_EQ(call->cache_key, "k");
}

TEST(GenerationCall, WhatTheClientKnowsAboutItsProgram) {
  auto call = chat(R"("priority": 1, "sluice": {"program": "p", "tenant": "t", "rank": 3,
      "deadline_ms": 20, "expected_tokens": 50, "returns_in_ms": 7, "returns": true,
      "next_tool": "search", "deterministic": true, "priority": 5, "last": true,
      "policies": {"order": "deadline", "lifetime": "drop"}})",
                   1'000);
  ASSERT_TRUE(call) << call.error().message;
  const ProgramHints& hints = call->requests[0].hints;
  EXPECT_EQ(hints.program, "p");
  EXPECT_EQ(hints.tenant, "t");
  EXPECT_EQ(hints.priority, 5);
  EXPECT_EQ(hints.rank, 3u);
  EXPECT_EQ(hints.deadline_ns, 1'000 + 20 * kNsPerMs);
  EXPECT_EQ(hints.expected_tokens, 50u);
  EXPECT_EQ(hints.returns_at_ns, 1'000 + 7 * kNsPerMs);
  EXPECT_TRUE(hints.returns);
  EXPECT_EQ(hints.next_tool, "search");
  EXPECT_EQ(hints.policies.order, "deadline");
  EXPECT_EQ(hints.policies.lifetime, "drop");
  EXPECT_TRUE(call->requests[0].deterministic);
  EXPECT_TRUE(call->last);
  EXPECT_TRUE(call->says_return);
}

TEST(GenerationCall, ConversationsWithToolsComeAsTheyWere) {
  auto call = read_chat_call(json(R"({"model": "m", "messages": [
      {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "user", "content": "q", "name": "ann"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{broken"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "42"}],
      "tools": [{"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"type": "object"}, "strict": true}}]})"),
                             0);
  ASSERT_TRUE(call) << call.error().message;
  const auto& messages = call->requests[0].messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].content, "a\nb");
  ASSERT_TRUE(messages[2].tool_calls.is_array());
  EXPECT_EQ(canonical_json(messages[2].tool_calls),
            R"([{"arguments":{"x":1},"id":"c1","name":"f"},)"
            R"({"arguments":"{broken","id":"c2","name":"g"}])");
  EXPECT_EQ(messages[3].tool_call_id, "c1");
  ASSERT_EQ(call->requests[0].tools.size(), 1u);
  EXPECT_EQ(call->requests[0].tools[0].name, "f");
  EXPECT_EQ(call->earlier_calls, 2u);
  EXPECT_EQ(call->marks.size(), 4u);
}

constexpr std::string_view kTools =
    R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
       "properties": {"x": {"type": "integer"}}, "required": ["x"]}}},
       {"type": "function", "function": {"name": "g"}}])";

TEST(GenerationCall, ToolChoice) {
  auto none = chat(std::string(kTools) + R"(, "tool_choice": "none")");
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_TRUE(none->requests[0].tools.empty());
  EXPECT_FALSE(none->forced_call);

  auto required = chat(std::string(kTools) + R"(, "tool_choice": "required")");
  ASSERT_TRUE(required) << required.error().message;
  EXPECT_TRUE(required->forced_call);
  EXPECT_TRUE(required->requests[0].tools.empty());
  ASSERT_NE(required->requests[0].output, nullptr);
  const Schema& both = *required->requests[0].output;
  EXPECT_TRUE(both.valid(json(R"({"tool": "f", "arguments": {"x": 1}})")));
  EXPECT_TRUE(both.valid(json(R"({"tool": "g", "arguments": {}})")));
  EXPECT_FALSE(both.valid(json(R"({"tool": "f", "arguments": {}})")));
  EXPECT_FALSE(both.valid(json(R"({"answer": "no"})")));
  EXPECT_EQ(required->requests[0].messages.front().role, "system");

  auto named = chat(std::string(kTools) +
                    R"(, "tool_choice": {"type": "function", "function": {"name": "g"}})");
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_FALSE(named->requests[0].output->valid(json(R"({"tool": "f", "arguments": {"x": 1}})")));
  EXPECT_TRUE(named->requests[0].output->valid(json(R"({"tool": "g", "arguments": {}})")));
}

TEST(GenerationCall, ResponseFormats) {
  auto any = chat(R"("response_format": {"type": "json_object"})");
  ASSERT_TRUE(any) << any.error().message;
  ASSERT_NE(any->requests[0].output, nullptr);
  EXPECT_TRUE(any->requests[0].output->valid(json("{}")));
  EXPECT_FALSE(any->requests[0].output->valid(json("1")));
  auto schema = chat(R"("response_format": {"type": "json_schema", "json_schema": {"name": "n",
      "strict": true, "schema": {"type": "object", "properties": {"a": {"type": "integer"}},
      "required": ["a"], "additionalProperties": false}}})");
  ASSERT_TRUE(schema) << schema.error().message;
  EXPECT_TRUE(schema->requests[0].output->valid(json(R"({"a": 1})")));
  EXPECT_FALSE(schema->requests[0].output->valid(json(R"({"a": "x"})")));
  auto text = chat(R"("response_format": {"type": "text"})");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->requests[0].output, nullptr);
}

TEST(GenerationCall, SeveralPromptsAreSeveralChoices) {
  auto call = read_completion_call(
      json(R"({"model": "m", "prompt": ["one", "two"], "n": 2, "echo": true, "best_of": 2,
               "logprobs": null, "suffix": null})"),
      0);
  ASSERT_TRUE(call) << call.error().message;
  ASSERT_EQ(call->requests.size(), 4u);
  EXPECT_EQ(call->choices_per_prompt, 2u);
  EXPECT_EQ(call->requests[1].prompt[0].text.text, "one");
  EXPECT_EQ(call->requests[2].prompt[0].text.text, "two");
  EXPECT_EQ(call->echoes, (std::vector<std::string>{"one", "one", "two", "two"}));
}

struct BadCase {
  std::string_view more;
  std::string_view param;
  std::string_view code;
  std::string_view words;  // in the message
};

void expect_bad(const Chat& call, const BadCase& bad) {
  ASSERT_FALSE(call) << bad.more;
  EXPECT_EQ(call.error().status, 400) << bad.more;
  EXPECT_EQ(call.error().param, bad.param) << bad.more << ": " << call.error().message;
  EXPECT_EQ(call.error().code, bad.code) << bad.more << ": " << call.error().message;
  EXPECT_NE(call.error().message.find(bad.words), std::string::npos)
      << bad.more << ": " << call.error().message;
}

TEST(GenerationCall, ChatMistakesAreNamedByTheirPath) {
  for (const BadCase& bad : std::initializer_list<BadCase>{
           {R"("temperature": "hot")", "temperature", "invalid_type", "a number"},
           {R"("temperature": 2.5)", "temperature", "invalid_value", "from 0 to 2"},
           {R"("temperature": -1)", "temperature", "invalid_value", "from 0 to 2"},
           {R"("top_p": 1.5)", "top_p", "invalid_value", "from 0 to 1"},
           {R"("max_tokens": 0)", "max_tokens", "invalid_value", "from 1"},
           {R"("max_tokens": 1.5)", "max_tokens", "invalid_type", "an integer"},
           {R"("max_tokens": 99999999999999999999999)", "max_tokens", "invalid_value", "from 1"},
           {R"("n": 0)", "n", "invalid_value", "from 1"},
           {R"("n": 1000)", "n", "invalid_value", "from 1"},
           {R"("seed": 99999999999999999999999)", "seed", "invalid_value", "from"},
           {R"("stop": [""])", "stop[0]", "invalid_value", "1 to"},
           {R"("stop": 3)", "stop", "invalid_value", "string"},
           {R"("stream": "yes")", "stream", "invalid_type", "true or false"},
           {R"("stream_options": {"include_usage": true})", "stream_options", "invalid_value",
            "stream: true"},
           {R"("stream": true, "stream_options": {"usage": true})", "stream_options.usage",
            "unknown_parameter", "no parameter"},
           {R"("logit_bias": {"5": 1})", "logit_bias", "unsupported_parameter", "not supported"},
           {R"("presence_penalty": 0.5)", "presence_penalty", "unsupported_parameter", "penalties"},
           {R"("audio": {"voice": "x"})", "audio", "unsupported_parameter", "text"},
           {R"("modalities": ["text", "audio"])", "modalities", "unsupported_parameter", "text"},
           {R"("functions": [])", "functions", "unsupported_parameter", "tools"},
           {R"("top_logprobs": 3)", "top_logprobs", "invalid_value", "logprobs: true"},
           {R"("temprature": 1)", "temprature", "unknown_parameter", "did you mean `temperature`"},
           {R"("sluice": {"prioritty": 1})", "sluice.prioritty", "unknown_parameter", "priority"},
           {R"("sluice": {"policies": {"fairness": "none"}})", "sluice.policies.fairness",
            "invalid_value", "--policy"},
           {R"("sluice": {"policies": {"order": "random"}})", "sluice.policies.order",
            "invalid_value", "program"},
           {R"("sluice": 5)", "sluice", "invalid_type", "an object"},
           {R"("priority": 100000)", "priority", "invalid_value", "from"},
           {R"("tool_choice": "required")", "tool_choice", "invalid_value", "holds none"},
           {R"("tools": [{"type": "function"}])", "tools[0].function", "missing_required_parameter",
            "missing"},
           {R"("tools": [{"type": "function", "function": {"name": "a b"}}])",
            "tools[0].function.name", "invalid_value", "letters"},
           {R"("tools": [{"type": "retrieval", "function": {"name": "a"}}])", "tools[0].type",
            "invalid_value", "function"},
           {R"("tools": [{"type": "function", "function": {"name": "ab"}}],
               "tool_choice": {"type": "function", "function": {"name": "ac"}})",
            "tool_choice.function.name", "invalid_value", "did you mean ab"},
           {R"("response_format": {"type": "xml"})", "response_format.type", "invalid_value",
            "json_object"},
           {R"("response_format": {"type": "json_schema", "json_schema": {"strict": true,
               "schema": {"type": "nothing"}}})",
            "response_format.json_schema.schema", "invalid_schema", "enforced"},
           {R"("response_format": {"type": "json_schema", "json_schema": {
              "name": "n", "schema": {"$ref": "#"}}})",
            "response_format.json_schema.schema", "invalid_schema", "itself"},
           {R"("response_format": {"type": "json_schema", "json_schema": {
              "name": "n", "schema": {"type": "strin"}}})",
            "response_format.json_schema.schema", "invalid_schema", "/type"},
       }) {
    expect_bad(chat(bad.more), bad);
  }
}

TEST(GenerationCall, MessageMistakesAreNamedByTheirPath) {
  for (const BadCase& bad : std::initializer_list<BadCase>{
           {R"([])", "messages", "invalid_value", "no message"},
           {R"("hi")", "messages", "invalid_type", "an array"},
           {R"([1])", "messages[0]", "invalid_type", "an object"},
           {R"([{"content": "x"}])", "messages[0].role", "missing_required_parameter", "missing"},
           {R"([{"role": "robot", "content": "x"}])", "messages[0].role", "invalid_value", "user"},
           {R"([{"role": "user"}])", "messages[0].content", "missing_required_parameter",
            "missing"},
           {R"([{"role": "user", "content": 5}])", "messages[0].content", "invalid_type",
            "string or an array"},
           {R"([{"role": "user", "content": "x"}, {"role": "user", "content":
               [{"type": "image_url", "image_url": {"url": "u"}}]}])",
            "messages[1].content[0].type", "unsupported_parameter", "text only"},
           {R"([{"role": "tool", "content": "x"}])", "messages[0].tool_call_id",
            "missing_required_parameter", "missing"},
           {R"([{"role": "assistant", "tool_calls": [{"id": "c"}]}])",
            "messages[0].tool_calls[0].function", "missing_required_parameter", "missing"},
           {R"([{"role": "user", "content": "x", "colour": "red"}])", "messages[0].colour",
            "unknown_parameter", "no parameter"},
       }) {
    auto call =
        read_chat_call(json(R"({"model": "m", "messages": )" + std::string(bad.more) + "}"), 0);
    expect_bad(call, bad);
  }
}

TEST(GenerationCall, CompletionMistakesAreNamedByTheirPath) {
  for (const BadCase& bad : std::initializer_list<BadCase>{
           {R"("suffix": "end")", "suffix", "unsupported_parameter", "end"},
           {R"("best_of": 3)", "best_of", "unsupported_parameter", "ranked"},
           {R"("echo": true, "logprobs": 1)", "echo", "unsupported_parameter", "logprobs"},
           {R"("messages": [])", "messages", "unknown_parameter", "no parameter"},
       }) {
    expect_bad(completion(bad.more), bad);
  }
  auto tokens = read_completion_call(json(R"({"model": "m", "prompt": [1, 2]})"), 0);
  expect_bad(tokens, {"", "prompt[0]", "invalid_type", "tokens"});
  auto none = read_completion_call(json(R"({"model": "m", "prompt": []})"), 0);
  expect_bad(none, {"", "prompt", "invalid_value", "no text"});
  expect_bad(read_completion_call(json("[]"), 0), {"", "", "invalid_type", "an object"});
  expect_bad(read_completion_call(json(R"({"prompt": "x"})"), 0),
             {"", "model", "missing_required_parameter", "missing"});
}

}  // namespace
}  // namespace sluice
