// reorder_templates: what changes its place in a prompt, and what stays where it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kAllow = "allow: [reorder_templates]\n";

std::string with_message(std::string_view content) {
  return fmt::format(
      "  ask:\n    for_each: '{{{{ params.p }}}}'\n    llm: default\n    with: {{messages: "
      "[{{role: "
      "system, content: Be short.}}, {{role: user, content: {}}}]}}\n",
      content);
}

Optimized reordered(std::string_view steps, std::string_view rest = kAllow) {
  return optimize_text(with_tools(steps, rest), {"reorder_templates"});
}

// The text of the user's message when `content` (YAML) was written.
std::string message_of(std::string_view content) {
  const Optimized done = reordered(with_message(content));
  const Step* step = done.rewritten().find_step("ask");
  const Binding& message = step->with.find("messages")->items[1];
  return binding_line(*message.find("content"));
}

std::vector<std::string> notes_of(std::string_view content) {
  return reordered(with_message(content)).notes();
}

TEST(ReorderTemplates, WhatIsSaidToEveryRowComesFirst) {
  EXPECT_EQ(message_of(R"("Entry: {{ item.text }}\n\nIs it about security? Answer yes or no.")"),
            "Is it about security? Answer yes or no.\n\nEntry: {{ item.text }}");
  EXPECT_THAT(notes_of(R"("Entry: {{ item.text }}\n\nIs it about security? Answer yes or no.")"),
              ElementsAre("reorder_templates ask: what is the same for all rows comes first: about "
                          "10 tokens more are computed once"));
}

TEST(ReorderTemplates, ByLinesWhereThereIsOneParagraph) {
  EXPECT_EQ(message_of(R"("{{ item }}\nName the language that this text is written in.")"),
            "Name the language that this text is written in.\n{{ item }}");
}

TEST(ReorderTemplates, KeepsTheOrderWithinBothGroups) {
  EXPECT_EQ(message_of(R"("You judge texts.\n\nA {{ item.a }}\n\nOne: this is the first rule.)"
                       R"(\n\nB {{ item.b }}\n\nTwo: this is the second rule.")"),
            "You judge texts.\n\nOne: this is the first rule.\n\nTwo: this is the second "
            "rule.\n\nA {{ item.a }}\n\nB {{ item.b }}");
}

TEST(ReorderTemplates, LabelsAndMarksStayWithTheirText) {
  EXPECT_EQ(message_of(R"("Text:\n\n{{ item }}\n\nSay in one word what the text is about.")"),
            "Say in one word what the text is about.\n\nText:\n\n{{ item }}");
  EXPECT_EQ(message_of(R"("<text>\n{{ item }}\n</text>\nSay in one word what the text is about.")"),
            "Say in one word what the text is about.\n<text>\n{{ item }}\n</text>");
  EXPECT_EQ(message_of("\"Here it is:\\n```\\n{{ item }}\\n```\\nSay what language that is, "
                       "please.\\nLanguage:\""),
            "Say what language that is, please.\nHere it is:\n```\n{{ item }}\n```\nLanguage:");
}

TEST(ReorderTemplates, WhatIsTheSameForAllRowsMayBeRead) {
  EXPECT_EQ(
      message_of(R"("{{ item.text }}\n\nTranslate it to {{ params.n }}, please; only that.")"),
      "Translate it to {{ params.n }}, please; only that.\n\n{{ item.text }}");
}

TEST(ReorderTemplates, BracesInQuotesAreNoEnd) {
  EXPECT_EQ(message_of(R"("{{ item['}}'] }}\n\nSay in one word what the text is about.")"),
            "Say in one word what the text is about.\n\n{{ item['}}'] }}");
}

TEST(ReorderTemplates, NothingToDo) {
  for (const char* content :
       {R"("Say what this is about: {{ item }}")", R"("{{ item }}")", R"("Nothing that is read.")",
        R"("Say in one word what the text is about.\n\n{{ item }}")"}) {
    EXPECT_THAT(notes_of(content), IsEmpty()) << content;
  }
}

