// Which model steps' rows are asked group by group, and by how much of their prompts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::string> kOnly = {"group_by_prefix"};

TEST(GroupByPrefix, ByWhatIsConstantAndTheFirstBytesBehind) {
  auto done = optimize_text(with_tools(R"(
  ask:
    for_each: "{{ params.p }}"
    llm: default
    with: {prompt: "Text: {{ item.text }} {{ item.question }}"}
)"),
                            kOnly);
  EXPECT_EQ(done.physical("ask").advice.group_bytes, 6U + 512U);
  EXPECT_THAT(
      done.notes(),
      ElementsAre("group_by_prefix ask: rows whose prompts begin alike are asked together"));
  auto back = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ((*back)->steps[0].advice, done.plan.physical->steps[0].advice);
}

TEST(GroupByPrefix, OfMessagesAndOfSubPlansToo) {
  auto done = optimize_text(with_tools(R"(
  ask:
    for_each: "{{ params.p }}"
    llm: default
    with:
      messages:
        - {role: system, content: "Be short."}
        - {role: user, content: "{{ item.text }}"}
        - {role: user, content: "{{ item.question }}"}
  each: {for_each: "{{ params.p }}", plan: row, with: {doc: "{{ item.text }}", ask: "{{ item.q }}"}}
)",
                                       R"(plans:
  row:
    sluice: 1
    params: {doc: {}, ask: {}}
    steps:
      say: {llm: default, with: {prompt: "{{ params.doc }}\n{{ params.ask }}"}}
    result: "{{ steps.say.output }}"
)"),
                            kOnly, R"({"p": [{"text": "a"}, {"text": "b"}]})");
  EXPECT_GT(done.physical("ask").advice.group_bytes, 512U);
  EXPECT_EQ(done.physical("each/say").advice.group_bytes, 512U);
}

TEST(GroupByPrefix, NotWhereNothingIsWonOrTheOrderMatters) {
  const char* const steps[] = {
      "one thing is read: {for_each: '{{ params.p }}', llm: default, with: {prompt: 'x {{ item "
      "}}'}}",
      "one row: {llm: default, with: {prompt: '{{ params.p }} {{ params.n }}'}}",
      "tools: {for_each: '{{ params.p }}', llm: default, with: {prompt: '{{ item.a }} {{ index "
      "}}', tools: [calc]}}",
      "unknown: {for_each: '{{ params.p }}', llm: default, with: {messages: '{{ item }}'}}",
      "a tool: {for_each: '{{ params.p }}', tool: calc, with: {args: ['{{ item.a }}{{ item.b "
      "}}']}}",
  };
  for (const std::string step : steps) {
    SCOPED_TRACE(step);
    auto done = optimize_text(with_tools("  s" + step.substr(step.find(": {")) + "\n"), kOnly);
    EXPECT_EQ(done.physical("s").advice.group_bytes, 0U);
    EXPECT_THAT(done.notes(), IsEmpty());
  }
}

TEST(GroupByPrefix, SaysWhyNot) {
  auto done = optimize_text(with_tools(R"(
  in_order:
    for_each: "{{ params.p }}"
    concurrency: 1
    llm: default
    with: {prompt: "{{ item.text }} {{ item.question }}"}
  paid:
    for_each: "{{ params.p }}"
    budget: {tokens: 1000}
    llm: default
    with: {prompt: "{{ item.text }} {{ item.question }}"}
)"),
                            kOnly);
  EXPECT_EQ(done.physical("in_order").advice.group_bytes, 0U);
  EXPECT_EQ(done.physical("paid").advice.group_bytes, 0U);
  EXPECT_THAT(done.notes(),
              ElementsAre("group_by_prefix refused in_order: `concurrency: 1` asks for the order "
                          "of the items",
                          "group_by_prefix refused paid: a budget would be spent on other rows"));
}

TEST(GroupByPrefix, OneNoteForAllOfThem) {
  std::string steps;
  for (const char* id : {"a", "b", "c"}) {
    steps += std::string("  ") + id +
             ": {for_each: '{{ params.p }}', llm: default, with: {prompt: '{{ item.text }} "
             "{{ item.question }}'}}\n";
  }
  auto done = optimize_text(with_tools(steps), kOnly);
  EXPECT_THAT(done.notes(), Contains("group_by_prefix: rows of a and 2 more whose prompts begin "
                                     "alike are asked together"));
}

}  // namespace
}  // namespace sluice
