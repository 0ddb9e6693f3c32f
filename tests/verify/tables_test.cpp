// Table steps: what is wrong with them is found at its place, and what they give has a type.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/verify/checking.h"

namespace sluice {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WrongTable : public ::testing::TestWithParam<WrongSteps> {};

TEST_P(WrongTable, GivesTheseErrors) {
  Checked checked = check_text(with_frame(GetParam().steps));
  EXPECT_THAT(checked.errors(), ElementsAreArray(GetParam().errors)) << checked.text();
  EXPECT_THAT(checked.text(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Form, WrongTable,
    ::testing::Values(
        WrongSteps{"no_map",
                   "  a: {table: rows}\n",
                   {"3:14 VALUE_INVALID"},
                   "table needs a map with from, not a string"},
        WrongSteps{"no_from", "  a: {table: {where: true}}\n", {"3:14 KEY_MISSING"}, "add from"},
        WrongSteps{"key_unknown",
                   "  a: {table: {from: [], were: true}}\n",
                   {"3:25 KEY_UNKNOWN"},
                   "did you mean where?"},
        WrongSteps{"with",
                   "  a: {table: {from: []}, with: {x: 1}}\n",
                   {"3:26 VALUE_INVALID"},
                   "a table has no with"},
        WrongSteps{"keep",
                   "  a: {table: {from: [], match: {with: [], on: '{{ row.a == other.a }}', keep: "
                   "left}}}\n",
                   {"3:79 VALUE_INVALID"},
                   "keep is all"},
        WrongSteps{"on_missing",
                   "  a: {table: {from: [], match: {with: []}}}\n",
                   {"3:32 KEY_MISSING"},
                   "add on"},
        WrongSteps{
            "name_twice",
            "  a: {table: {from: [], group: {by: {x: '{{ row.x }}'}, give: {x: '{{ rows }}'}}}}\n",
            {"3:64 VALUE_INVALID"},
            "x stands in by already"},
        WrongSteps{"other_alone",
                   "  a: {table: {from: [], where: '{{ other.x == 1 }}'}}\n",
                   {"3:36 EXPR_NAME"},
                   "other stands only in a table with match"},
        WrongSteps{"rows_in_select",
                   "  a: {table: {from: [], select: '{{ rows }}'}}\n",
                   {"3:37 EXPR_NAME"},
                   "rows stands only in group's give of a table"},
        WrongSteps{"row_in_give",
                   "  a: {table: {from: [], group: {by: {}, give: {x: '{{ row.x }}'}}}}\n",
                   {"3:55 EXPR_NAME"},
                   "give reads rows"},
        WrongSteps{"row_in_order",
                   "  a: {table: {from: [], order: {by: '{{ row.x }}'}}}\n",
                   {"3:41 EXPR_NAME"},
                   "order reads output"},
        WrongSteps{"row_outside", "  a: {value: '{{ row.x }}'}\n", {"3:18 EXPR_NAME"}},
        WrongSteps{"step_unknown",
                   "  a: {table: {from: [], where: '{{ row.x == steps.b.output }}'}}\n",
                   {"3:51 STEP_UNKNOWN"}}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Types, WrongTable,
    ::testing::Values(
        WrongSteps{"from_text",
                   "  a: {table: {from: text}}\n",
                   {"3:21 TYPE_MISMATCH"},
                   "from needs a list of objects, not string"},
        WrongSteps{
            "with_number",
            "  a: {table: {from: [], match: {with: '{{ params.n }}', on: '{{ row.a == other.a "
            "}}'}}}\n",
            {"3:39 TYPE_MISMATCH"},
            "with needs a list of objects"},
        WrongSteps{"field_unknown",
                   "  r: {value: [{size: 1}]}\n"
                   "  a: {table: {from: '{{ steps.r.output }}', where: '{{ row.siez > 1 }}'}}\n",
                   {"4:56 TYPE_MISMATCH"},
                   "size"},
        WrongSteps{"where_text",
                   "  r: {value: [{name: x}]}\n"
                   "  a: {table: {from: '{{ steps.r.output }}', where: '{{ row.name }}'}}\n",
                   {"4:52 TYPE_MISMATCH"},
                   "where needs a boolean, not string"},
        WrongSteps{
            "limit", "  a: {table: {from: [], limit: few}}\n", {"3:32 TYPE_MISMATCH"}, "limit"},
        WrongSteps{
            "on_form",
            "  a: {table: {from: [], match: {with: [], on: '{{ row.a == other.b and row.c > 1 "
            "}}'}}}\n",
            {"3:72 VALUE_INVALID"},
            "on compares keys"},
        WrongSteps{"on_one_side",
                   "  a: {table: {from: [], match: {with: [], on: '{{ row.a == row.b }}'}}}\n",
                   {"3:51 VALUE_INVALID"},
                   "one side of == reads row"},
        WrongSteps{
            "output_of_it",
            "  r: {value: [{name: x}]}\n"
            "  a: {table: {from: '{{ steps.r.output }}', select: {n: '{{ row.name | length }}'}}}\n"
            "  b: {for_each: '{{ steps.a.output }}', value: '{{ item.name }}'}\n",
            {"5:52 TYPE_MISMATCH"},
            "name"},
        WrongSteps{"groups_of_it",
                   "  r: {value: [{name: x}]}\n"
                   "  a: {table: {from: '{{ steps.r.output }}', group: {by: {n: '{{ row.name }}'},"
                   " give: {all: '{{ rows | length }}'}}}}\n"
                   "  b: {for_each: '{{ steps.a.output }}', value: '{{ item.all | upper }}'}\n",
                   {"5:52 TYPE_MISMATCH"}},
        WrongSteps{"output_schema",
                   "  a: {table: {from: [{n: 1}]}, output: {type: string}}\n",
                   {"3:32 TYPE_MISMATCH"},
                   "can never fit output"}),
    name_of);

TEST(RightTable, HasNoFindings) {
  Checked checked = check_text(
      with_frame("  r: {value: [{name: x, n: 1}]}\n"
                 "  s: {for_each: '{{ steps.r.output }}', value: '{{ item.n }}'}\n"
                 "  a:\n"
                 "    for_each: '{{ steps.r.output }}'\n"
                 "    table:\n"
                 "      from: '{{ steps.r.output }}'\n"
                 "      match: {with: '{{ steps.r.output }}', on: '{{ row.n + params.n == other.n "
                 "}}', keep: all}\n"
                 "      where: '{{ row.n == steps.s.output[index] or other is none }}'\n"
                 "      select: {n: '{{ row.n + index }}'}\n"
                 "      group: {by: {n: '{{ row.n }}'}, give: {sum: \"{{ rows | sum(attribute='n') "
                 "+ key.n }}\"}}\n"
                 "      order: {by: '{{ output.sum }}'}\n"
                 "      limit: '{{ params.n }}'\n"
                 "  b: {for_each: '{{ steps.a.output }}', value: '{{ item[0].sum + 1 }}'}\n"));
  EXPECT_THAT(checked.errors(), IsEmpty()) << checked.text();
}

}  // namespace
}  // namespace sluice
