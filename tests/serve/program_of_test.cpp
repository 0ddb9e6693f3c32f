// Which requests belong together, where nobody says so.
#include "serve/program_of.h"

#include <gtest/gtest.h>

#include "data/json.h"

namespace sluice {
namespace {

using Turn = std::pair<std::string, std::string>;  // role, content

GenerationCall chat(const std::vector<Turn>& turns) {
  GenerationCall call{.chat = true, .model = "m"};
  ModelRequest request;
  for (const auto& [role, content] : turns) {
    request.messages.push_back({.role = role, .content = content});
  }
  call.marks = message_marks(request.messages);
  call.requests.push_back(std::move(request));
  return call;
}

GenerationCall completion(std::string prompt) {
  GenerationCall call{.chat = false, .model = "m"};
  ModelRequest request;
  request.prompt = {PromptSegment{.text = {.text = std::move(prompt)}}};
  call.requests.push_back(std::move(request));
  return call;
}

ModelReply says(std::string text) {
  ModelReply reply;
  reply.text = std::move(text);
  return reply;
}

const Turn kSystem{"system", "be brief"};

TEST(ProgramOf, AChatThatGoesOnStaysInItsProgram) {
  ProgramIndex index;
  const GenerationCall first = chat({kSystem, {"user", "one"}});
  const ProgramGuess begun = index.program_of(first, 0, "t");
  EXPECT_FALSE(begun.seen_before);
  index.replied(first, 0, "t", begun.program, says("answer"));
  const ProgramGuess next = index.program_of(
      chat({kSystem, {"user", "one"}, {"assistant", "answer"}, {"user", "two"}}), 0, "t");
  EXPECT_TRUE(next.seen_before);
  EXPECT_EQ(next.program, begun.program);
  // Also where the client changed the answer: what it asked before is still there.
  const ProgramGuess edited = index.program_of(
      chat({kSystem, {"user", "one"}, {"assistant", "ANSWER"}, {"user", "two"}}), 0, "t");
  EXPECT_EQ(edited.program, begun.program);
}

TEST(ProgramOf, ASharedSystemMessageIsNoProgram) {
  ProgramIndex index;
  const ProgramGuess a = index.program_of(chat({kSystem, {"user", "one"}}), 0, "t");
  const ProgramGuess b = index.program_of(chat({kSystem, {"user", "two"}}), 0, "t");
  const ProgramGuess c = index.program_of(chat({kSystem, {"user", "one"}}), 0, "t");
  EXPECT_NE(a.program, b.program);
  EXPECT_NE(a.program, c.program) << "the same question may come from another";
}

TEST(ProgramOf, BranchesAreToldApartByTheirAnswers) {
  ProgramIndex index;
  const GenerationCall question = chat({{"user", "one"}});
  const ProgramGuess a = index.program_of(question, 0, "t");
  index.replied(question, 0, "t", a.program, says("red"));
  const ProgramGuess b = index.program_of(question, 0, "t");
  index.replied(question, 0, "t", b.program, says("blue"));
  EXPECT_EQ(index.program_of(chat({{"user", "one"}, {"assistant", "red"}, {"user", "x"}}), 0, "t")
                .program,
            a.program);
  EXPECT_EQ(index.program_of(chat({{"user", "one"}, {"assistant", "blue"}, {"user", "x"}}), 0, "t")
                .program,
            b.program);
}

TEST(ProgramOf, ToolCallsAreKnownAgainWhateverTheirIds) {
  ProgramIndex index;
  const GenerationCall question = chat({{"user", "one"}});
  const ProgramGuess a = index.program_of(question, 0, "t");
  ModelReply reply;
  reply.tool_calls = *parse_json(R"([{"id": "1", "name": "f", "arguments": {"a": 1, "b": 2}}])");
  index.replied(question, 0, "t", a.program, reply);
  index.program_of(question, 0, "t");  // somebody else asks the same
  GenerationCall next = chat({});
  next.requests[0].messages = {
      {.role = "user", .content = "one"},
      {.role = "assistant",
       .content = "",
       .tool_calls = *parse_json(R"([{"id": "9", "name": "f", "arguments": {"b": 2, "a": 1}}])")},
      {.role = "tool", .content = "5", .tool_call_id = "9"}};
  next.marks = message_marks(next.requests[0].messages);
  EXPECT_EQ(index.program_of(next, 0, "t").program, a.program);
}

TEST(ProgramOf, TenantsAndModelsNeverMeet) {
  ProgramIndex index;
  const GenerationCall first = chat({{"user", "one"}});
  const ProgramGuess mine = index.program_of(first, 0, "me");
  const GenerationCall longer = chat({{"user", "one"}, {"user", "two"}});
  EXPECT_NE(index.program_of(longer, 0, "you").program, mine.program);
  GenerationCall other = longer;
  other.model = "other";
  EXPECT_NE(index.program_of(other, 0, "me").program, mine.program);
  GenerationCall keyed = first;
  keyed.cache_key = "k";
  EXPECT_NE(index.program_of(keyed, 0, "me").program, index.program_of(keyed, 0, "you").program);
}

TEST(ProgramOf, WhatTheClientSaysComesFirst) {
  ProgramIndex index;
  GenerationCall call = chat({{"user", "one"}});
  call.user = "ann";
  const std::string by_user = index.program_of(call, 0, "").program;
  EXPECT_TRUE(index.program_of(call, 0, "").seen_before);
  call.cache_key = "ann";
  const std::string by_key = index.program_of(call, 0, "").program;
  call.requests[0].hints.program = "ann";
  const std::string stated = index.program_of(call, 0, "").program;
  EXPECT_NE(by_user, by_key);
  EXPECT_NE(by_key, stated);
  EXPECT_NE(by_user, stated);
}

TEST(ProgramOf, PromptsThatExtendAnEarlierOne) {
  ProgramIndex index;
  const std::string start(200, 'a');
  const GenerationCall first = completion(start);
  const ProgramGuess a = index.program_of(first, 0, "t");
  index.replied(first, 0, "t", a.program, says(" and so on"));
  EXPECT_EQ(index.program_of(completion(start + " and so on, then"), 0, "t").program, a.program);
  EXPECT_EQ(index.program_of(completion(start + "b"), 0, "t").program, a.program);
  EXPECT_NE(index.program_of(completion(std::string(199, 'a') + "b"), 0, "t").program, a.program);
  EXPECT_NE(index.program_of(completion(start.substr(0, 150)), 0, "t").program, a.program);
  // Short beginnings say nothing.
  const ProgramGuess hello = index.program_of(completion("Hello"), 0, "t");
  EXPECT_NE(index.program_of(completion("Hello world"), 0, "t").program, hello.program);
}

TEST(ProgramOf, RemembersTheLatestOnly) {
  ProgramIndex index(10);
  const ProgramGuess first = index.program_of(completion(std::string(100, 'x')), 0, "t");
  for (int i = 0; i < 9; ++i) {
    index.program_of(chat({{"user", std::to_string(i)}}), 0, "t");
  }
  EXPECT_EQ(index.program_of(completion(std::string(101, 'x')), 0, "t").program, first.program);
  for (int i = 0; i < 30; ++i) {
    index.program_of(completion(std::string(100, static_cast<char>('A' + i))), 0, "t");
    EXPECT_LE(index.size(), 10u);
  }
  EXPECT_NE(index.program_of(completion(std::string(102, 'x')), 0, "t").program, first.program);
}

}  // namespace
}  // namespace sluice
