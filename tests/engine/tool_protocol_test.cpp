#include "engine/tool_protocol.h"

#include <gtest/gtest.h>

#include "data/json.h"

namespace sluice {
namespace {

Value json(std::string_view text) { return *parse_json(text); }

std::vector<ModelTool> two_tools() {
  return {{.name = "add",
           .description = "Adds.",
           .parameters = json(R"({"type":"object","required":["a"],"additionalProperties":false,
               "properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"integer"}}})")},
          {.name = "now", .description = "The time.", .parameters = Value()}};
}

TEST(ToolProtocolTest, TheSchemaAllowsOneCallOrTheAnswer) {
  auto tools = two_tools();
  auto compiled = Schema::compile(tool_choice_schema(tools, Value()));
  ASSERT_TRUE(compiled.schema) << compiled.problems.at(0).message;
  struct Case {
    const char* text;
    bool fits;
  };
  for (auto [text, fits] : {Case{R"({"tool":"add","arguments":{"a":1}})", true},
                            Case{R"({"tool":"add","arguments":{"a":"x"}})", false},
                            Case{R"({"tool":"add","arguments":{}})", false},
                            Case{R"({"tool":"now","arguments":{}})", true},
                            Case{R"({"tool":"other","arguments":{}})", false},
                            Case{R"({"answer":"42"})", true}, Case{R"({"answer":42})", false},
                            Case{R"({"tool":"now","arguments":{},"answer":"x"})", false}}) {
    EXPECT_EQ(compiled.schema->valid(json(text)), fits) << text;
  }
}

TEST(ToolProtocolTest, TheAnswerHasTheSchemaOfTheOutput) {
  auto answer = json(R"({"$ref":"#/$defs/x","$defs":{"x":{"type":"boolean"}}})");
  auto compiled = Schema::compile(tool_choice_schema(two_tools(), answer));
  ASSERT_TRUE(compiled.schema) << compiled.problems.at(0).message;
  EXPECT_TRUE(compiled.schema->valid(json(R"({"answer":true})")));
  EXPECT_FALSE(compiled.schema->valid(json(R"({"answer":"yes"})")));
}

TEST(ToolProtocolTest, DescribesToolsAndWritesOutWhatHappened) {
  std::vector<ModelMessage> messages{
      {.role = "user", .content = "2+3?"},
      {.role = "assistant",
       .tool_calls = json(R"([{"id":"c1","name":"add","arguments":{"a":2}}])")},
      {.role = "tool", .content = "5", .tool_call_id = "c1"}};
  auto out = with_tools(messages, two_tools());
  ASSERT_EQ(out.size(), 4U);
  EXPECT_EQ(out[0].role, "system");
  EXPECT_NE(out[0].content.find("- add: Adds."), std::string::npos);
  EXPECT_EQ(out[2].content, R"({"tool":"add","arguments":{"a":2}})");
  EXPECT_EQ(out[3].role, "user");
  EXPECT_EQ(out[3].content, "Result of add:\n5");
  messages.insert(messages.begin(), {.role = "system", .content = "Be kind."});
  out = with_tools(messages, two_tools());
  ASSERT_EQ(out.size(), 4U);
  EXPECT_TRUE(out[0].content.starts_with("Be kind.\n\nYou can call"));
  EXPECT_EQ(with_tools(messages, {})[0].content, "Be kind.");
}

TEST(ToolProtocolTest, ReadsTheChoiceBack) {
  auto call = read_tool_choice(json(R"({"tool":"add","arguments":{"a":1}})"), 3);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->tool_calls, json(R"([{"id":"call_3","name":"add","arguments":{"a":1}}])"));
  auto answer = read_tool_choice(json(R"({"answer":"x"})"), 1);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->tool_calls.is_null());
  EXPECT_EQ(answer->answer, json(R"("x")"));
  for (std::string_view text : {"1", "{}", R"({"tool":1,"arguments":{}})", R"({"tool":"a"})"}) {
    auto wrong = read_tool_choice(json(text), 1);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().code(), ErrorCode::kOutputInvalid);
  }
}

}  // namespace
}  // namespace sluice
