// Which steps' calls go out together, and what the places of their function become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::string with_bulk(std::string_view steps, std::string_view more = "") {
  return "sluice: 1\n"
         "params: {p: {}}\n" +
         std::string(more) +
         "tools:\n"
         "  words: {kind: python, file: w.py, functions: {embed: {effect: pure, bulk: 10}, "
         "one: {effect: pure}}}\n"
         "  many: {kind: http, url: 'http://h', method: POST, effect: read, bulk: 500, "
         "concurrency: 2}\n"
         "steps:\n" +
         std::string(steps);
}

TEST(BulkCalls, FunctionsThatDeclareIt) {
  auto done = optimize_text(with_bulk(R"(
  embedded: {for_each: "{{ params.p }}", tool: words.embed, with: {x: "{{ item }}"}}
  single: {tool: words.embed, with: {x: 1}}
  plain: {for_each: "{{ params.p }}", tool: words.one, with: {x: "{{ item }}"}}
  asked: {for_each: "{{ params.p }}", tool: many, with: {body: "{{ item }}"}}
)"),
                            {"bulk_calls"});
  EXPECT_EQ(done.physical("embedded").advice.bulk, 10U);
  EXPECT_EQ(done.physical("embedded").resource_limit, 80U) << "eight calls of ten";
  EXPECT_EQ(done.physical("single").advice.bulk, 10U) << "it shares the places";
  EXPECT_EQ(done.physical("plain").advice.bulk, 0U);
  EXPECT_EQ(done.physical("plain").resource_limit, 8U);
  EXPECT_EQ(done.physical("asked").resource_limit, 1000U);
  EXPECT_THAT(done.notes(), Contains("bulk_calls embedded: up to 10 of its calls go out as one"));
  EXPECT_THAT(done.notes(), Contains("bulk_calls asked: up to 64 of its calls go out as one (its "
                                     "tool takes 500: raise `concurrency`)"));
  EXPECT_THAT(done.notes(), Not(Contains(HasSubstr("single"))));
}

TEST(BulkCalls, OneAtATimeIsNoBulk) {
  auto done = optimize_text(with_bulk(R"(
  a: {for_each: "{{ params.p }}", concurrency: 1, tool: words.embed, with: {x: "{{ item }}"}}
)"),
                            {"bulk_calls"});
  EXPECT_THAT(done.notes(), Contains("bulk_calls refused a: its tasks run one at a time"));
}

TEST(BulkCalls, InsideOfMappedSubPlansAndRecorded) {
  auto done = optimize_text(with_bulk(R"(
  each: {for_each: "{{ params.p }}", plan: row, with: {text: "{{ item }}"}}
)",
                                      R"(plans:
  row:
    sluice: 1
    params: {text: {}}
    tools: {words: {kind: python, file: w.py, functions: {embed: {effect: pure, bulk: 10}}}}
    steps: {got: {tool: words.embed, with: {x: "{{ params.text }}"}}}
    result: "{{ steps.got.output }}"
)"),
                            {"bulk_calls"});
  EXPECT_EQ(done.physical("each/got").advice.bulk, 10U);
  EXPECT_THAT(done.notes(), Contains(HasSubstr("bulk_calls each/got: up to 10")));
  auto back = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ((*back)->steps[0].plan->steps[0].advice.bulk, 10U);
}

TEST(BulkCalls, SavesTheWays) {
  auto done = optimize_text(with_bulk(R"(
  a: {for_each: "{{ params.p }}", tool: words.embed, with: {x: "{{ item }}"}}
)"),
                            {"bulk_calls"}, R"({"p": [1,2,3,4,5,6,7,8,9,10,11,12]})");
  ASSERT_EQ(done.plan.notes.size(), 1U);
  EXPECT_EQ(done.plan.notes[0].saved_trips, 10);
  EXPECT_FALSE(done.plan.notes[0].saved_calls) << "the run makes as many calls as without it";
}

}  // namespace
}  // namespace sluice
