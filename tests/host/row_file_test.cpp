#include "host/files/row_file.h"

#include <gtest/gtest.h>

#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

struct GoodRows {
  const char* name;
  RowFormat format;
  const char* text;
  const char* expected;
};

class RowsThatParse : public testing::TestWithParam<GoodRows> {};

TEST_P(RowsThatParse, Give) {
  auto rows = parse_rows(GetParam().text, GetParam().format);
  ASSERT_TRUE(rows.has_value()) << rows.error().to_string();
  EXPECT_EQ(to_json(*rows), to_json(*parse_json(GetParam().expected)));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RowsThatParse,
    testing::Values(
        GoodRows{"jsonl", RowFormat::kJsonLines, "{\"a\":1}\n\n{\"a\":2}", R"([{"a":1},{"a":2}])"},
        GoodRows{"jsonl_crlf", RowFormat::kJsonLines, "1\r\n2\r\n", "[1,2]"},
        GoodRows{"jsonl_empty", RowFormat::kJsonLines, "", "[]"},
        GoodRows{"csv", RowFormat::kCsv, "a,b\n1,x\n2,y\n",
                 R"([{"a":"1","b":"x"},{"a":"2","b":"y"}])"},
        GoodRows{"csv_no_last_newline", RowFormat::kCsv, "a\n1", R"([{"a":"1"}])"},
        GoodRows{"csv_crlf", RowFormat::kCsv, "a,b\r\n1,2\r\n", R"([{"a":"1","b":"2"}])"},
        GoodRows{"csv_quotes", RowFormat::kCsv, "a,b\n\"x,\"\"y\"\"\nz\",2\n",
                 R"([{"a":"x,\"y\"\nz","b":"2"}])"},
        GoodRows{"csv_empty_cells", RowFormat::kCsv, "a,b\n,\n", R"([{"a":"","b":""}])"},
        GoodRows{"csv_bom", RowFormat::kCsv,
                 "\xEF\xBB\xBF"
                 "a\n1\n",
                 R"([{"a":"1"}])"},
        GoodRows{"csv_blank_line", RowFormat::kCsv, "a,b\n1,2\n\n3,4\n",
                 R"([{"a":"1","b":"2"},{"a":"3","b":"4"}])"},
        GoodRows{"csv_header_only", RowFormat::kCsv, "a,b\n", "[]"},
        GoodRows{"csv_nothing", RowFormat::kCsv, "", "[]"},
        GoodRows{"json", RowFormat::kJsonArray, "[1,{\"a\":2}]", R"([1,{"a":2}])"}),
    [](const auto& info) { return std::string(info.param.name); });

struct BadRows {
  const char* name;
  RowFormat format;
  const char* text;
  const char* says;
};

class RowsThatDoNot : public testing::TestWithParam<BadRows> {};

TEST_P(RowsThatDoNot, SayWhere) {
  auto rows = parse_rows(GetParam().text, GetParam().format);
  ASSERT_FALSE(rows.has_value());
  EXPECT_NE(rows.error().message().find(GetParam().says), std::string::npos)
      << rows.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RowsThatDoNot,
    testing::Values(
        BadRows{"jsonl", RowFormat::kJsonLines, "{}\n{\"a\":}\n", "line 2"},
        BadRows{"cells", RowFormat::kCsv, "a,b\n1,2\n3\n", "line 3: 1 cell, the header has 2"},
        BadRows{"open_quote", RowFormat::kCsv, "a\n\"x\n", "line 2: a quoted cell is never"},
        BadRows{"after_quote", RowFormat::kCsv, "a\n\"x\"y\n", "after the closing quote"},
        BadRows{"twice", RowFormat::kCsv, "a,a\n", "two columns are called 'a'"},
        BadRows{"no_array", RowFormat::kJsonArray, "{}", "no JSON array"},
        BadRows{"bytes", RowFormat::kCsv, "a\nok\n\xff\n", "line 3 is not UTF-8"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(RowFile, KnowsTheFormatByName) {
  EXPECT_EQ(*row_format_of("x.jsonl"), RowFormat::kJsonLines);
  EXPECT_EQ(*row_format_of("a/b.CSV.tsv"), RowFormat::kCsv);
  EXPECT_EQ(row_format_of("rows.xlsx").error().code(), ErrorCode::kUsage);
}

TEST(RowFile, ReadsTabs) {
  ScratchDir dir;
  auto rows = read_rows(dir.write("r.tsv", "a\tb\n1,5\t2\n"));
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ(to_json(*rows), R"([{"a":"1,5","b":"2"}])");
  EXPECT_EQ(read_rows(dir.path() / "none.csv").error().code(), ErrorCode::kFileUnreadable);
}

}  // namespace
}  // namespace sluice
