// Kind `table`: readers against awkward files, writers, the work file, and streams that pause.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <random>
#include <sstream>

#include "tests/tools/tool_bench.h"
#include "tools/sql/sql_database.h"
#include "tools/table/cell.h"
#include "tools/table/csv_reader.h"
#include "tools/table/csv_writer.h"
#include "tools/table/json_lines_reader.h"
#include "tools/table/table_reader.h"
#include "tools/table/table_tool.h"
#include "tools/table/table_writer.h"
#include "tools/table/work_file.h"

namespace sluice::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A text in pieces of a few bytes: every state of a reader meets the end of a piece.
class CrumbSource final : public ByteSource {
 public:
  CrumbSource(std::string text, std::size_t size) : text_(std::move(text)), size_(size) {}
  Result<std::string_view> next() override {
    std::string_view piece = std::string_view(text_).substr(at_, size_);
    // A byte order mark is looked for in the first piece.
    if (at_ == 0 && size_ < 3) piece = std::string_view(text_).substr(0, 3);
    at_ += piece.size();
    return piece;
  }

 private:
  std::string text_;
  std::size_t size_;
  std::size_t at_ = 0;
};

using Records = std::vector<std::vector<std::string>>;

Result<Records> records_of(const std::string& text, std::size_t crumb, char separator = ',') {
  CsvReader reader(std::make_unique<CrumbSource>(text, crumb), separator);
  Records records;
  std::vector<std::string> cells;
  while (true) {
    auto more = reader.next(cells);
    if (!more) return std::unexpected(more.error());
    if (!*more) return records;
    records.push_back(cells);
  }
}

struct CsvCase {
  const char* name;
  std::string text;
  Records records;
};

class CsvTexts : public testing::TestWithParam<CsvCase> {};

