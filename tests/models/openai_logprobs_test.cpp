// Log probabilities in both forms that servers give them, and how they are asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "models/openai_wire.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<double> logprobs_of(std::string_view choice) {
  ReplyReader reader;
  auto read =
      reader.whole(R"({"choices": [{"finish_reason": "stop", )" + std::string(choice) + "}]}");
  EXPECT_TRUE(read) << read.error().to_string();
  auto reply = reader.finish({});
  EXPECT_TRUE(reply) << reply.error().to_string();
  std::vector<double> found;
  for (const TokenLogprob& each : reply->logprobs) found.push_back(each.logprob);
  return found;
}

TEST(OpenAiLogprobs, AreReadInBothForms) {
  EXPECT_THAT(logprobs_of(R"("message": {"content": "ab"}, "logprobs": {"content": [
                {"token": "a", "logprob": -0.5, "top_logprobs": []}, {"token": "b", "logprob": -1}]})"),
              ElementsAre(-0.5, -1));
  EXPECT_THAT(logprobs_of(R"("text": "ab", "logprobs": {"tokens": ["a", "b"],
                "token_logprobs": [null, -2.5], "text_offset": [0, 1]})"),
              ElementsAre(-2.5));
  for (const char* none :
       {R"("text": "ab")", R"("text": "ab", "logprobs": null)", R"("text": "ab", "logprobs": {})",
        R"("text": "ab", "logprobs": {"content": 1, "token_logprobs": "x"})"}) {
    EXPECT_THAT(logprobs_of(none), IsEmpty()) << none;
  }
}

// JSON has no infinity: what cannot be is null, and not certain.
TEST(OpenAiLogprobs, NullIsNotCertain) {
  auto found = logprobs_of(R"("message": {"content": "a"}, "logprobs": {"content": [
                               {"token": "a", "logprob": null}]})");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_LT(found[0], -100);
}

TEST(OpenAiLogprobs, AreAskedForWithAnAlternative) {
  for (bool chat : {true, false}) {
    ModelRequest request;
    if (chat) {
      request.messages = {{.role = "user", .content = "hi"}};
    } else {
      request.prompt.push_back({.text = {.text = "hi"}});
    }
    request.sampling.logprobs = true;
    auto call = openai_call(request, {.url = "http://h"}, false);
    ASSERT_TRUE(call);
    auto body = parse_json(call->body);
    ASSERT_TRUE(body);
    const Value* top = body->find(chat ? "top_logprobs" : "logprobs");
    ASSERT_TRUE(top);
    EXPECT_EQ(*top, Value::integer(1));
    request.sampling.logprobs = false;
    body = parse_json(openai_call(request, {.url = "http://h"}, false)->body);
    EXPECT_FALSE(body->find("logprobs"));
  }
}

}  // namespace
}  // namespace sluice