TEST(ReorderTemplates, LeftAloneWithAReason) {
  EXPECT_THAT(notes_of(R"("{{ item }}\n\nWhat is the text above about? One word.")"),
              ElementsAre(HasSubstr("refused ask: its text says \"above\"")));
  EXPECT_THAT(notes_of(R"("{% if item %}x{% endif %}\n\nWhat is the text about? One word.")"),
              ElementsAre(HasSubstr("refused ask: its text has {% %}")));
  EXPECT_THAT(notes_of(R"("{{- item }}\n\nWhat is the text about? One word.")"),
              ElementsAre(HasSubstr("whitespace control")));
  EXPECT_THAT(notes_of(R"("{{ item }}\n\nWhich tongue?")"),
              ElementsAre(HasSubstr("refused ask: only about 3 tokens more would come first")));
}

TEST(ReorderTemplates, APromptKeepsItsEnd) {
  const std::string prompt =
      "  ask: {for_each: '{{ params.p }}', llm: default, with: {prompt: \"{{ item }}\\n\\nThe text "
      "is from a newspaper of today.\\n\\nIt is about\"}}\n";
  EXPECT_THAT(reordered(prompt).step("ask"),
              HasSubstr("prompt: The text is from a newspaper of today.\n\n{{ item }}\n\nIt is "
                        "about}"));
  const std::string chat =
      "  ask: {for_each: '{{ params.p }}', llm: default, with: {prompt: \"<|user|>\\n{{ item "
      "}}\\n\\nSay what it is about, please.\\n<|assistant|>\"}}\n";
  EXPECT_THAT(reordered(chat).notes(), ElementsAre(HasSubstr("a chat format of its own")));
}

TEST(ReorderTemplates, OnlyTheFirstMessageThatDiffers) {
  const Optimized done = reordered(
      "  ask:\n"
      "    for_each: '{{ params.p }}'\n"
      "    llm: default\n"
      "    with:\n"
      "      messages:\n"
      "        - {role: user, content: \"A: {{ item.a }}\\n\\nThis is said to each and every "
      "row.\"}\n"
      "        - {role: assistant, content: yes}\n"
      "        - {role: user, content: \"B: {{ item.b }}\\n\\nThis is said to each and every "
      "row.\"}\n");
  EXPECT_THAT(done.step("ask"), HasSubstr("content: This is said to each and every row.\n\nA: "));
  EXPECT_THAT(done.step("ask"), HasSubstr("content: B: {{ item.b }}\n\nThis is said"));
}

TEST(ReorderTemplates, PromptsThatShareTheRowStay) {
  const Optimized done = reordered(
      "  a: {for_each: '{{ params.p }}', llm: default, with: {messages: [{role: user, content: "
      "\"{{ item }}\\n\\nIs the text about security, yes or no?\"}]}}\n"
      "  b: {for_each: '{{ params.p }}', llm: default, with: {messages: [{role: user, content: "
      "\"{{ item }}\\n\\nIs the text about performance, yes or no?\"}]}}\n");
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr("refused a: b begins with the same row"),
                                        HasSubstr("refused b: a begins with the same row")));
}

TEST(ReorderTemplates, NotForOneTask) {
  const std::string once =
      "  ask: {llm: default, with: {messages: [{role: user, content: \"{{ params.p "
      "}}\\n\\nIs the text about security, yes or no?\"}]}}\n";
  EXPECT_THAT(reordered(once).notes(), IsEmpty());
  // The same as a plan that another one calls for each row.
  const Optimized done =
      reordered("  each: {for_each: [1, 2, 3], plan: row, with: {p: '{{ item }}'}}\n",
                std::string(kAllow) + "plans:\n  row:\n    params: {p: {}}\n    steps:\n    " +
                    once + "    result: '{{ steps.ask.output }}'\n");
  EXPECT_THAT(done.step("ask", "row"),
              HasSubstr("content: Is the text about security, yes or no?\n\n{{ params.p }}"));
  ASSERT_EQ(done.plan.notes.size(), 1u);
  ASSERT_TRUE(done.plan.notes[0].saved_tokens);
  EXPECT_NEAR(*done.plan.notes[0].saved_tokens, 2 * 10, 2);
}

}  // namespace
}  // namespace sluice