TEST_P(CsvTexts, GiveTheirRecordsWhereverTheirPiecesEnd) {
  for (std::size_t crumb : {1, 2, 3, 5, 4096}) {
    auto records = records_of(GetParam().text, crumb);
    ASSERT_TRUE(records) << records.error().to_string();
    EXPECT_EQ(*records, GetParam().records) << "pieces of " << crumb;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, CsvTexts,
    testing::Values(
        CsvCase{"nothing", "", {}}, CsvCase{"mark_alone", "\xEF\xBB\xBF", {}},
        CsvCase{"mark",
                "\xEF\xBB\xBF"
                "a,b\n1,2\n",
                {{"a", "b"}, {"1", "2"}}},
        CsvCase{"crlf", "a,b\r\n1,2\r\n", {{"a", "b"}, {"1", "2"}}},
        CsvCase{"no_last_line_end", "a,b\n1,2", {{"a", "b"}, {"1", "2"}}},
        CsvCase{"ends_in_cr", "a,b\r\n1,2\r", {{"a", "b"}, {"1", "2"}}},
        CsvCase{"cr_inside", "a\n1\r2\n", {{"a"}, {"1\r2"}}},
        CsvCase{"ends_in_separator", "a,b\n1,", {{"a", "b"}, {"1", ""}}},
        CsvCase{"empty_cells", ",,\n", {{"", "", ""}}},
        CsvCase{"quoted", "\"a\",\"b,c\"\n", {{"a", "b,c"}}},
        CsvCase{"quoted_lines", "\"x\r\ny\nz\",2\n", {{"x\r\ny\nz", "2"}}},
        CsvCase{"quotes_in_quotes", "\"say \"\"hi\"\"\",\"\"\n", {{"say \"hi\"", ""}}},
        CsvCase{"quoted_at_the_end", "1,\"2\"", {{"1", "2"}}},
        CsvCase{"quoted_crlf", "\"1\"\r\n\"2\"\r\n", {{"1"}, {"2"}}},
        CsvCase{"quote_inside_a_cell", "5\" pipe,x\n", {{"5\" pipe", "x"}}},
        CsvCase{"blanks_stay", " a , b\n", {{" a ", " b"}}},
        CsvCase{"characters", "\xC3\xA4,\xF0\x9F\x99\x82\n", {{"\xC3\xA4", "\xF0\x9F\x99\x82"}}}),
    [](const auto& info) { return std::string(info.param.name); });

struct BadCsv {
  const char* name;
  std::string text;
  const char* says;
};

class BadCsvTexts : public testing::TestWithParam<BadCsv> {};

TEST_P(BadCsvTexts, SayWhere) {
  for (std::size_t crumb : {1, 4096}) {
    auto table = open_csv_table(std::make_unique<CrumbSource>(GetParam().text, crumb), ',');
    Result<bool> more = true;
    if (!table) more = std::unexpected(table.error());
    while (more && *more) more = (*table)->skip();
    ASSERT_FALSE(more) << "read to its end";
    EXPECT_EQ(more.error().code(), ErrorCode::kTableInvalid);
    EXPECT_THAT(more.error().message(), HasSubstr(GetParam().says)) << "pieces of " << crumb;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadCsvTexts,
    testing::Values(
        BadCsv{"too_few", "a,b\n1,2\n3\n", "line 3: 1 cell, the header has 2"},
        BadCsv{"too_many", "a,b\n1,2,3\n", "line 2: 3 cells, the header has 2"},
        BadCsv{"line_behind_quoted_lines", "a,b\n\"1\n1\n1\",2\n3\n", "line 5: 1 cell,"},
        BadCsv{"never_closed", "a\nb\n\"x\ny\n", "line 3: a quoted cell is never closed"},
        BadCsv{"behind_the_quote", "a\n\"x\"y\n", "line 2: text after the closing quote"},
        BadCsv{"twice", "a,b,a\n", "two columns are called 'a'"},
        BadCsv{"two_without_a_name", "a,,\n", "two columns have no name"},
        BadCsv{"blank_header", "\na,b\n1,2\n", "line 1 is blank"},
        BadCsv{"cr_alone", "a,b\r1,2\r", "line 1: lines end in CR alone"},
        BadCsv{"latin1", "a\nok\nCaf\xE9 au lait\n",
               "line 3 is not UTF-8 text: it has the byte 0xE9 behind 'Caf'"},
        BadCsv{"latin1_in_quotes", "a\n\"x\ny\xE9\"\n",
               "line 3 is not UTF-8 text: it has the byte 0xE9 behind 'y'"},
        BadCsv{"utf16",
               "\xFF\xFE"
               "a\n",
               "UTF-16"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Csv, WhatIsWrittenIsReadAgain) {
  std::mt19937 chance(20261122);
  const std::string alphabet[] = {"a", "\"",       ",", "\n",  "\r", "\r\n",
                                  " ", "\xC3\xA4", "",  "x,y", "\t"};
  for (int round = 0; round < 300; ++round) {
    const std::size_t columns = 1 + chance() % 5;
    const char separator = chance() % 2 == 0 ? ',' : '\t';
    Records written;
    std::string text;
    for (std::size_t row = 0; row < 1 + chance() % 6; ++row) {
      std::vector<std::string> cells(columns);
      for (std::string& cell : cells) {
        for (unsigned part = chance() % 5; part > 0; --part) {
          cell += alphabet[chance() % std::size(alphabet)];
        }
      }
      text += csv_record(cells, separator);
      written.push_back(std::move(cells));
    }
    auto read = records_of(text, 1 + chance() % 7, separator);
    ASSERT_TRUE(read) << read.error().to_string() << "\n" << text;
    ASSERT_EQ(*read, written) << text;
  }
}

TEST(JsonLines, AreObjectsALine) {
  auto rows = [](const std::string& text) {
    auto table = open_json_lines_table(std::make_unique<CrumbSource>(text, 4));
    std::string all;
    while (true) {
      auto row = (*table)->next();
      if (!row) return row.error().message();
      if (!*row) return all;
      all += to_json(**row) + "|";
    }
  };
  EXPECT_EQ(rows("{\"a\":1}\r\n\n  \n{\"b\":[2]}"), R"({"a":1}|{"b":[2]}|)");
  EXPECT_EQ(rows("\xEF\xBB\xBF{\"a\":1}\n"), R"({"a":1}|)");
  EXPECT_EQ(rows(""), "");
  EXPECT_THAT(rows("{\"a\":1}\n\n[1]\n"), HasSubstr("line 3: a row is an object"));
  EXPECT_THAT(rows("{}\n{\"a\":\n"), HasSubstr("line 2: "));
  EXPECT_THAT(rows("{}\n{\"a\":\"\xFF\"}\n"), HasSubstr("line 2 is not UTF-8"));
}

struct CellCase {
  const char* schema;
  const char* raw;  // JSON; "" for a cell that is not there
  const char* gives;
};

class Cells : public testing::TestWithParam<CellCase> {};

TEST_P(Cells, AreWhatTheirSchemaWants) {
  auto columns = table_columns_of(json(std::string(R"({"x": )") + GetParam().schema + "}"));
  ASSERT_TRUE(columns) << columns.error().to_string();
  const std::string raw = GetParam().raw;
  const Value row = json(raw.empty() ? "{}" : R"({"x": )" + raw + "}");
  EXPECT_EQ(to_json(read_row(*columns, row, true)),
            std::string(GetParam().gives).empty()
                ? "{}"
                : R"({"x":)" + std::string(GetParam().gives) + "}")
      << GetParam().schema << " of " << raw;
}

INSTANTIATE_TEST_SUITE_P(
    All, Cells,
    testing::Values(
        CellCase{R"({"type": "string"})", R"("007")", R"("007")"},
        CellCase{R"({"type": "string"})", R"("")", R"("")"},
        CellCase{R"({"type": "string", "default": "d"})", R"("")", R"("d")"},
        CellCase{R"({"type": ["string", "null"]})", R"("")", R"("")"},
        CellCase{"true", R"("12")", R"("12")"}, CellCase{R"({"type": "integer"})", R"("12")", "12"},
        CellCase{R"({"type": "integer"})", R"(" 12 ")", "12"},
        CellCase{R"({"type": "integer"})", R"("twelve")", R"("twelve")"},
        CellCase{R"({"type": "integer"})", R"("")", "null"},
        CellCase{R"({"type": "integer", "default": 3})", R"("")", "3"},
        CellCase{R"({"type": "integer", "default": 3})", "", "3"},
        CellCase{R"({"type": "integer"})", "", ""}, CellCase{R"({"type": "integer"})", "7", "7"},
        CellCase{R"({"type": "number"})", R"("2.5e3")", "2500.0"},
        CellCase{R"({"type": "boolean"})", R"("TRUE")", "true"},
        CellCase{R"({"type": "boolean"})", R"("false")", "false"},
        CellCase{R"({"type": "boolean"})", R"("yes")", R"("yes")"},
        CellCase{R"({"type": "array", "items": {"type": "integer"}})", R"("[1,2]")", "[1,2]"},
        CellCase{R"({"type": "object"})", R"("{\"a\": 1}")", R"({"a":1})"},
        CellCase{R"({"type": ["integer", "null"]})", "null", "null"},
        CellCase{R"({"type": ["integer", "null"], "default": 4})", "null", "null"}));

class Tables : public testing::Test {
 protected:
  std::string text_of(const std::string& name) const {
    std::ifstream in(bench.folder / name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  bool there(const std::string& name) const { return std::filesystem::exists(bench.folder / name); }
  Result<Value> asked(const std::string& file, const std::string& sql) const {
    auto database = SqlDatabase::open(bench.folder / file, "");
    if (!database) return std::unexpected(database.error());
    return (*database)->query({.sql = sql, .args = {}, .tables = {}});
  }
  std::string put(Tool& tool, const std::string& args) {
    return shown(bench.call(tool, "put", args));
  }

  ToolBench bench;
};

TEST_F(Tables, OfSqliteAreATableOrAQuery) {
  auto database = SqlDatabase::open(bench.folder / "in.db", "create table note (id, text)");
  ASSERT_TRUE(database);
  ASSERT_TRUE((*database)->exec({.sql = "insert into note values (1, 'a'), (2, null), (3, x'00')",
                                 .args = {},
                                 .tables = {}}));
  TableSource source{bench.folder / "in.db", TableFormat::kSqlite, "", ""};
  auto scan = scan_table(source);
  ASSERT_TRUE(scan) << scan.error().to_string();
  EXPECT_THAT(scan->columns, ElementsAre("id", "text"));
  EXPECT_EQ(scan->rows, 3U);
  source.query = "select id * 2 as twice from note where id < 3 order by id desc;";
  auto table = open_table(source);
  ASSERT_TRUE(table) << table.error().to_string();
  EXPECT_EQ(to_json(**(*table)->next()), R"({"twice":4})");
  EXPECT_EQ(to_json(**(*table)->next()), R"({"twice":2})");
  EXPECT_FALSE((*table)->next()->has_value());
  for (const char* bad : {"delete from note", "select 1 as a; select 2 as b", "select ? as x", "",
                          "update note set id = 1 returning id"}) {
    source.query = bad;
    if (source.query.empty()) source.table = "nota";
    auto refused = open_table(source);
    EXPECT_FALSE(refused) << bad;
    if (!refused && *bad == '\0') {
      EXPECT_THAT(refused.error().message(), HasSubstr("did you mean note?"));
    }
  }
  EXPECT_EQ(to_json(*asked("in.db", "select count(*) as n from note")), R"([{"n":3}])");
  bench.write_file("text.db", std::string(5000, 'x'));
  EXPECT_EQ(open_table({bench.folder / "text.db", TableFormat::kSqlite, "", ""}).error().code(),
            ErrorCode::kTableInvalid);
  EXPECT_EQ(open_table({bench.folder / "none.db", TableFormat::kSqlite, "", ""}).error().code(),
            ErrorCode::kFileMissing);
}

TEST_F(Tables, StreamTheirRowsAndPause) {
  std::string text = "n,t\n";
  for (int i = 0; i < 2000; ++i) text += std::to_string(i) + ",\"x\n" + std::to_string(i) + "\"\n";
  bench.write_file("in.csv", text);
  auto tool = bench.open("table", R"({"file": "in.csv", "columns": {"n": {"type": "integer"}}})");
  ASSERT_TRUE(tool);
  auto call = ToolBench::make_call("rows", json("{}"));
  call.streaming = true;
  auto seen =
      bench.start(*tool, call, [](Observed& so_far) { return so_far.items.size() % 300 != 0; });
  ASSERT_TRUE(bench.run_until([&] { return seen->items.size() == 300; }));
  bench.run_for(50);
  EXPECT_EQ(seen->items.size(), 300U) << "went on although its consumer had enough";
  while (seen->ends == 0) {
    tool->resume(seen->id);
    bench.run_for(20);
  }
  ASSERT_TRUE(*seen->result) << words(*seen->result);
  ASSERT_EQ(seen->items.size(), 2000U);
  EXPECT_EQ(to_json(seen->items[1999]), R"({"n":1999})");
  EXPECT_TRUE((*seen->result)->output.is_null());
}

// Whoever takes an item may have enough of the call: what it was called with must live on.
TEST_F(Tables, MayBeCancelledByWhoeverTakesARow) {
  bench.write_file("in.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
  auto tool = bench.open("table", R"({"file": "in.jsonl"})");
  ASSERT_TRUE(tool);
  auto call = ToolBench::make_call("rows", json("{}"));
  call.streaming = true;
  bool outlived = false;
  auto captured = std::make_shared<int>(7);
  const std::weak_ptr<int> watched = captured;
  auto cancel = [&tool, watched, &outlived, own = std::move(captured)](Observed& so_far) {
    const std::weak_ptr<int> alive = watched;
    bool* const told = &outlived;
    tool->cancel(so_far.id);
    *told = !alive.expired();
    return true;
  };
  auto seen = bench.start(*tool, call, std::move(cancel));
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_EQ(seen->items.size(), 1U);
  EXPECT_TRUE(outlived) << "the callback was gone while it ran";
  EXPECT_TRUE(watched.expired()) << "and is kept for ever";
}

TEST_F(Tables, AreScannedNoFurtherThanWanted) {
  bench.write_file("in.csv", "n,t\n1,a\n2,b\n3\n");
  const TableSource source{bench.folder / "in.csv", TableFormat::kCsv, "", ""};
  EXPECT_EQ(scan_table(source, 2)->rows, 2U);
  EXPECT_EQ(scan_table(source).error().code(), ErrorCode::kTableInvalid);
}

TEST_F(Tables, GiveWholeRowsAndOnlySoMany) {
  bench.write_file("in.csv", "n,t\n1,a\n2,b\n3,c\n");
  auto tool = bench.open(
      "table", R"({"file": "in.csv", "whole": true, "columns": {"n": {"type": "integer"}}})");
  ASSERT_TRUE(tool);
  EXPECT_EQ(shown(bench.call(*tool, "rows", R"({"limit": 2})")),
            R"([{"n":1,"$row":{"n":"1","t":"a"}},{"n":2,"$row":{"n":"2","t":"b"}}])");
  EXPECT_EQ(put(*tool, R"({"row": 0})"), "FILE_DENIED") << "it may only read";
  auto all = bench.open("table", R"({"file": "in.csv"})");
  EXPECT_EQ(shown(bench.call(*all, "rows", "{}")),
            R"([{"n":"1","t":"a"},{"n":"2","t":"b"},{"n":"3","t":"c"}])");
}

TEST_F(Tables, HoldTheirRowsForASample) {
  bench.write_file("in.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
  auto environment = bench.environment();
  environment.hold_rows_after = 2;
  auto tool = open_table_tool({"t", json(R"({"file": "in.jsonl"})"), environment});
  ASSERT_TRUE(tool);
  auto call = ToolBench::make_call("rows", json("{}"));
  call.streaming = true;
  auto seen = bench.start(**tool, call);
  bench.run_for(200);
  EXPECT_EQ(seen->items.size(), 2U);
  EXPECT_EQ(seen->ends, 0) << "a stream that holds has not ended";
  (*tool)->cancel(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
}

TEST_F(Tables, AreWrittenInTheOrderOfTheirRows) {
  auto tool = bench.open("table", R"({"file": "out.jsonl", "write": true})");
  ASSERT_TRUE(tool);
  EXPECT_EQ(put(*tool, R"({"row": 0, "value": 1})"), "RUN_CHANGED") << "nobody began";
  EXPECT_EQ(shown(bench.call(*tool, "begin", R"({"run": "r1"})")), "null");
  EXPECT_EQ(shown(bench.call(*tool, "begin", R"({"run": "r1"})")), "null");
  EXPECT_EQ(shown(bench.call(*tool, "begin", R"({"run": "r2"})")), "RUN_CHANGED");
  EXPECT_EQ(put(*tool, R"({"row": 2, "value": {"a": 3}})"), "null");
  EXPECT_EQ(put(*tool, R"({"row": 0, "value": "one"})"), "null");
  EXPECT_EQ(shown(bench.call(*tool, "finish", "{}")), "RUN_CHANGED") << "row 2 is missing";
  EXPECT_FALSE(there("out.jsonl"));
  EXPECT_EQ(put(*tool, R"({"row": 1, "error": "no luck", "input": {"k": 1}})"), "null");
  EXPECT_EQ(put(*tool, R"({"row": 3, "value": null})"), "null");
  EXPECT_EQ(put(*tool, R"({"row": 2, "value": {"a": 3}})"), "null") << "made again";
  auto finished = bench.call(*tool, "finish", "{}");
  ASSERT_TRUE(finished) << words(finished);
  EXPECT_EQ(text_of("out.jsonl"),
            "{\"result\":\"one\"}\n{\"k\":1,\"error\":\"row 2: no luck\"}\n{\"a\":3}\n");
  EXPECT_EQ(finished->output.find("rows")->as_int(), 4);
  EXPECT_EQ(finished->output.find("written")->as_int(), 3);
  EXPECT_EQ(finished->output.find("errors")->as_int(), 1);
  EXPECT_EQ(shown(bench.call(*tool, "finish", R"({"order": "arrival", "keep_null": true})")),
            shown(bench.call(*tool, "finish", R"({"order": "arrival", "keep_null": true})")));
  EXPECT_EQ(text_of("out.jsonl"),
            "{\"a\":3}\n{\"result\":\"one\"}\n{\"k\":1,\"error\":\"row 2: no luck\"}\n"
            "{\"result\":null}\n");
  EXPECT_TRUE(there("out.jsonl.part"));
  EXPECT_EQ(shown(bench.call(*tool, "tidy", "{}")), "null");
  EXPECT_EQ(shown(bench.call(*tool, "tidy", "{}")), "null");
  tool.reset();
  for (const auto& entry : std::filesystem::directory_iterator(bench.folder)) {
    EXPECT_EQ(entry.path().filename(), "out.jsonl") << "left behind";
  }
}

TEST_F(Tables, AreTakenUpByAnotherProcess) {
  {
    auto tool = bench.open("table", R"({"file": "out.csv", "write": true})");
    bench.call(*tool, "begin", R"({"run": "r1"})");
    EXPECT_EQ(put(*tool, R"({"row": 0, "value": {"a": "x,y", "b": [1, 2]}})"), "null");
    auto held = run_of_work_file(bench.folder / "out.csv");
    ASSERT_FALSE(held) << "another has it open";
    EXPECT_EQ(held.error().code(), ErrorCode::kRunBusy) << held.error().to_string();
  }
  auto run = run_of_work_file(bench.folder / "out.csv");
  ASSERT_TRUE(run) << run.error().to_string();
  EXPECT_EQ(run->value_or(""), "r1");
  auto tool = bench.open("table", R"({"file": "out.csv", "write": true})");
  EXPECT_EQ(shown(bench.call(*tool, "begin", R"({"run": "r1"})")), "null");
  std::vector<std::shared_ptr<Observed>> all;
  for (int row = 1; row < 500; ++row) {
    all.push_back(bench.start(
        *tool, ToolBench::make_call("put", json(R"({"row": )" + std::to_string(row) +
                                                R"(, "value": {"b": null, "c": true}})"))));
  }
  for (auto& seen : all) EXPECT_EQ(shown(bench.wait(seen)), "null");
  auto finished = bench.call(*tool, "finish", R"({"columns": ["z"]})");
  ASSERT_TRUE(finished) << words(finished);
  EXPECT_THAT(text_of("out.csv"), testing::StartsWith("z,a,b,c\n,\"x,y\",\"[1,2]\",\n,,,true\n"));
}

TEST_F(Tables, GoIntoADatabase) {
  auto write = [&](const std::string& settings) {
    auto tool = bench.open("table", settings);
    bench.call(*tool, "begin", R"({"run": "r"})");
    put(*tool, R"({"row": 0, "value": {"A": 1, "a": "x", "l": [1]}})");
    put(*tool, R"({"row": 1, "error": "no"})");
    auto finished = bench.call(*tool, "finish", "{}");
    EXPECT_TRUE(finished) << words(finished);
    bench.call(*tool, "tidy", "{}");
  };
  write(R"({"file": "out.db", "write": true})");
  EXPECT_EQ(to_json(*asked("out.db", "select * from result")),
            R"([{"A":1,"a_2":"x","l":"[1]","error":null},)"
            R"({"A":null,"a_2":null,"l":null,"error":"row 2: no"}])");
  auto database = SqlDatabase::open(bench.folder / "out.db", "create table other (x)");
  ASSERT_TRUE(database);
  database->reset();
  write(R"({"file": "out.db", "write": true, "table": "second one"})");
  write(R"({"file": "out.db", "write": true})");
  EXPECT_EQ(to_json(*asked("out.db", "select name from sqlite_master order by name")),
            R"([{"name":"other"},{"name":"result"},{"name":"second one"}])");
  EXPECT_TRUE(*output_exists({bench.folder / "out.db", TableFormat::kSqlite, "Second One"}));
  EXPECT_FALSE(*output_exists({bench.folder / "out.db", TableFormat::kSqlite, "third"}));
}

TEST_F(Tables, WithNothingInThemAreFilesAllTheSame) {
  for (const char* name : {"out.jsonl", "out.csv", "out.db"}) {
    auto tool = bench.open("table", R"({"file": ")" + std::string(name) + R"(", "write": true})");
    bench.call(*tool, "begin", R"({"run": "r"})");
    EXPECT_TRUE(bench.call(*tool, "finish", "{}")) << name;
    EXPECT_TRUE(there(name));
    bench.call(*tool, "tidy", "{}");
  }
  EXPECT_EQ(text_of("out.jsonl"), "");
  EXPECT_EQ(to_json(*asked("out.db", "select count(*) as n from result")), R"([{"n":0}])");
}

TEST_F(Tables, LeaveWhatIsNotTheirs) {
  bench.write_file("out.csv.part", std::string(4096, 'x'));
  auto tool = bench.open("table", R"({"file": "out.csv", "write": true})");
  EXPECT_EQ(shown(bench.call(*tool, "begin", R"({"run": "r"})")), "TABLE_INVALID");
  auto database = SqlDatabase::open(bench.folder / "o.csv.part", "create table mine (x)");
  ASSERT_TRUE(database);
  database->reset();
  EXPECT_EQ(run_of_work_file(bench.folder / "o.csv").error().code(), ErrorCode::kTableInvalid);
}

TEST_F(Tables, NameTheirErrorColumnApart) {
  auto tool = bench.open("table", R"({"file": "out.jsonl", "write": true})");
  bench.call(*tool, "begin", R"({"run": "r"})");
  put(*tool, R"({"row": 0, "value": {"error": "mine"}})");
  put(*tool, R"({"row": 1, "error": "theirs"})");
  bench.call(*tool, "finish", "{}");
  EXPECT_EQ(text_of("out.jsonl"), "{\"error\":\"mine\"}\n{\"error_2\":\"row 2: theirs\"}\n");
}

TEST(TableFormats, AreKnownByTheEndOfTheName) {
  EXPECT_EQ(*table_format_of("a.CSV"), TableFormat::kCsv);
  EXPECT_EQ(*table_format_of("a.b/c.ndjson"), TableFormat::kJsonLines);
  EXPECT_EQ(*table_format_of("c.sqlite3"), TableFormat::kSqlite);
  EXPECT_EQ(*table_format_of("rows.xlsx", "tsv"), TableFormat::kTsv);
  EXPECT_EQ(table_format_of("rows.xlsx").error().code(), ErrorCode::kUsage);
}

}  // namespace
}  // namespace sluice::test
