// ask_together: which questions go into one call, what that call looks like, and what is left
// alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The pass alone, in a plan that allows it.
Optimized asked(std::string_view steps, std::string_view rest = "") {
  return optimize_text(
      with_tools(steps, std::string("allow: [ask_together]\n") + std::string(rest)),
      {"ask_together"});
}

const Step& step_of(const Optimized& done, std::string_view id) {
  const Step* found = done.rewritten().find_step(id);
  if (!found) throw std::runtime_error("no step " + std::string(id));
  return *found;
}

TEST(AskTogether, OneCallWithAFieldForEach) {
  Optimized done = asked(R"(
  topic:
    llm: default
    with: {prompt: "{{ params.p }}\n\nWhat is it about?\nShort.", max_tokens: 20}
    output: {type: string, maxLength: 30}
  urgent:
    llm: default
    with: {prompt: "{{ params.p }}\n\nIs it urgent?\nShort.", max_tokens: 8}
    output: {type: boolean}
  said: {llm: default, with: {prompt: "{{ params.p }}\n\nWho says so?\nShort.", max_tokens: 40}}
  card: {value: "{{ steps.topic.output }} {{ steps.urgent.output }} {{ steps.said.output }}"}
)");
  EXPECT_THAT(done.ids(), ElementsAre("topic", "urgent", "said", "card", "topic_together"));
  EXPECT_EQ(done.step("topic"),
            "value {{ steps.topic_together.output.topic }}; join topic_together skipped skip");
  EXPECT_EQ(done.step("said"),
            "value {{ steps.topic_together.output.said }}; join topic_together skipped skip");
  EXPECT_EQ(done.step("card"),
            "value {{ steps.topic.output }} {{ steps.urgent.output }} {{ steps.said.output }}");
  const Step& joint = step_of(done, "topic_together");
  EXPECT_EQ(joint.target, "default");
  EXPECT_EQ(joint.with.find("prompt")->text,
            "{{ params.p }}\n\nAnswer each question in the field of its name.\n"
            "1. topic: What is it about?\n2. urgent: Is it urgent?\n3. said: Who says so?\n"
            "Short.");
  EXPECT_EQ(to_json(joint.output->source()),
            R"({"type":"object","required":["topic","urgent","said"],"additionalProperties":false,)"
            R"("properties":{"topic":{"type":"string","maxLength":30},"urgent":{"type":"boolean"},)"
            R"("said":{"type":"string","maxLength":160}}})");
  EXPECT_EQ(joint.with.find("max_tokens")->as_constant(), Value::integer(20 + 8 + 60 + 3 * 16));
  EXPECT_THAT(done.notes(), ElementsAre("ask_together topic: topic_together asks topic, urgent, "
                                        "said in one call"));
  EXPECT_EQ(done.plan.notes[0].saved_calls, 2);
  EXPECT_GT(done.plan.notes[0].saved_tokens, 0);
  EXPECT_EQ(done.physical("topic_together").effect, Effect::kPure);
  EXPECT_LT(done.plan.after.calls.middle, done.plan.before.calls.middle);
}

double saved_tokens(const std::string& settings, const std::string& prompt_of_two) {
  const Optimized done = optimize_text(
      "sluice: 1\nallow: [ask_together]\nparams: {p: {type: string}}\n"
      "models: {default: " +
          settings + "}\nsteps:\n" + prompt_of_two,
      {"ask_together"}, "{\"p\": \"" + std::string(4000, 'x') + "\"}");
  EXPECT_EQ(done.plan.notes.size(), 1U);
  EXPECT_EQ(done.plan.notes.at(0).saved_calls, 1);
  return done.plan.notes.at(0).saved_tokens.value_or(0);
}

// A server reads the common part with each question. The embedded engine reads what prompts begin
// with once in any case; what stands behind the question it reads each time.
TEST(AskTogether, SavesOnlyTokensThatWouldBeRead) {
  const std::string server = "{kind: openai, url: 'http://m', model: small}";
  const std::string embedded = "{kind: embedded, file: m.gguf}";
  const std::string alone = "{kind: embedded, file: m.gguf, deterministic: true}";
  const std::string behind =
      "  a: {llm: default, with: {prompt: \"{{ params.p }}\\n\\nWhat is it about?\"}}\n"
      "  b: {llm: default, with: {prompt: \"{{ params.p }}\\n\\nIs it urgent?\"}}\n"
      "  c: {value: \"{{ steps.a.output }} {{ steps.b.output }}\"}\n";
  const std::string before =
      "  a: {llm: default, with: {prompt: \"What is it about?\\n\\n{{ params.p }}\"}}\n"
      "  b: {llm: default, with: {prompt: \"Is it urgent?\\n\\n{{ params.p }}\"}}\n"
      "  c: {value: \"{{ steps.a.output }} {{ steps.b.output }}\"}\n";
  // 4,000 bytes are a thousand tokens; the question in the middle of one call, its number, its
  // name and the field of its answer cost some.
  EXPECT_NEAR(saved_tokens(server, behind), 970, 30);
  EXPECT_NEAR(saved_tokens(server, before), 970, 30);
  EXPECT_NEAR(saved_tokens(alone, behind), 970, 30) << "deterministic: no shared beginning";
  EXPECT_EQ(saved_tokens(embedded, behind), 0);
  EXPECT_NEAR(saved_tokens(embedded, before), 970, 30);
}

