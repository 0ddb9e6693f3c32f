// What the physical passes tell the host and the engine, and that it is recorded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A plan whose model this process runs itself.
std::string with_engine(std::string_view steps) {
  std::string text = with_tools(steps);
  const std::string_view server = "kind: openai, url: 'http://m', model: small";
  return text.replace(text.find(server), server.size(), "kind: embedded, file: m.gguf");
}

TEST(ShareEqualCalls, PureCallsOnly) {
  auto done = optimize_text(with_tools(R"(
  asked: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}"}}
  seeded: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}", temperature: 1, seed: 3}}
  sampled: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}", temperature: 1}}
  agent: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item }}", tools: [calc]}}
  counted: {for_each: "{{ params.p }}", tool: calc, with: {args: ["{{ item }}"]}}
  seen: {for_each: "{{ params.p }}", tool: put.query, with: {sql: "select 1"}}
  paid: {for_each: "{{ params.p }}", tool: pay}
  made: {for_each: "{{ params.p }}", code: "def main(x): return x", with: {x: "{{ item }}"}}
  streamed: {tool: lines, with: {args: ["{{ params.p }}"]}}
  listed: {for_each: "{{ params.p }}", tool: lines, with: {args: ["{{ item }}"]}}
  sum: {for_each: "{{ params.p }}", value: "{{ item }}"}
)"),
                            {"share_equal_calls"});
  const std::vector<std::pair<const char*, bool>> wanted = {
      {"asked", true},     {"seeded", true}, {"sampled", false}, {"agent", false},
      {"counted", true},   {"seen", false},  {"paid", false},    {"made", true},
      {"streamed", false}, {"listed", true}, {"sum", false}};
  for (const auto& [id, shares] : wanted) {
    EXPECT_EQ(done.physical(id).advice.share_equal, shares) << id;
  }
  EXPECT_THAT(done.notes(),
              Contains("share_equal_calls asked: calls with equal inputs are made once"));
}

TEST(ShareEqualCalls, InSubPlansToo) {
  auto done = optimize_text(with_tools(R"(
  each: {for_each: "{{ params.p }}", plan: row, with: {text: "{{ item }}"}}
)",
                                       R"(plans:
  row:
    sluice: 1
    params: {text: {}}
    steps: {ask: {llm: default, with: {prompt: "{{ params.text }}"}}}
    result: "{{ steps.ask.output }}"
)"),
                            {"share_equal_calls"});
  EXPECT_TRUE(done.physical("each/ask").advice.share_equal);
}

TEST(RankByCost, TheLongestWayToTheEndGoesFirst) {
  // `far` has more steps behind it, `slow` more seconds.
  auto done = optimize_text(with_tools(R"(
  far: {value: 1}
  far2: {value: "{{ steps.far.output }}"}
  far3: {value: "{{ steps.far2.output }}"}
  slow: {value: 2}
  slow2: {llm: default, with: {prompt: "Say {{ steps.slow.output }}"}}
)"),
                            {"rank_by_cost"});
  EXPECT_GT(done.physical("slow").rank, done.physical("far").rank);
  EXPECT_GT(done.physical("slow").rank, done.physical("slow2").rank);
  EXPECT_GT(done.physical("far").rank, done.physical("far2").rank);
  EXPECT_GT(done.physical("far2").rank, done.physical("far3").rank);
  EXPECT_GT(done.physical("slow2").advice.remaining_s.value_or(0), 0.5);
  EXPECT_FALSE(done.physical("slow2").advice.expected_tokens.has_value()) << "nothing is known";
  EXPECT_THAT(done.notes(), Contains(HasSubstr("rank_by_cost: tasks go by the seconds")));
}

