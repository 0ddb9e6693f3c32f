// Replies as OpenAI's clients read them.
#include "serve/openai_reply.h"

#include <gtest/gtest.h>

#include "data/json.h"

namespace sluice {
namespace {

ReplyWriter writer(GenerationCall call) {
  return {call, {.id = "id1", .model = "m", .fingerprint = "fp", .created_s = 7}};
}

Value json(std::string_view text) {
  auto parsed = parse_json(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Value();
}

// The canonical form of what stands at a path of keys and indexes.
std::string at(const Value& value, std::initializer_list<std::string_view> path) {
  const Value* now = &value;
  for (std::string_view key : path) {
    if (now->is_array()) {
      const auto index = static_cast<std::size_t>(key[0] - '0');
      if (index >= now->size()) return "(none)";
      now = &now->items()[index];
    } else {
      now = now->find(key);
    }
    if (now == nullptr) return "(none)";
  }
  return canonical_json(*now);
}

ModelReply says(std::string text) {
  ModelReply reply;
  reply.text = std::move(text);
  reply.usage = {.prompt_tokens = 10, .cached_tokens = 4, .completion_tokens = 3};
  return reply;
}

TEST(OpenAiReply, AWholeChat) {
  const std::vector<ModelReply> replies{says("hello"), says("hallo")};
  const Value body = json(writer({.chat = true, .choices_per_prompt = 2}).whole(replies));
  EXPECT_EQ(at(body, {"object"}), R"("chat.completion")");
  EXPECT_EQ(at(body, {"id"}), R"("id1")");
  EXPECT_EQ(at(body, {"created"}), "7");
  EXPECT_EQ(at(body, {"choices", "1", "index"}), "1");
  EXPECT_EQ(at(body, {"choices", "1", "message", "content"}), R"("hallo")");
  EXPECT_EQ(at(body, {"choices", "0", "finish_reason"}), R"("stop")");
  EXPECT_EQ(at(body, {"choices", "0", "logprobs"}), "null");
  EXPECT_EQ(at(body, {"usage", "prompt_tokens"}), "10") << "a prompt counts once";
  EXPECT_EQ(at(body, {"usage", "completion_tokens"}), "6");
  EXPECT_EQ(at(body, {"usage", "total_tokens"}), "16");
  EXPECT_EQ(at(body, {"usage", "prompt_tokens_details", "cached_tokens"}), "4");
}

TEST(OpenAiReply, PromptsOfSeveralTextsAllCount) {
  const std::vector<ModelReply> replies{says("a"), says("b")};
  GenerationCall call{.chat = false, .echoes = {"P", "Q"}};
  const Value body = json(writer(call).whole(replies));
  EXPECT_EQ(at(body, {"object"}), R"("text_completion")");
  EXPECT_EQ(at(body, {"choices", "1", "text"}), R"("Qb")");
  EXPECT_EQ(at(body, {"usage", "prompt_tokens"}), "20");
}

TEST(OpenAiReply, ToolCallsHaveTheirArgumentsAsText) {
  ModelReply reply;
  reply.finish = FinishReason::kToolCalls;
  reply.tool_calls = json(R"([{"id": "call_1", "name": "f", "arguments": {"x": "\u00e9"}}])");
  const std::vector<ModelReply> replies{reply};
  ReplyWriter chat = writer({.chat = true});
  const Value body = json(chat.whole(replies));
  EXPECT_EQ(at(body, {"choices", "0", "message", "content"}), "null");
  EXPECT_EQ(at(body, {"choices", "0", "finish_reason"}), R"("tool_calls")");
  EXPECT_EQ(at(body, {"choices", "0", "message", "tool_calls", "0"}),
            R"({"function":{"arguments":"{\"x\":\"é\"}","name":"f"},"id":"call_1",)"
            R"("type":"function"})");
  const Value delta = json(chat.late(0, reply));
  EXPECT_EQ(at(delta, {"choices", "0", "delta", "tool_calls", "0", "index"}), "0");
  EXPECT_EQ(at(delta, {"choices", "0", "delta", "tool_calls", "0", "id"}), R"("call_1")");
}

TEST(OpenAiReply, StreamsBeginWithTheRoleAndEndWithUsage) {
  ReplyWriter chat = writer({.chat = true, .include_usage = true});
  const Value begin = json(chat.begin(0));
  EXPECT_EQ(at(begin, {"object"}), R"("chat.completion.chunk")");
  EXPECT_EQ(at(begin, {"choices", "0", "delta", "role"}), R"("assistant")");
  EXPECT_EQ(at(begin, {"usage"}), "null");
  const Value text = json(chat.text(1, "piece"));
  EXPECT_EQ(at(text, {"choices", "0", "index"}), "1");
  EXPECT_EQ(at(text, {"choices", "0", "delta", "content"}), R"("piece")");
  EXPECT_EQ(at(text, {"choices", "0", "finish_reason"}), "null");
  EXPECT_EQ(chat.late(0, says("x")), "");
  ModelReply cut = says("x");
  cut.finish = FinishReason::kLength;
  EXPECT_EQ(at(json(chat.finish(0, cut)), {"choices", "0", "finish_reason"}), R"("length")");
  const std::vector<ModelReply> replies{cut};
  const Value usage = json(chat.usage(replies));
  EXPECT_EQ(at(usage, {"choices"}), "[]");
  EXPECT_EQ(at(usage, {"usage", "total_tokens"}), "13");
  EXPECT_EQ(writer({.chat = true}).usage(replies), "");
  EXPECT_EQ(at(json(writer({.chat = true}).text(0, "x")), {"usage"}), "(none)");
}

TEST(OpenAiReply, LogProbabilities) {
  ModelReply reply = says("h\xC3\xA9");
  reply.logprobs = {{.token = "h", .logprob = -0.5, .top = {{"h", -0.5}, {"x", -1.5}}},
                    {.token = "\xEF\xBF\xBD", .logprob = -1, .top = {}}};
  const std::vector<ModelReply> replies{reply};
  const Value chat = json(writer({.chat = true, .logprobs = true}).whole(replies));
  EXPECT_EQ(at(chat, {"choices", "0", "logprobs", "content", "0", "bytes"}), "[104]");
  EXPECT_EQ(at(chat, {"choices", "0", "logprobs", "content", "0", "top_logprobs", "1", "token"}),
            R"("x")");
  EXPECT_EQ(at(chat, {"choices", "0", "logprobs", "content", "1", "bytes"}), "null");
  const Value text = json(writer({.chat = false, .logprobs = true}).whole(replies));
  EXPECT_EQ(at(text, {"choices", "0", "logprobs", "token_logprobs"}), "[-0.5,-1]");
  EXPECT_EQ(at(text, {"choices", "0", "logprobs", "text_offset"}), "[0,1]");
  EXPECT_EQ(at(text, {"choices", "0", "logprobs", "top_logprobs", "0", "x"}), "-1.5");
}

TEST(OpenAiReply, EmbeddingsAsNumbersAndAsBase64) {
  EmbeddingVectors two{.vectors = {{1, -0.5F}, {0, 2}}, .tokens = 9};
  const Value numbers = json(embedding_reply(two, "m"));
  EXPECT_EQ(at(numbers, {"data", "0", "embedding"}), "[1,-0.5]");
  EXPECT_EQ(at(numbers, {"data", "1", "index"}), "1");
  EXPECT_EQ(at(numbers, {"usage", "total_tokens"}), "9");
  two.base64 = true;
  EXPECT_EQ(at(json(embedding_reply(two, "m")), {"data", "0", "embedding"}), R"("AACAPwAAAL8=")");
}

TEST(ApiErrors, StatusAndCodeOfOurErrors) {
  struct Case {
    ErrorCode code;
    int status;
    std::string_view type;
    std::string_view word;
  };
  for (const Case& one : {
           Case{ErrorCode::kPromptTooLong, 400, "invalid_request_error", "context_length_exceeded"},
           Case{ErrorCode::kModelRefused, 400, "invalid_request_error", "model_refused"},
           Case{ErrorCode::kValueInvalid, 400, "invalid_request_error", "value_invalid"},
           Case{ErrorCode::kModelOverloaded, 429, "rate_limit_error", "model_overloaded"},
           Case{ErrorCode::kRateLimited, 429, "rate_limit_error", "rate_limit_exceeded"},
           Case{ErrorCode::kTimeout, 504, "server_error", "timeout"},
           Case{ErrorCode::kDecodeFailed, 500, "server_error", "decode_failed"},
           Case{ErrorCode::kOutputInvalid, 500, "server_error", "output_invalid"},
           Case{ErrorCode::kModelUnreachable, 502, "server_error", "model_unreachable"},
           Case{ErrorCode::kModelAuth, 502, "server_error", "model_auth"},
           Case{ErrorCode::kCancelled, 503, "server_error", "cancelled"},
           Case{ErrorCode::kInternal, 500, "server_error", "internal"},
       }) {
    const ApiError error = api_error(Error(one.code, "words"), "messages");
    EXPECT_EQ(error.status, one.status) << one.word;
    EXPECT_EQ(error.type, one.type) << one.word;
    EXPECT_EQ(error.code, one.word);
    EXPECT_EQ(error.retry_after_ms.has_value(), one.status == 429) << one.word;
  }
  const ApiError too_long = api_error(Error(ErrorCode::kPromptTooLong, "words"), "messages");
  EXPECT_EQ(error_body(too_long),
            R"({"error":{"message":"words","type":"invalid_request_error","param":"messages",)"
            R"("code":"context_length_exceeded"}})");
  EXPECT_EQ(retry_after_seconds(1), 1);
  EXPECT_EQ(retry_after_seconds(1001), 2);
}

}  // namespace
}  // namespace sluice
