// Forced text: the tokens are those of the whole text, the text is what the grammar allows, and
// nothing that is counted or shown goes wrong by it.
#include "engine/jump_forward.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/json.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/grammar.h"
#include "engine/model_file.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

constexpr std::string_view kProduct = R"({"type":"object","properties":{
  "name":{"type":"string","maxLength":8},
  "category":{"enum":["electronics","furniture","food"]},
  "price":{"type":"integer","minimum":0,"maximum":99},
  "condition":{"enum":["new","used"]}},
  "required":["name","category","price","condition"],"additionalProperties":false})";

struct Words {
  ModelHandle model = *load_model(std::getenv("SLUICE_TEST_MODEL"));
  Vocabulary vocabulary{model.get()};
  JumpForward jumps{vocabulary};
  GrammarCache grammars{vocabulary};
};

Words& words() {
  static Words all;
  return all;
}

std::string text_of(const std::vector<Token>& tokens) {
  std::string out;
  for (Token token : tokens) out += words().vocabulary.bytes(token);
  return out;
}

bool begins_with(const std::vector<Token>& all, const std::vector<Token>& head) {
  return all.size() >= head.size() && std::equal(head.begin(), head.end(), all.begin());
}

TEST(JumpForwardTest, TheTokensAreThoseOfTheWholeTextWhateverFollows) {
  const std::vector<std::string> forced = {R"({"name": ")",
                                           R"(, "category": ")",
                                           R"(", "price": )",
                                           R"("})",
                                           "]",
                                           "true, \"",
                                           R"({"a": {"b": [)",
                                           "  ",
                                           "\xC3\xA9",
                                           "naïve \xE2\x82",
                                           "Answer: ",
                                           "un",
                                           "1",
                                           ""};
  const std::vector<std::string> after = {"",       "a",    " ", "\"", "12", "-1", "}",
                                          "forced", "\xAC", ",", "\n", "$5", "//", "believable"};
  for (const std::string& text : forced) {
    std::vector<Token> certain = words().jumps.tokens(text, [](auto) { return true; });
    EXPECT_TRUE(text.starts_with(text_of(certain))) << text;
    for (const std::string& next : after) {
      EXPECT_TRUE(begins_with(words().vocabulary.tokenize_data(text + next), certain))
          << text << "|" << next << " begins otherwise than " << text_of(certain);
    }
  }
}

TEST(JumpForwardTest, WhatCannotFollowHoldsNothingBack) {
  const std::string text = R"({"category": ")";
  auto only = [](std::string allowed) {
    return [allowed](std::string_view next) { return allowed.starts_with(next); };
  };
  EXPECT_EQ(text_of(words().jumps.tokens(text, only("electronics"))), text);
  EXPECT_EQ(text_of(words().jumps.tokens(text, [](auto) { return false; })), text);
  EXPECT_LT(text_of(words().jumps.tokens(text, only("$1"))).size(), text.size());
  EXPECT_LT(words().jumps.certain_bytes("un", only("believable")), 2U);
}

// Random choices among what the masks allow; a second matcher that never jumps follows.
TEST(JumpForwardTest, EveryForcedTokenIsOneThatTheMaskAllows) {
  SchemaPtr schema = Schema::literal(kProduct);
  Random random(11);
  for (int round = 0; round < 8; ++round) {
    Grammar grammar = *words().grammars.json(schema->source());
    Grammar follower = *words().grammars.json(schema->source());
    std::string text;
    auto write = [&](Token token) {
      ASSERT_TRUE(allowed(follower.mask(), static_cast<std::size_t>(token)));
      ASSERT_TRUE(follower.accept(token));
      text += words().vocabulary.bytes(token);
    };
    for (int step = 0; step < 200 && !grammar.finished(); ++step) {
      for (Token token : grammar.take_forced(31)) write(token);
      if (grammar.finished()) break;
      std::vector<Token> choices;
      for (std::size_t i = 0; i < words().vocabulary.size(); ++i) {
        if (allowed(grammar.mask(), i)) choices.push_back(static_cast<Token>(i));
      }
      ASSERT_FALSE(choices.empty()) << text;
      Token token = choices[random.below(choices.size())];
      ASSERT_TRUE(grammar.accept(token));
      write(token);
    }
    auto value = parse_json(text);
    ASSERT_TRUE(value) << text;
    EXPECT_TRUE(schema->validate(*value).empty()) << text;
  }
}