TEST(RankByCost, BeyondWhatCanBeToldApartReadersStillComeLater) {
  std::string steps = "  s0: {for_each: \"{{ params.p }}\", llm: default, with: {prompt: x}}\n";
  std::string items = "[0";
  for (int i = 1; i < 6000; ++i) items += ",0";
  for (int i = 1; i < 5; ++i) {
    steps += fmt::format(
        "  s{}: {{for_each: \"{{{{ steps.s{}.output }}}}\", llm: default, with: {{prompt: "
        "\"{{{{ item }}}}\"}}}}\n",
        i, i - 1);
  }
  auto done = optimize_text(with_tools(steps), {"rank_by_cost"}, "{\"p\":" + items + "]}");
  for (int i = 1; i < 5; ++i) {
    EXPECT_GT(done.physical("s" + std::to_string(i - 1)).rank,
              done.physical("s" + std::to_string(i)).rank);
  }
}

TEST(KeepPrefixes, OfAQuestionThatIsFollowedByAnother) {
  auto done = optimize_text(with_engine(R"(
  first:
    for_each: "{{ params.p }}"
    llm: default
    with: {prompt: "Entry: {{ item.text }} Is it new?"}
  second:
    for_each: "{{ params.p }}"
    when: "{{ steps.first.output[index] == 'yes' }}"
    llm: default
    with: {prompt: "Entry: {{ item.text }} Is it large?"}
  beside:
    for_each: "{{ params.p }}"
    llm: default
    with: {prompt: "Entry: {{ item.text }} Is it red?"}
)"),
                            {"keep_prefixes"});
  EXPECT_TRUE(done.physical("first").advice.prefix_returns);
  EXPECT_FALSE(done.physical("second").advice.prefix_returns) << "nothing comes behind it";
  EXPECT_FALSE(done.physical("beside").advice.prefix_returns);
  EXPECT_THAT(done.notes(),
              Contains("keep_prefixes first: what its prompt begins with is kept for second"));
}

TEST(KeepPrefixes, OfTheSameMessages) {
  auto done = optimize_text(with_engine(R"(
  first:
    llm: default
    with:
      messages:
        - {role: system, content: "You read."}
        - {role: user, content: "{{ params.p }}"}
  second:
    llm: default
    with:
      messages:
        - {role: system, content: "You read."}
        - {role: user, content: "{{ params.p }}"}
        - {role: assistant, content: "{{ steps.first.output }}"}
        - {role: user, content: "Are you sure?"}
)"),
                            {"keep_prefixes"});
  EXPECT_TRUE(done.physical("first").advice.prefix_returns);
}

