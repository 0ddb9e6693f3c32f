// Fuzzes the bodies of the server's routes: whatever comes, it is read or refused in words that
// name a field, and what was read can be answered. The canary proves that the laws can fail.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "data/json.h"
#include "serve/embedding_call.h"
#include "serve/generation_call.h"
#include "serve/openai_reply.h"
#include "serve/program_of.h"
#include "serve/request_body.h"
#include "tests/fuzz/text_fuzz.h"

namespace sluice::test {
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})",
    R"({"model": "m", "messages": [{"role": "developer", "content": [{"type": "text", "text": "a"}]},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function",
      "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "4"}], "n": 2, "seed": -1, "stop": ["a", "b"],
      "temperature": 0.5, "top_p": 0, "max_tokens": 5, "logprobs": true, "top_logprobs": 2})",
    R"({"model": "m", "messages": [{"role": "user", "content": "q"}], "stream": true,
      "stream_options": {"include_usage": true}, "priority": 3, "sluice": {"program": "p", "rank": 1,
      "deadline_ms": 5, "returns": true, "policies": {"order": "arrival"}, "last": true},
      "user": "u", "prompt_cache_key": "k", "metadata": {"a": "b"}, "logit_bias": {}})",
    R"({"model": "m", "messages": [{"role": "user", "content": "w"}], "tool_choice": "required",
      "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters":
      {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}}}]})",
    R"({"model": "m", "messages": [{"role": "user", "content": "w"}], "response_format": {"type":
      "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object",
      "properties": {"a": {"enum": ["x", 1]}, "b": {"$ref": "#/$defs/t"}}, "required": ["a"],
      "additionalProperties": false, "$defs": {"t": {"type": "integer"}}}}}})",
    R"({"model": "m", "prompt": ["one", "two"], "n": 2, "echo": true, "max_tokens": 3})",
    R"({"model": "m", "prompt": "one", "logprobs": 3, "best_of": 1, "suffix": null})",
    R"({"model": "m", "input": ["a", "b"], "encoding_format": "base64"})",
};

constexpr std::string_view kPieces[] = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e99",
    "1.5",
    "999999999999999999999",
    "\"\"",
    "\"x\"",
    "\"model\":",
    "\"messages\":",
    "\"role\":",
    "\"user\"",
    "\"content\":",
    "\"tools\":",
    "\"tool_choice\":",
    "\"auto\"",
    "\"type\":",
    "\"function\"",
    "\"stop\":",
    "\"n\":",
    "\"seed\":",
    "\"sluice\":",
    "\"priority\":",
    "\"prompt\":",
    "\"echo\":true,",
    "\"response_format\":",
    "\"schema\":",
    "\"json_object\"",
    "\"$ref\":\"#\"",
    "\"stream\":true,",
    "\"logprobs\":",
    "\xff",
    "\xc3\xa9",
    "\\ud800",
    "\\u0000",
    "[[[[[[[[[[",
    "\"arguments\":\"{\"",
};

Verdict broken(std::string law) { return {.broken_law = std::move(law), .accepted = false}; }

using Answer = std::function<std::string(const ReplyWriter&, const std::vector<ModelReply>&)>;

std::string whole(const ReplyWriter& writer, const std::vector<ModelReply>& replies) {
  return writer.whole(replies);
}

std::optional<std::string> wrong_error(const ApiError& error) {
  if (error.status != 400) return "refused with another status";
  if (error.message.empty() || error.code.empty()) return "refused without words";
  if (!parse_json(error_body(error))) return "an error that is no JSON";
  return std::nullopt;
}

std::optional<std::string> wrong_call(const GenerationCall& call, const Answer& answer) {
  if (call.requests.empty() || call.requests.size() > kMostChoices) return "choices out of bounds";
  if (call.requests.size() % call.choices_per_prompt != 0) return "choices without their prompts";
  ProgramIndex programs(8);
  for (std::size_t i = 0; i < call.requests.size(); ++i) {
    const ModelRequest& request = call.requests[i];
    if (request.messages.empty() == request.prompt.empty()) return "both or none";
    if (request.sampling.max_tokens == 0) return "nothing to generate";
    const ProgramGuess guess = programs.program_of(call, i, "t");
    if (guess.program.empty()) return "no program";
    programs.replied(call, i, "t", guess.program, {});
  }
  const ReplyWriter writer(call, {.id = "i", .model = "m"});
  std::vector<ModelReply> replies(call.requests.size());
  for (ModelReply& reply : replies) reply.text = "a \"quoted\" text";
  if (!parse_json(answer(writer, replies))) return "an answer that is no JSON";
  return std::nullopt;
}

Verdict judge(const std::string& text, const Answer& answer) {
  bool accepted = false;
  for (auto read : {&read_chat_call, &read_completion_call}) {
    auto call = read_body_now<GenerationCall>(text, 0, read);
    auto wrong = call ? wrong_call(*call, answer) : wrong_error(call.error());
    if (wrong) return broken(*wrong);
    accepted |= call.has_value();
  }
  auto embeddings = read_body_now<EmbeddingCall>(text, 0, &read_embedding_call);
  if (!embeddings) {
    if (auto wrong = wrong_error(embeddings.error())) return broken(*wrong);
  } else if (embeddings->texts.empty()) {
    return broken("nothing to embed");
  }
  accepted |= embeddings.has_value();
  return {.broken_law = std::nullopt, .accepted = accepted};
}

TextFuzz request_fuzz(const Answer& answer) {
  return {kSeeds, kPieces, [answer](const std::string& text) { return judge(text, answer); }};
}

TEST(ServeRequestFuzz, TheSeedsAreRead) {
  for (std::string_view seed : kSeeds) {
    Verdict verdict = judge(std::string(seed), whole);
    EXPECT_EQ(verdict.broken_law, std::nullopt) << seed;
    EXPECT_TRUE(verdict.accepted) << seed;
  }
}

TEST(ServeRequestFuzz, EveryBodyIsReadOrRefusedInWords) {
  auto found = run_fuzz(request_fuzz(whole), fuzz_limits());
  EXPECT_EQ(found.failure, std::nullopt);
  EXPECT_GT(found.texts, 100u);
  RecordProperty("texts", std::to_string(found.texts));
}

TEST(ServeRequestFuzz, TheCanaryIsCaught) {
  auto careless = [](const ReplyWriter& writer, const std::vector<ModelReply>& replies) {
    std::string text = writer.whole(replies);
    return replies.size() == 2 ? text.substr(1) : text;  // a seed has two choices
  };
  auto found = run_fuzz(request_fuzz(careless), {.seed = 1, .seconds = 60, .texts = 20'000});
  EXPECT_NE(found.failure, std::nullopt);
}

}  // namespace
}  // namespace sluice::test
