#include <gtest/gtest.h>
#include <sqlite3.h>

#include "tests/tools/tool_bench.h"

namespace sluice::test {
namespace {

struct Row {
  const char* function;
  const char* args;
  const char* gives;
};

class SqlRows : public testing::TestWithParam<Row> {};

TEST_P(SqlRows, Gives) {
  ToolBench bench;
  auto tool = bench.open("sql", R"j({"init": "create table t (a integer primary key, b text);
                                          insert into t values (1, 'one'), (2, 'two')"})j");
  ASSERT_TRUE(tool);
  auto result = bench.call(*tool, GetParam().function, GetParam().args);
  EXPECT_EQ(shown(result), GetParam().gives) << words(result);
  auto after = bench.call(*tool, "query", R"({"sql": "select 1 as x"})");
  EXPECT_EQ(shown(after), R"([{"x":1}])") << "the connection is spoiled: " << words(after);
}

INSTANTIATE_TEST_SUITE_P(
    All, SqlRows,
    testing::Values(
        Row{"query", R"({"sql": "select * from t order by a"})",
            R"([{"a":1,"b":"one"},{"a":2,"b":"two"}])"},
        Row{"query", R"({"sql": "select b from t where a = :id", "args": {"id": 2}})",
            R"([{"b":"two"}])"},
        // Text in args stays text.
        Row{"query", R"({"sql": "select ? as x", "args": ["'; drop table t; --"]})",
            R"([{"x":"'; drop table t; --"}])"},
        Row{"query", R"j({"sql": "select ? as a, ? as b, ? as c, ? as d, typeof(?) as e",
                          "args": [null, true, 2.5, [1, {"k": 2}], 7]})j",
            R"([{"a":null,"b":1,"c":2.5,"d":"[1,{\"k\":2}]","e":"integer"}])"},
        Row{"query", R"({"sql": "select 9223372036854775807 as x"})",
            R"([{"x":9223372036854775807}])"},
        Row{"query", R"({"sql": "select ? as x", "args": [9223372036854775808]})", "ARG_INVALID"},
        Row{"query", R"({"sql": "select ?", "args": []})", "ARG_INVALID"},
        Row{"query", R"({"sql": "select ?", "args": [1, 2]})", "ARG_INVALID"},
        Row{"query", R"({"sql": "select :a", "args": {"b": 1}})", "ARG_INVALID"},
        Row{"query", R"({"sql": "select :a as x", "args": {"a": 1, "b": 1}})", "ARG_INVALID"},
        Row{"query", R"({"sql": "select ?", "args": {"a": 1}})", "ARG_INVALID"},
        // A query reads, and it reads once.
        Row{"query", R"({"sql": "delete from t"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "delete from t returning a"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "select 1; delete from t"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "select 1 as x; -- done"})", R"([{"x":1}])"},
        Row{"query", R"({"sql": "attach 'other.db' as o"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "pragma journal_mode = wal"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "pragma user_version = 4"})", "SQL_FAILED"},
        Row{"query", R"j({"sql": "select name from pragma_table_info('t')"})j",
            R"([{"name":"a"},{"name":"b"}])"},
        Row{"query", R"({"sql": "begin"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "  -- nothing"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "select 1 as x, 2 as x"})", "SQL_FAILED"},
        Row{"query", R"({"sql": "select 9e999 as x"})", "TOOL_OUTPUT"},
        Row{"query", R"({"sql": "select cast(x'ff' as text) as x"})", "TOOL_OUTPUT"},
        // Rows of the plan as tables.
        Row{"query", R"j({"sql": "select r.n, t.b, r.extra from r join t on t.a = r.a order by r.n",
                          "tables": {"r": [{"a": 1, "n": 10}, {"a": 2, "n": 20, "extra": [1]}]}})j",
            R"([{"n":10,"b":"one","extra":null},{"n":20,"b":"two","extra":"[1]"}])"},
        Row{"query", R"j({"sql": "select count(*) as n from empty", "tables": {"empty": []}})j",
            R"([{"n":0}])"},
        Row{"query", R"j({"sql": "select \"we \"\"ird\" as x from \"a b\"",
                          "tables": {"a b": [{"we \"ird": 5}]}})j",
            R"([{"x":5}])"},
        Row{"query", R"({"sql": "select 1", "tables": {"x": 5}})", "ARG_INVALID"},
        // A table that hides a real one does so for this query only.
        Row{"query", R"j({"sql": "select count(*) as n from t", "tables": {"t": [{"a": 9}]}})j",
            R"([{"n":1}])"},
        Row{"exec", R"j({"sql": "insert into t (b) values (?)", "args": ["three"]})j",
            R"({"changes":1,"last_id":3})"},
        Row{"exec", R"({"sql": "update t set b = upper(b) returning b"})",
            R"({"changes":2,"last_id":2,"rows":[{"b":"ONE"},{"b":"TWO"}]})"},
        Row{"exec", R"j({"sql": "create table u (x); insert into u values (1)"})j",
            R"({"changes":1,"last_id":1})"},
        Row{"exec", R"j({"sql": "insert into t (b) values (?); select ?", "args": [1]})j",
            "SQL_FAILED"},
        Row{"exec", R"({"sql": "attach 'other.db' as o"})", "SQL_FAILED"},
        Row{"exec", R"({"sql": "vacuum into 'copy.db'"})", "SQL_FAILED"},
        Row{"exec", R"({"sql": "commit"})", "SQL_FAILED"},
        Row{"exec", R"j({"sql": "insert into t values (1, 'again')"})j", "SQL_FAILED"}));

