// Where prompts that differ in a question are parted, and where they cannot be.
#include "optimize/question_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Parted {
  const char* name;
  std::vector<std::string> texts;
  const char* front;
  std::vector<std::string> questions;
  const char* back;
};

TEST(QuestionSplit, WholeSentencesOrLines) {
  const Parted cases[] = {
      {"lines at the end",
       {"{{ item }}\n\nWhat is it about?", "{{ item }}\n\nWhich names stand in it?"},
       "{{ item }}\n\n",
       {"What is it about?", "Which names stand in it?"},
       ""},
      {"equal words of the questions belong to them",
       {"{{ item }}\nIs it about sports?", "{{ item }}\nIs it about trade?"},
       "{{ item }}\n",
       {"Is it about sports?", "Is it about trade?"},
       ""},
      {"an order that all give stays behind them",
       {"{{ a }}\nIs it new? Answer yes or no.", "{{ a }}\nIs it good? Answer yes or no."},
       "{{ a }}\n",
       {"Is it new?", "Is it good?"},
       " Answer yes or no."},
      {"the question first",
       {"Is it new?\n\n{{ a }}", "Who wrote it?\n\n{{ a }}"},
       "",
       {"Is it new?", "Who wrote it?"},
       "\n\n{{ a }}"},
      {"behind a sentence on the same line",
       {"Read {{ a }} well. Is it new?", "Read {{ a }} well. Who wrote it?"},
       "Read {{ a }} well. ",
       {"Is it new?", "Who wrote it?"},
       ""},
      {"right behind what is read",
       {"{{ a }} Is it new?", "{{ a }} Who wrote it?"},
       "{{ a }} ",
       {"Is it new?", "Who wrote it?"},
       ""},
      {"braces and quotes inside of what is read",
       {"{{ {'a': {'b': '}}'}}.a.b }}\nOne?", "{{ {'a': {'b': '}}'}}.a.b }}\nTwo?"},
       "{{ {'a': {'b': '}}'}}.a.b }}\n",
       {"One?", "Two?"},
       ""},
      {"a single brace is text",
       {"{{ a }}\nAnswer as {x: 1}.", "{{ a }}\nAnswer as {y: 1}."},
       "{{ a }}\n",
       {"Answer as {x: 1}.", "Answer as {y: 1}."},
       ""},
      {"three of them",
       {"T: {{ a }}\nA?\nShort.", "T: {{ a }}\nBB?\nShort.", "T: {{ a }}\nCCC?\nShort."},
       "T: {{ a }}\n",
       {"A?", "BB?", "CCC?"},
       "\nShort."},
      {"nothing is read", {"Long text.\nA?", "Long text.\nB?"}, "Long text.\n", {"A?", "B?"}, ""},
  };
  for (const Parted& each : cases) {
    auto split = split_questions(each.texts);
    ASSERT_TRUE(split) << each.name << ": " << split.error();
    EXPECT_EQ(split->front, each.front) << each.name;
    EXPECT_EQ(split->questions, each.questions) << each.name;
    EXPECT_EQ(split->back, each.back) << each.name;
  }
}

TEST(QuestionSplit, WhatCannotBeParted) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"{{ a }}\nIs it new?", "{{ b }}\nIs it new?"}, "read from somewhere"},
      {{"{{ a }}\n{{ q }}", "{{ a }}\nIs it new?"}, "read from somewhere"},
      {{"{{ a }}\nIs {{ b }} new?", "{{ a }}\nIs {{ b }} old? And {{ c }}?"}, "read from"},
      {{"{{ a | upper }}\nNew?", "{{ a | lower }}\nNew?"}, "read from somewhere"},
      {{"Does {{ a }} speak of trade?", "Does {{ a }} speak of sports?"}, "no sentence"},
      {{"Is there trade in {{ a }}?", "Are there sports in {{ a }}?"}, "no sentence"},
      {{"{{ a }}\nIs it new?", "{{ a }}\n"}, "no sentence"},
  };
  for (const auto& [texts, why] : cases) {
    auto split = split_questions(texts);
    ASSERT_FALSE(split) << texts[0] << " / " << texts[1] << " -> " << split->questions[0];
    EXPECT_THAT(std::string(split.error()), HasSubstr(why)) << texts[0];
  }
}

TEST(QuestionSplit, TagsOfATemplate) {
  auto tags = template_tags("a {{ b }}{% if c %}{# }} #}d{{ '}}' }}");
  ASSERT_TRUE(tags);
  EXPECT_THAT(*tags,
              ElementsAre(TextRange(2, 9), TextRange(9, 19), TextRange(19, 27), TextRange(28, 38)));
  EXPECT_FALSE(template_tags("a {{ b }"));
  EXPECT_TRUE(template_tags("a { b }")->empty());
}

}  // namespace
}  // namespace sluice