// The greedy choice relies on it: it asks the grammar before it asks for a mask.
TEST(JumpForwardTest, TheGrammarAcceptsWhatTheMaskAllowsAndNothingElse) {
  SchemaPtr schema = Schema::literal(kProduct);
  Random random(5);
  Grammar grammar = *words().grammars.json(schema->source());
  while (!grammar.finished()) {
    std::vector<Token> choices;
    for (std::size_t i = 0; i < words().vocabulary.size(); ++i) {
      if (allowed(grammar.mask(), i)) choices.push_back(static_cast<Token>(i));
    }
    for (int i = 0; i < 200; ++i) {
      auto token = static_cast<Token>(random.below(words().vocabulary.size()));
      if (words().vocabulary.bytes(token).empty()) continue;
      if (allowed(grammar.mask(), static_cast<std::size_t>(token))) continue;
      EXPECT_FALSE(grammar.accept(token)) << words().vocabulary.bytes(token);
    }
    ASSERT_TRUE(grammar.accept(choices[random.below(choices.size())]));
  }
}

TEST(JumpForwardTest, TheLastTokenCanBeLeft) {
  auto all = Schema::literal(R"({"const":"only this"})");
  Grammar grammar = *words().grammars.json(all->source());
  std::string text = text_of(grammar.take_forced(31, true));
  EXPECT_FALSE(grammar.finished());
  text += text_of(grammar.take_forced(31));
  EXPECT_EQ(text, "\"only this\"");
  EXPECT_TRUE(grammar.finished());
  EXPECT_TRUE(grammar.take_forced(31).empty());
}

struct Drive {
  std::string text;
  std::vector<Token> tokens;  // behind the prompt
  std::string shown;
  std::size_t logprobs = 0;
  std::size_t forced = 0;  // of them
  std::uint64_t counted = 0;
};

// A generation with logits of no meaning; `preempt_at`: after that many steps, -1: never.
Drive drive(bool jump_forward, int preempt_at, std::uint32_t max_tokens = 200) {
  Drive out;
  PreparedRequest request;
  request.tokens = {1, 2, 3};
  request.view.prompt_tokens = 3;
  request.output = Schema::literal(kProduct);
  request.grammar = *words().grammars.json(request.output->source());
  request.sampling.max_tokens = max_tokens;
  request.sampling.logprobs = true;
  request.jump_forward = jump_forward;
  request.callbacks.on_text = [&](std::string_view text) { out.shown += text; };
  Generation generation(std::move(request));
  std::vector<float> logits(words().vocabulary.size());
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 31 % 5003);
  std::vector<Token> fed(generation.prompt().begin(), generation.prompt().end());
  for (int step = 0;; ++step) {
    bool last = generation.advance(logits, words().vocabulary);
    EXPECT_EQ(generation.view().generated_tokens + 3,
              fed.size() + (last ? 0 : generation.next_tokens().size()) +
                  (last ? generation.view().generated_tokens + 3 - fed.size() : 0));
    if (last) break;
    EXPECT_EQ(generation.next_tokens().size(), generation.view().next_tokens);
    EXPECT_LE(generation.next_tokens().size(), 32U);
    fed.insert(fed.end(), generation.next_tokens().begin(), generation.next_tokens().end());
    if (step == preempt_at) {
      generation.preempt();
      EXPECT_EQ(std::vector<Token>(generation.prompt().begin(), generation.prompt().end()), fed);
      EXPECT_EQ(generation.view().prompt_tokens, fed.size());
    }
  }
  out.tokens.assign(fed.begin() + 3, fed.end());
  auto reply = generation.reply();
  if (!reply) {
    EXPECT_EQ(reply.error().code(), ErrorCode::kOutputTruncated) << reply.error().to_string();
    out.counted = generation.view().generated_tokens;
    return out;
  }
  out.text = reply->text;
  out.logprobs = reply->logprobs.size();
  out.counted = reply->usage.completion_tokens;
  EXPECT_EQ(reply->usage.prompt_tokens, 3U);
  std::string spelled;
  for (const TokenLogprob& entry : reply->logprobs) {
    spelled += entry.token;
    out.forced += entry.forced ? 1 : 0;
    EXPECT_TRUE(!entry.forced || entry.logprob == 0);
  }
  EXPECT_EQ(spelled, reply->text);
  return out;
}