TEST(SqlTool, AFailedExecChangesNothing) {
  ToolBench bench;
  auto tool = bench.open("sql", R"j({"init": "create table t (a integer primary key)"})j");
  EXPECT_EQ(shown(bench.call(*tool, "exec",
                             R"j({"sql": "insert into t values (1); insert into t values (1)"})j")),
            "SQL_FAILED");
  EXPECT_EQ(shown(bench.call(*tool, "query", R"j({"sql": "select count(*) as n from t"})j")),
            R"([{"n":0}])");
}

TEST(SqlTool, ACancelledExecChangesNothing) {
  ToolBench bench;
  auto tool = bench.open("sql", R"j({"init": "create table t (a)"})j");
  auto seen = bench.start(*tool, ToolBench::make_call("exec", json(R"j({"sql":
      "with recursive c(i) as (select 1 union all select i+1 from c) insert into t select i from c"})j")));
  bench.run_for(200);
  tool->cancel(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_EQ(shown(bench.call(*tool, "query", R"j({"sql": "select count(*) as n from t"})j")),
            R"([{"n":0}])");
}

TEST(SqlTool, AQueuedCallCanBeCancelledBeforeItRuns) {
  ToolBench bench;
  auto tool = bench.open("sql", "{}");
  auto slow = bench.start(*tool, ToolBench::make_call("query", json(R"j({"sql":
      "with recursive c(i) as (select 1 union all select i+1 from c) select max(i) as m from c"})j")));
  auto queued =
      bench.start(*tool, ToolBench::make_call("query", json(R"({"sql": "select 1 as x"})")));
  bench.run_for(100);
  tool->cancel(queued->id);
  EXPECT_EQ(shown(bench.wait(queued)), "CANCELLED");
  EXPECT_FALSE(queued->result->error().left);
  EXPECT_EQ(slow->ends, 0);
  tool->cancel(slow->id);
  EXPECT_EQ(shown(bench.wait(slow)), "CANCELLED");
}

TEST(SqlTool, FilesLastAndRelativePathsStartAtThePlan) {
  ToolBench bench;
  {
    auto tool =
        bench.open("sql", R"j({"database": "x.db", "init": "create table if not exists t (a)"})j");
    bench.call(*tool, "exec", R"j({"sql": "insert into t values (x'0001')"})j");
  }
  ASSERT_TRUE(std::filesystem::exists(bench.folder / "x.db"));
  auto tool =
      bench.open("sql", R"j({"database": "x.db", "init": "create table if not exists t (a)"})j");
  auto result = bench.call(*tool, "query", R"({"sql": "select a from t"})");
  ASSERT_TRUE(result) << words(result);
  const Value* blob = result->output.items()[0].find("a");
  ASSERT_EQ(blob->kind(), Value::Kind::kBlob);
  EXPECT_EQ(*blob->blob_bytes(), std::string_view("\0\1", 2));
  auto again = bench.call(
      *tool,
      ToolBench::make_call(
          "query", Value::object({{"sql", Value::string("select count(*) as n from t where a = ?")},
                                  {"args", Value::array({*blob})}})));
  EXPECT_EQ(shown(again), R"([{"n":1}])");
}

TEST(SqlTool, ALockedDatabaseIsWaitedForAndCanBeCancelled) {
  ToolBench bench;
  auto tool =
      bench.open("sql", R"j({"database": "x.db", "init": "create table if not exists t (a)"})j");
  sqlite3* other = nullptr;
  sqlite3_open((bench.folder / "x.db").c_str(), &other);
  ASSERT_EQ(sqlite3_exec(other, "begin exclusive", nullptr, nullptr, nullptr), SQLITE_OK);
  auto seen = bench.start(
      *tool, ToolBench::make_call("exec", json(R"j({"sql": "insert into t values (1)"})j")));
  bench.run_for(200);
  EXPECT_EQ(seen->ends, 0);
  sqlite3_exec(other, "commit", nullptr, nullptr, nullptr);
  EXPECT_EQ(shown(bench.wait(seen)), R"({"changes":1,"last_id":1})");
  sqlite3_exec(other, "begin exclusive", nullptr, nullptr, nullptr);
  auto call = ToolBench::make_call("exec", json(R"j({"sql": "insert into t values (2)"})j"));
  call.timeout_ms = 100;
  EXPECT_EQ(shown(bench.call(*tool, call)), "TIMEOUT");
  sqlite3_close(other);
}

TEST(SqlTool, WhatCannotBeOpenedIsRefused) {
  ToolBench bench;
  bench.write_file("text.db",
                   "this is no database, and it is long enough to have a header of its own....."
                   "....................................................................");
  for (const char* settings : {R"({"database": "no/such/folder/x.db"})",
                               R"({"database": "text.db", "init": "select 1 from sqlite_master"})",
                               R"({"init": "create tabel t"})"}) {
    auto tool = open_tool("t", "sql", json(settings), bench.environment());
    ASSERT_FALSE(tool) << settings;
    EXPECT_EQ(tool.error().name(), "TOOL_START") << settings;
  }
}

}  // namespace
}  // namespace sluice::test