TEST(AskTogether, RowByRow) {
  Optimized done = asked(R"(
  rows: {tool: lines, with: {args: ["{{ params.p }}"]}}
  a:
    for_each: "{{ steps.rows.output }}"
    when: "{{ item != '' }}"
    on_error: skip
    retry: {attempts: 2, delay: 1s}
    timeout: 5s
    cache: {ttl: 1h}
    llm: default
    with:
      messages:
        - {role: system, content: "Read with care."}
        - {role: user, content: "{{ item }}\nIs it new?"}
  b:
    for_each: "{{ steps.rows.output }}"
    when: "{{ item != '' }}"
    on_error: skip
    retry: {attempts: 2, delay: 1s}
    timeout: 5s
    cache: {ttl: 1h}
    llm: default
    with:
      messages:
        - {role: system, content: "Read with care."}
        - {role: user, content: "{{ item }}\nIs it good?"}
  c: {for_each: "{{ steps.a.output }}", value: "{{ item }} {{ steps.b.output[index] }}", join: {a: {skipped: skip}, b: {skipped: skip}}}
)");
  ASSERT_THAT(done.ids(), Contains("a_together"));
  EXPECT_EQ(done.step("a"),
            "for_each {{ steps.rows.output }}; value {{ steps.a_together.output[index].a }}; join "
            "a_together skipped skip");
  const Step& joint = step_of(done, "a_together");
  EXPECT_EQ(joint.timeout_ms, 10'000);
  EXPECT_EQ(joint.cache_ttl_ms, 3'600'000);
  ASSERT_TRUE(joint.retry && joint.when && joint.on_error);
  EXPECT_EQ(binding_line(*joint.when), "{{ item != '' }}");
  EXPECT_THAT(done.step("a_together"), HasSubstr("1. a: Is it new?"));
  // Rows still flow from one to the next.
  EXPECT_NE(done.physical("a_together").items_edge, kNoIndex);
  EXPECT_NE(done.physical("c").items_edge, kNoIndex);
}

TEST(AskTogether, TheQuestionMayStandInAMessageOfItsOwn) {
  Optimized done = asked(R"(
  a: {llm: default, with: {messages: [{role: system, content: "Say who wrote it."}, {role: user, content: "{{ params.p }}"}]}}
  b: {llm: default, with: {messages: [{role: system, content: "Say when it was written."}, {role: user, content: "{{ params.p }}"}]}}
)");
  // What is common is read in another message.
  EXPECT_THAT(done.ids(), ElementsAre("a", "b", "a_together"));
  EXPECT_THAT(done.step("a_together"),
              AllOf(HasSubstr("1. a: Say who wrote it.\n2. b: Say when it was written."),
                    HasSubstr("content: {{ params.p }}")));
}

TEST(AskTogether, DefinitionsMoveToTheObject) {
  Optimized done = asked(R"(
  a:
    llm: default
    with: {prompt: "{{ params.p }}\nOne?"}
    output: {$ref: "#/schemas/point"}
  b:
    llm: default
    with: {prompt: "{{ params.p }}\nTwo?"}
    output: {type: array, maxItems: 2, items: {$ref: "#/$defs/name"}, $defs: {name: {type: string}}}
  c: {value: "{{ steps.a.output.x }} {{ steps.b.output[0] }}"}
)",
                         "schemas: {point: {type: object, required: [x], properties: {x: {type: "
                         "integer}}, additionalProperties: false}}\n");
  const Step& joint = step_of(done, "a_together");
  EXPECT_TRUE(joint.output->valid(*parse_json(R"({"a":{"x":1},"b":["n"]})")));
  EXPECT_FALSE(joint.output->valid(*parse_json(R"({"a":{"x":"1"},"b":["n"]})")));
  EXPECT_FALSE(joint.output->valid(*parse_json(R"({"a":{"x":1},"b":[1]})")));
  EXPECT_FALSE(joint.output->valid(*parse_json(R"({"a":{"x":1}})")));
}

TEST(AskTogether, AtMostEightAtOnce) {
  std::string steps;
  for (int i = 0; i < 11; ++i) {
    steps += fmt::format(
        "  q{0}: {{llm: default, with: {{prompt: \"{{{{ params.p }}}}\\nIs it {0}?\"}}}}\n", i);
  }
  Optimized done = asked(steps);
  EXPECT_THAT(done.ids(), AllOf(Contains("q0_together"), Contains("q8_together")));
  EXPECT_EQ(done.ids().size(), 13U);
}

