// drop_output_fields: which fields of an answer go, and what keeps them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kAllow = "allow: [drop_output_fields]\n";
constexpr std::string_view kSchema =
    "{type: object, required: [kind, level, why], additionalProperties: false, properties: {kind: "
    "{enum: [bug, wish]}, level: {type: integer, maximum: 9}, why: {type: string}}}";

Optimized dropped(std::string_view steps, std::string_view rest = "") {
  return optimize_text(with_tools(steps, std::string(kAllow) + std::string(rest)),
                       {"drop_output_fields"});
}

std::string asks(std::string_view more = "", std::string_view schema = kSchema) {
  return fmt::format("  ask: {{llm: default, with: {{prompt: x}}, output: {}{}}}\n", schema, more);
}
std::string asks_each(std::string_view more = "", std::string_view schema = kSchema) {
  return asks(fmt::format(", for_each: [1, 2]{}", more), schema);
}

std::string schema_of(const Optimized& done, std::string_view path = "") {
  return canonical_json(done.rewritten(path).find_step("ask")->output->source());
}

constexpr std::string_view kKindAlone =
    R"({"additionalProperties":false,"properties":{"kind":{"enum":["bug","wish"]}},"required":["kind"],"type":"object"})";

TEST(DropOutputFields, WhatNothingReads) {
  const Optimized done = dropped(asks() + "result: '{{ steps.ask.output.kind }}'\n");
  EXPECT_EQ(schema_of(done), kKindAlone);
  EXPECT_THAT(done.notes(),
              ElementsAre("drop_output_fields ask: nothing reads level, why: not generated"));
  EXPECT_FALSE(done.plan.notes[0].saved_tokens) << "nobody knows how long answers are";
}

TEST(DropOutputFields, ReadAsSlotsItemsAndInSubscripts) {
  const Optimized slots = dropped(
      asks_each() + "  b: {for_each: [1, 2], value: '{{ steps.ask.output[index][\"kind\"] }}'}\n");
  EXPECT_EQ(schema_of(slots), kKindAlone);
  const Optimized items = dropped(
      asks_each() +
      "  b: {for_each: '{{ steps.ask.output }}', when: \"{{ item.kind == 'bug' }}\", value: '{{ "
      "index }}'}\n");
  EXPECT_EQ(schema_of(items), kKindAlone);
  const Optimized templates =
      dropped(asks() + "result: '{% if steps.ask.output.kind %}yes{% endif %}'\n");
  EXPECT_EQ(schema_of(templates), kKindAlone);
}

TEST(DropOutputFields, WhatIsReadAsAWholeStays) {
  for (const std::string& plan : {
           asks() + "result: '{{ steps.ask.output }}'\n",
           asks() + "result: '{{ steps.ask.output | tojson }}'\n",
           asks() + "result: \"{{ steps.ask.output[params.p] }}\"\n",
           asks() + "result: '{% for f in steps.ask.output %}{{ f }}{% endfor %}'\n",
           asks() + "  b: {value: [1, '{{ steps.ask.output }}']}\n",
           asks_each() + "result: '{{ steps.ask.output }}'\n",
           asks_each() + "result: \"{{ steps.ask.output | map(attribute='kind') | list }}\"\n",
           asks_each() + "  b: {for_each: '{{ steps.ask.output }}', value: '{{ item }}'}\n",
           asks_each() +
               "  b: {for_each: '{{ steps.ask.output }}', tool: calc, on_error: {step: c}}\n"
               "  c: {value: '{{ item }}'}\n",
           asks() + "  b: {value: '{{ steps.ask.status }}'}\n",
           asks(", repeat: {until: \"{{ output.why == 'x' }}\", max: 3}") +
               "  b: {value: '{{ steps.ask.status }}'}\n",
           asks(),
       }) {
    EXPECT_THAT(dropped(plan).notes(), IsEmpty()) << plan;
  }
}

TEST(DropOutputFields, LeftAloneWithAReason) {
  auto note_of = [](std::string_view more, std::string_view schema, std::string_view rest = "") {
    const Optimized done =
        dropped(asks(more, schema) + std::string(rest) + "result: '{{ steps.ask.output.kind }}'\n");
    return done.notes().empty() ? "" : done.notes()[0];
  };
  EXPECT_THAT(note_of(", repeat: {until: \"{{ output.why == 'x' }}\", max: 3}", kSchema),
              HasSubstr("refused ask: it repeats until its output is good"));
  EXPECT_THAT(note_of("",
                      "{type: object, properties: {kind: {type: string}, why: {type: string}}, "
                      "minProperties: 1}"),
              HasSubstr("refused ask: its schema says more"));
  EXPECT_THAT(note_of("",
                      "{type: object, properties: {reason: {type: string}, kind: {type: "
                      "string}}}"),
              HasSubstr("refused ask: nothing reads reason, but the model may think in it"));
}

TEST(DropOutputFields, ShortFieldsBeforeGoAndLongOnesStay) {
  const Optimized done = dropped(
      asks("",
           "{type: object, required: [score, reason, kind, more], properties: {score: {type: "
           "number}, reason: {type: string}, kind: {type: string}, more: {type: string}}}") +
      "result: '{{ steps.ask.output.kind }}'\n");
  EXPECT_EQ(schema_of(done),
            R"({"properties":{"kind":{"type":"string"},"reason":{"type":"string"}},)"
            R"("required":["reason","kind"],"type":"object"})");
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr("refused ask: nothing reads reason"),
                                        HasSubstr("ask: nothing reads score, more")));
}

TEST(DropOutputFields, OfSchemasWithNames) {
  const Optimized done =
      dropped(asks("", "{$ref: '#/schemas/answer'}") + "result: '{{ steps.ask.output.kind }}'\n",
              "schemas:\n  answer: {type: object, properties: {kind: {type: string}, why: {type: "
              "string}}}\n");
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr("ask: nothing reads why: not generated")));
}

TEST(DropOutputFields, InsideOfSubPlans) {
  const Optimized done = dropped("  each: {for_each: [1, 2], plan: row}\n",
                                 "plans:\n  row:\n    steps:\n    " + asks() +
                                     "    result: {kind: '{{ steps.ask.output.kind }}'}\n");
  EXPECT_EQ(schema_of(done, "row"), kKindAlone);
}

}  // namespace
}  // namespace sluice