TEST(JumpForwardTest, CountsTextAndLogprobsAgree) {
  for (bool jump : {false, true}) {
    Drive run = drive(jump, -1);
    EXPECT_EQ(run.shown, run.text);
    EXPECT_EQ(run.logprobs, run.counted);
    EXPECT_EQ(run.forced > 0, jump);
    EXPECT_TRUE(run.text.starts_with(text_of(run.tokens))) << run.text;
    auto value = parse_json(run.text);
    ASSERT_TRUE(value);
    EXPECT_EQ(value->members().size(), 4U);
  }
}

TEST(JumpForwardTest, APreemptedGenerationGoesOnWhereItWas) {
  Drive whole = drive(true, -1);
  for (int at : {0, 1, 3}) {
    Drive again = drive(true, at);
    EXPECT_EQ(again.text, whole.text) << at;
    EXPECT_EQ(again.shown, whole.text) << at;
    EXPECT_EQ(again.counted, whole.counted) << at;
  }
}

TEST(JumpForwardTest, TheLimitOfTokensHoldsInForcedTextToo) {
  for (std::uint32_t limit = 1; limit < 12; limit += 2) {
    EXPECT_EQ(drive(true, -1, limit).counted, limit);
    EXPECT_EQ(drive(false, -1, limit).counted, limit);
  }
}

std::unique_ptr<ModelInstance> open(bool jump_forward) {
  EngineOptions options;
  options.file = test::tiny_model_file();
  options.context_tokens = 512;
  options.threads = 1;  // others may compute beside it: no barrier to wait at
  options.jump_forward = jump_forward;
  auto engine = open_engine(options);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return std::move(*engine);
}

std::string object(ModelInstance& engine, bool deterministic) {
  ModelRequest request;
  request.messages = {{.role = "user", .content = "Describe a product of a shop."}};
  request.output = Schema::literal(kProduct);
  request.sampling.max_tokens = 100;
  request.deterministic = deterministic;
  auto done = std::make_shared<std::promise<Result<ModelReply>>>();
  engine.submit(request, {.on_end = [done](Result<ModelReply> r) { done->set_value(r); }});
  auto reply = done->get_future().get();
  EXPECT_TRUE(reply) << reply.error().to_string();
  return reply ? reply->text : "";
}

TEST(JumpForwardTest, TheEngineSamplesLessAndTextsStayEqual) {
  std::uint64_t sampled[2] = {};
  for (bool jump : {false, true}) {
    auto engine = open(jump);
    std::string first = object(*engine, true);
    EXPECT_EQ(object(*engine, true), first);
    object(*engine, false);
    auto stats = engine_stats(*engine);
    sampled[jump] = stats->decode_tokens;
    EXPECT_EQ(stats->forced_tokens > 0, jump);
  }
  EXPECT_LT(sampled[1] * 3, sampled[0] * 2);
}

}  // namespace
}  // namespace sluice