TEST(AskTogether, WhatNothingStatesIsNotAddedUpWithoutEnd) {
  std::string steps;
  for (int i = 0; i < 8; ++i) {
    steps += fmt::format(
        "  q{0}: {{llm: default, with: {{prompt: \"{{{{ params.p }}}}\\nIs it {0}?\"}}}}\n", i);
  }
  Optimized done = asked(steps);
  EXPECT_EQ(step_of(done, "q0_together").with.find("max_tokens")->as_constant(),
            Value::integer(1536 + 8 * 16));
}

TEST(AskTogether, NamesThatAreTaken) {
  Optimized done = asked(R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}}
  a_together: {value: 1}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?"}}
)");
  EXPECT_THAT(done.ids(), ElementsAre("a", "a_together", "b", "a_together2"));
}

struct Left {
  const char* name;
  const char* steps;
  std::vector<std::string> notes;
};

const Left kLeftAlone[] = {
    {"other settings, items and models say nothing",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?", top_p: 0.5}}
  c: {for_each: [1], llm: default, with: {prompt: "{{ params.p }}\nThree?"}}
  d: {llm: other, with: {prompt: "{{ params.p }}\nFour?"}}
  e: {llm: default, with: {prompt: "{{ params.n }}\nFive?"}}
)",
     {}},
    {"conditions on one another",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}, output: {type: boolean}}
  b: {when: "{{ steps.a.output }}", llm: default, with: {prompt: "{{ params.p }}\nTwo?"}}
)",
     {"ask_together refused b: it is not asked wherever a is"}},
    {"answers that are read where another says so",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}, output: {type: boolean}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?"}}
  c: {when: "{{ steps.a.output }}", value: "{{ steps.b.output }}"}
  d: {value: "{{ steps.a.output }}"}
)",
     {"ask_together refused b: c reads it only where another of these answers says so: to ask it "
      "there alone may spare more"}},
    {"drawn by chance",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?", temperature: 1}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?", temperature: 1}}
)",
     {"ask_together refused a: its answers are drawn by chance",
      "ask_together refused b: its answers are drawn by chance"}},
    {"tools",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?", tools: [calc]}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?", tools: [calc]}}
)",
     {"ask_together refused a: it offers tools", "ask_together refused b: it offers tools"}},
    {"stop strings",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?", stop: ["."]}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?", stop: ["."]}}
)",
     {"ask_together refused a: a stop string would have to end one field of several",
      "ask_together refused b: a stop string would have to end one field of several"}},
    {"failures of their own",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}, on_error: {value: 1}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?"}, on_error: {value: 2}}
)",
     {"ask_together refused a: its on_error is its own: one call has one failure",
      "ask_together refused b: its on_error is its own: one call has one failure"}},
    {"budgets",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}, budget: {tokens: 10}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?"}}
)",
     {"ask_together refused a: it has a budget of its own"}},
    {"nothing in common",
     R"(
  a: {llm: default, with: {prompt: "One?"}}
  b: {llm: default, with: {prompt: "Two?"}}
)",
     {"ask_together refused a: hardly anything of the prompts is common"}},
    {"repeats",
     R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}, repeat: {until: "{{ output == 'x' }}", max: 2}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?"}, repeat: {until: "{{ output == 'x' }}", max: 2}}
)",
     {"ask_together refused a: it repeats", "ask_together refused b: it repeats"}},
};

TEST(AskTogether, WhatIsLeftAlone) {
  for (const Left& each : kLeftAlone) {
    std::string text = with_tools(each.steps, "allow: [ask_together]\n");
    text.insert(text.find("models: {") + 9, "other: {kind: openai, url: 'http://m', model: o}, ");
    Optimized done = optimize_text(text, {"ask_together"});
    EXPECT_EQ(done.plan.rewritten, done.written) << each.name;
    EXPECT_EQ(done.notes(), each.notes) << each.name;
  }
}

TEST(AskTogether, OnlyWhereThePlanAllowsIt) {
  const char* steps = R"(
  a: {llm: default, with: {prompt: "{{ params.p }}\nOne?"}}
  b: {llm: default, with: {prompt: "{{ params.p }}\nTwo?"}}
)";
  EXPECT_THAT(optimize_text(with_tools(steps), {"ask_together"}).notes(), IsEmpty());
  EXPECT_THAT(asked(steps).notes(), Not(IsEmpty()));
}

TEST(AskTogether, BeforeTheOtherPasses) {
  Optimized done = optimize_text(with_tools(R"(
  a: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}\nOne?"}, output: {type: boolean}}
  b: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}\nTwo?"}, output: {type: boolean}}
  c: {for_each: "{{ params.p }}", when: "{{ steps.a.output[index] and steps.b.output[index] and index < 2 }}", value: "{{ item }}"}
result: "{{ steps.c.output }}"
)",
                                            "allow: [ask_together]\n"));
  EXPECT_EQ(done.error, "");
}

}  // namespace
}  // namespace sluice