TEST(KeepPrefixes, NotWhereTheBeginningsDiffer) {
  const char* const seconds[] = {
      "prompt: \"{{ item.text }} {{ steps.first.output[index] }}\"",  // another beginning
      "prompt: \"Entry: {{ steps.first.output[index] }}\"",           // of another text
      "prompt: \"Entry: {{ item.text }}, {{ steps.first.output[index] }}\", tools: [calc]",
  };
  for (const char* second : seconds) {
    auto done = optimize_text(with_engine(R"(
  first: {for_each: "{{ params.p }}", llm: default, with: {prompt: "Entry: {{ item.text }}"}}
  second: {for_each: "{{ params.p }}", llm: default, with: {)" +
                                          std::string(second) + "}}\n"),
                              {"keep_prefixes"});
    EXPECT_FALSE(done.physical("first").advice.prefix_returns) << second;
    EXPECT_THAT(done.notes(), IsEmpty()) << second;
  }
}

TEST(KeepPrefixes, LongTextsOfSeveralStepsAreGrouped) {
  const std::string one(1500, 'a');
  const std::string two(1500, 'b');
  auto step = [](std::string_view id, std::string_view text) {
    return fmt::format(
        "  {}: {{for_each: \"{{{{ params.p }}}}\", llm: default, with: {{prompt: \"{} {{{{ item "
        "}}}}\"}}}}\n",
        id, text);
  };
  auto both = optimize_text(with_engine(step("a", one) + step("b", two) + step("c", "short")),
                            {"keep_prefixes"});
  EXPECT_EQ(both.physical("a").advice.order, "sharing");
  EXPECT_EQ(both.physical("b").advice.order, "sharing");
  EXPECT_EQ(both.physical("c").advice.order, "");
  auto alone = optimize_text(with_engine(step("a", one) + step("c", "short")), {"keep_prefixes"});
  EXPECT_EQ(alone.physical("a").advice.order, "") << "there is nothing to keep it apart from";
}

// Nothing that we say reaches a server: to promise that it keeps something would be a lie.
TEST(KeepPrefixes, NothingIsPromisedForServers) {
  const std::string start(1500, 'a');
  const std::string other(1500, 'b');
  auto done = optimize_text(with_tools(fmt::format(R"(
  first: {{for_each: "{{{{ params.p }}}}", llm: default, with: {{prompt: "{0} {{{{ item }}}} New?"}}}}
  second:
    for_each: "{{{{ params.p }}}}"
    llm: default
    with: {{prompt: "{0} {{{{ item }}}} Was it {{{{ steps.first.output[index] }}}}?"}}
  third: {{for_each: "{{{{ params.p }}}}", llm: default, with: {{prompt: "{1} {{{{ item }}}}"}}}}
)",
                                                   start, other)),
                            {"keep_prefixes"});
  for (const char* id : {"first", "second", "third"}) {
    EXPECT_EQ(done.physical(id).advice, StepAdvice()) << id;
  }
  const std::string why = "its model runs behind a server, which keeps what it likes";
  EXPECT_THAT(done.notes(), ElementsAre("keep_prefixes refused first: " + why,
                                        "keep_prefixes refused second: " + why,
                                        "keep_prefixes refused third: " + why));
}

TEST(Advice, IsRecorded) {
  auto done = optimize_text(with_engine(R"(
  first: {for_each: "{{ params.p }}", llm: default, with: {prompt: "Entry: {{ item.text }} New?"}}
  second:
    for_each: "{{ params.p }}"
    llm: default
    with: {prompt: "Entry: {{ item.text }} So {{ steps.first.output[index] }}?"}
)"),
                            {"share_equal_calls", "rank_by_cost", "keep_prefixes"});
  const PhysicalStep& first = done.physical("first");
  ASSERT_TRUE(first.advice.share_equal && first.advice.prefix_returns && first.advice.remaining_s);
  auto text = parse_json(to_json(encode_physical(*done.plan.physical)));
  ASSERT_TRUE(text.has_value());
  auto back = decode_physical(*text, done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  ASSERT_EQ((*back)->steps.size(), done.plan.physical->steps.size());
  for (std::size_t i = 0; i < (*back)->steps.size(); ++i) {
    EXPECT_EQ((*back)->steps[i].advice, done.plan.physical->steps[i].advice);
    EXPECT_EQ((*back)->steps[i].rank, done.plan.physical->steps[i].rank);
  }
}

TEST(Advice, OfARewrittenPlanIsRecordedWithItsConditions) {
  auto done = optimize_text(with_tools(R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
)",
                                       "result: \"{{ steps.kept.output }}\"\n"));
  EXPECT_EQ(done.plan.physical->logical, done.written) << "scopes and files know only this one";
  auto back = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(to_json(encode_physical(**back)), to_json(encode_physical(*done.plan.physical)));
}

TEST(Advice, WithoutPassesThereIsNone) {
  OptimizerSettings off;
  off.off = true;
  auto written = parse_plan(with_tools("  a: {llm: default, with: {prompt: x}}\n"), "p").plan;
  auto tools = catalog_of(*written);
  const CostInputs cost;
  auto made = optimize_plan(
      {.plan = written, .tools = *tools, .params = nullptr, .cost = cost, .settings = off});
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->physical->steps[0].advice, StepAdvice());
  EXPECT_THAT(made->notes, IsEmpty());
}

}  // namespace
}  // namespace sluice
