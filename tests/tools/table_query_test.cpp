// Table steps carried out: by hand, and random ones against a plain reading of what they mean (all
// rows with all rows, every expression evaluated by the expression language). Results and errors
// must be the same, with conditions as SQL and without.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>

#include "data/json.h"
#include "plan/parse.h"
#include "tools/table_query/find_pairs.h"
#include "tools/table_query/run_table_query.h"

namespace sluice {
namespace {

const std::atomic<bool> kGoOn{false};

// ---- by hand ----

// The query of `table: {...}`, with from and match given as arguments.
std::shared_ptr<const TableQuery> query_of(const std::string& table) {
  std::string text =
      "sluice: 1\nparams: {p: {}, from: {}, with: {}}\nsteps:\n  t:\n    table:\n" + table;
  ParsedPlan plan = parse_plan(text, "p");
  for (const auto& each : plan.diagnostics.all()) {
    ADD_FAILURE() << format_diagnostic(each, {"p"}) << "\n" << text;
  }
  return plan.plan ? plan.plan->find_step("t")->table : nullptr;
}

std::string shown(const Result<Value>& result) {
  if (result) return to_json(*result, {.redact_secrets = false});
  return fmt::format("{}: {}", result.error().name(), result.error().message());
}

std::string run(const std::string& table, std::string_view args) {
  auto query = query_of(table);
  if (!query) return "no query";
  return shown(run_table_query(*query, *parse_json(args), {.stop = kGoOn}));
}

TEST(TableQuery, KindsStayApart) {
  constexpr std::string_view kArgs =
      R"({"from": [{"v": 1}, {"v": 1.0}, {"v": "1"}, {"v": true}, {"v": null}, {"v": [1]}]})";
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v == 1 }}'\n", kArgs),
            R"([{"v":1},{"v":1.0}])");
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v == \"1\" }}'\n", kArgs), R"([{"v":"1"}])");
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v == true }}'\n", kArgs), R"([{"v":true}])");
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v is none }}'\n", kArgs), R"([{"v":null}])");
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v == [1] }}'\n", kArgs), R"([{"v":[1]}])");
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v > 0 }}'\n", kArgs),
            "EXPR_TYPE: row 2: row.v > 0: a string and an integer have no order: \"1\" and 0");
}

TEST(TableQuery, IntegersDoNotOverflowSilently) {
  constexpr std::string_view kArgs =
      R"({"from": [{"v": 1}, {"v": 9223372036854775807}, {"v": -9223372036854775808}]})";
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v + 1 > 0 }}'\n", kArgs).substr(0, 23),
            "EXPR_ARITHMETIC: row 1:");
  EXPECT_EQ(run("      from: x\n      where: '{{ -row.v < 0 }}'\n", kArgs),
            R"([{"v":1},{"v":9223372036854775807}])");
  // A float beyond 2^53 is near many integers and equal to one at most.
  EXPECT_EQ(run("      from: x\n      where: '{{ row.v == 9223372036854775807.0 }}'\n", kArgs),
            "[]");
}

TEST(TableQuery, TextMeansWhatItMeansElsewhere) {
  constexpr std::string_view kArgs = R"({"from": [{"s": "Ä"}, {"s": "ä "}, {"s": "A"}]})";
  EXPECT_EQ(run("      from: x\n      where: '{{ row.s | lower | trim == \"ä\" }}'\n", kArgs),
            R"([{"s":"Ä"},{"s":"ä "}])");
  EXPECT_EQ(run("      from: x\n      where: '{{ row.s | length == 1 }}'\n", kArgs),
            R"([{"s":"Ä"},{"s":"A"}])");
}

TEST(TableQuery, WithSqlAndWithoutItIsTheSame) {
  struct Case {
    const char* where;
    const char* rows;
  };
  for (Case of : {Case{"row.v == 100000000000000016.0", R"([{"v": 100000000000000020}])"},
                  Case{"row.v == 100000000000000016.0", R"([{"v": 100000000000000016}])"},
                  Case{"row.v in [9007199254740993.0]", R"([{"v": 9007199254740993}])"},
                  Case{"row.v < 9007199254740992.0", R"([{"v": 9007199254740991}, {"v": 1.5}])"},
                  Case{"row.v * row.v > 0", R"([{"v": 1e200}, {"v": 3.0}])"},
                  Case{"row.v * row.v > 0", R"([{"v": 3037000500}, {"v": 3037000499}])"},
                  Case{"row.v / 3 > 0.3", R"([{"v": 1}, {"v": 9223372036854775807}])"},
                  Case{"row.v | length == 3", R"([{"v": "a\u0000b"}, {"v": "abc"}])"},
                  Case{"row.v == 'a\\u0000b'", R"([{"v": "a\u0000b"}, {"v": "a"}])"}}) {
    auto query = query_of(std::string("      from: x\n      where: \"{{ ") + of.where + " }}\"\n");
    ASSERT_TRUE(query);
    Value args = Value::object({{"from", *parse_json(of.rows)}});
    EXPECT_EQ(shown(run_table_query(*query, args, {.stop = kGoOn})),
              shown(run_table_query(*query, args, {.stop = kGoOn, .compile = false})))
        << of.where << " " << of.rows;
  }
}

TEST(TableQuery, NamesAndValuesAreNoSql) {
  constexpr std::string_view kArgs =
      R"({"from": [{"a\"; drop table r; --": "'; drop table r; --", "select": 1}]})";
  EXPECT_EQ(
      run("      from: x\n      where: '{{ row[\"a\\\"; drop table r; --\"] == \"''; drop table "
          "r; --\" and row[\"select\"] == 1 }}'\n      select: '{{ row[\"select\"] }}'\n",
          kArgs),
      "[1]");
}

TEST(TableQuery, AGuardKeepsRowsFromWhatWouldFail) {
  constexpr std::string_view kArgs =
      R"({"from": [{"ok": false, "v": 0}, {"ok": true, "v": 2}, {"ok": true, "v": 4}]})";
  EXPECT_EQ(run("      from: x\n      where: '{{ row.ok and 8 // row.v > 2 }}'\n", kArgs),
            R"([{"ok":true,"v":2}])");
  EXPECT_EQ(
      run("      from: x\n      where: '{{ 8 // row.v > 2 and row.ok }}'\n", kArgs).substr(0, 22),
      "EXPR_ARITHMETIC: row 0");
}

TEST(TableQuery, LabelsStay) {
  auto query = query_of(
      "      from: x\n      where: '{{ row.key == \"k\" }}'\n      select: '{{ row.n }}'\n");
  Value secret = Value::string("k").with_labels({.secret = true});
  Value rows = Value::array({Value::object({{"n", Value::integer(1)}, {"key", secret}})});
  auto made = run_table_query(*query, Value::object({{"from", rows}}), {.stop = kGoOn});
  ASSERT_TRUE(made);
  EXPECT_EQ(to_json(*made, {.redact_secrets = false}), "[1]");
  EXPECT_TRUE(made->labels().secret);

  auto open = query_of("      from: x\n      where: '{{ row.n == 1 }}'\n");
  Value outside =
      Value::array({Value::object({{"n", Value::integer(1)}})}).with_labels({.untrusted = true});
  made = run_table_query(*open, Value::object({{"from", outside}}), {.stop = kGoOn});
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->labels().untrusted);
  EXPECT_FALSE(made->labels().secret);
  EXPECT_TRUE(made->items()[0].labels().untrusted);
}

Labels labels_of(const std::string& table, const Value& from, const Value& match = Value()) {
  auto query = query_of(table);
  if (!query) return {};
  const Value args = Value::object({{"from", from}, {"match", match}});
  auto made = run_table_query(*query, args, {.stop = kGoOn});
  auto without_sql = run_table_query(*query, args, {.stop = kGoOn, .compile = false});
  EXPECT_TRUE(made && without_sql);
  if (!made || !without_sql) return {};
  EXPECT_EQ(made->labels(), without_sql->labels()) << table;
  return made->labels();
}

TEST(TableQuery, RowsThatAreLeftOutGiveNoLabels) {
  const Value secret = Value::string("k").with_labels({.secret = true});
  const Value outside = Value::integer(2).with_labels({.untrusted = true});
  const Value rows =
      Value::array({Value::object({{"n", Value::integer(1)}, {"key", Value::string("a")}}),
                    Value::object({{"n", Value::integer(2)}, {"key", secret}})});
  EXPECT_FALSE(labels_of("      from: x\n      where: '{{ row.key == \"a\" }}'\n", rows).secret);
  EXPECT_TRUE(labels_of("      from: x\n      where: '{{ row.key == \"k\" }}'\n", rows).secret);
  // What is kept because of a secret is one, even where the secret is not among it.
  EXPECT_TRUE(labels_of("      from: x\n      where: '{{ row.key != \"a\" }}'\n"
                        "      select: {n: '{{ row.n }}'}\n",
                        rows)
                  .secret);
  // Nor do they give what all of them have; what the list itself has stays.
  const Value all =
      Value::array({Value::object({{"n", outside}}), Value::object({{"n", outside}})});
  EXPECT_FALSE(labels_of("      from: x\n      where: '{{ row.n > 2 }}'\n", all).untrusted);
  EXPECT_TRUE(labels_of("      from: x\n      where: '{{ row.n > 1 }}'\n", all).untrusted);
  EXPECT_TRUE(labels_of("      from: x\n      where: '{{ row.n > 9 }}'\n",
                        rows.with_labels({.untrusted = true}))
                  .untrusted);
  // Nor rows without a match.
  const std::string matched =
      "      from: x\n      match: {with: x, on: '{{ row.key == other.key }}'}\n"
      "      select: '{{ row.n }}'\n";
  const Value others = Value::array({Value::object({{"key", Value::string("a")}})});
  EXPECT_FALSE(labels_of(matched, rows, others).secret);
  EXPECT_TRUE(labels_of(matched, rows, rows).secret);
}

TEST(TableQuery, StopsWhenItIsTold) {
  std::vector<Value> rows(6000, Value::object({{"k", Value::integer(1)}}));
  Value list = Value::array(std::move(rows));
  auto query = query_of(
      "      from: x\n      match: {with: x, on: '{{ row.k == other.k }}'}\n"
      "      where: '{{ row.k + other.k < 0 }}'\n");
  std::atomic<bool> stop{false};
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop = true;
  });
  auto made =
      run_table_query(*query, Value::object({{"from", list}, {"match", list}}), {.stop = stop});
  other.join();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kCancelled);
}

TEST(TableQuery, KeysAreFoundByAnIndex) {
  std::vector<Value> rows;
  for (int i = 0; i < 50'000; ++i) {
    rows.push_back(Value::object({{"k", Value::string(fmt::format("key {}", i))}}));
  }
  Value list = Value::array(std::move(rows));
  auto query = query_of(
      "      from: x\n      match: {with: x, on: '{{ row.k == other.k }}'}\n      select: 1\n");
  auto made =
      run_table_query(*query, Value::object({{"from", list}, {"match", list}}), {.stop = kGoOn});
  ASSERT_TRUE(made);  // all with all would be 2.5 thousand million
  EXPECT_EQ(made->size(), 50'000U);
}

// ---- random ones ----

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  template <class List>
  const auto& of(const List& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(std::size(list))))];
  }

 private:
  std::mt19937_64 engine_;
};

// Rows with columns of one kind each, now and then with others among them, or missing.
struct RandomRows {
  Dice& dice;

  Value number() {
    static constexpr std::int64_t kIntegers[] = {
        0, 1, 2, 3, -1, -7, 40, 9007199254740993, 9223372036854775807, -9223372036854775807 - 1};
    static constexpr double kFloats[] = {0.5,   1.0,   2.0,  -0.0,
                                         1e300, -1e18, 3.25, 9007199254740992.0};
    if (dice.chance(70)) return Value::integer(kIntegers[dice.below(dice.chance(90) ? 7 : 10)]);
    return Value::number(kFloats[dice.below(dice.chance(80) ? 4 : 8)]);
  }
  Value integer() { return Value::integer(dice.below(6) - 2); }
  Value text() {
    static const std::string kTexts[] = {"",  "a",    "B",        " ab ",  "Ab",
                                         "1", "a\tb", "\xc3\x84", "x'y\"", std::string("n\0m", 3)};
    return Value::string(kTexts[dice.below(dice.chance(85) ? 7 : 10)]);
  }
  Value any() {
    switch (dice.below(7)) {
      case 0:
        return Value();
      case 1:
        return Value::boolean(dice.chance(50));
      case 2:
        return text();
      case 3:
        return Value::array({integer(), Value()});
      case 4:
        return Value::big_integer("123456789012345678901234567890");
      default:
        return number();
    }
  }

  Value rows() {
    // Of this table: how tidy each column is.
    const bool tidy = dice.chance(70);
    const bool nulls = dice.chance(30);
    const bool numbers = dice.chance(40);
    std::vector<Value> rows;
    const int count = dice.below(7);
    for (int i = 0; i < count; ++i) {
      auto cell = [&](Value good) {
        if (!tidy && dice.chance(12)) return any();
        return nulls && dice.chance(25) ? Value() : good;
      };
      std::vector<Value::Member> members;
      auto add = [&](const char* name, Value value) {
        if (tidy || !dice.chance(5)) members.emplace_back(name, std::move(value));
      };
      add("i", cell(integer()));
      add("f", cell(numbers ? number() : Value::number(dice.below(5) / 2.0)));
      add("s", cell(text()));
      add("b", cell(Value::boolean(dice.chance(50))));
      add("n", Value::object({{"x", cell(integer())}}));
      rows.push_back(Value::object(std::move(members)));
    }
    return Value::array(std::move(rows));
  }
};

struct RandomText {
  Dice& dice;
  bool matched;

  std::string base() { return matched && dice.chance(35) ? "other" : "row"; }
  std::string column(std::string_view name) { return base() + "." + std::string(name); }

  std::string number(int depth) {
    switch (dice.below(depth > 0 ? 10 : 4)) {
      case 0:
      case 1:
        return column("i");
      case 2:
        return dice.chance(50) ? column("f") : column("n.x");
      case 3:
        return std::to_string(dice.below(5) - 1);
      case 4:
        return dice.chance(80) ? column("i") : "params.p";
      case 5:
        return "1.5";
      case 6: {
        static constexpr std::string_view kOps[] = {"+", "-", "*", "/", "//", "%"};
        return fmt::format("({} {} {})", number(depth - 1),
                           kOps[dice.below(dice.chance(80) ? 4 : 6)], number(depth - 1));
      }
      case 7:
        return fmt::format("(-{})", number(0));
      case 8:
        return fmt::format("({} | length)", text(depth - 1));
      default:
        return fmt::format("({} if {} else {})", number(depth - 1), boolean(depth - 1),
                           number(depth - 1));
    }
  }
  std::string text(int depth) {
    switch (dice.below(depth > 0 ? 6 : 3)) {
      case 0:
      case 1:
        return column("s");
      case 2:
        return dice.chance(50) ? "'a'" : "' Ab'";
      case 3:
        return fmt::format("({} | {})", text(depth - 1),
                           std::string_view(dice.chance(30)   ? "trim"
                                            : dice.chance(50) ? "lower"
                                                              : "upper"));
      case 4:
        return fmt::format("({} ~ 'x')", text(depth - 1));
      default:
        return fmt::format("({} if {} else {})", text(depth - 1), boolean(depth - 1),
                           text(depth - 1));
    }
  }
  std::string any(int depth) {
    switch (dice.below(4)) {
      case 0:
        return text(depth);
      case 1:
        return column("b");
      case 2:
        return "none";
      default:
        return number(depth);
    }
  }
  std::string boolean(int depth) {
    static constexpr std::string_view kOrder[] = {"<", "<=", ">", ">=", "==", "!="};
    switch (dice.below(depth > 0 ? 11 : 4)) {
      case 0:
        return fmt::format("({} {} {})", number(depth - 1), dice.of(kOrder), number(depth - 1));
      case 1:
        return fmt::format("({} {} {})", text(depth - 1), dice.of(kOrder), text(depth - 1));
      case 2:
        return dice.chance(70) ? column("b") : fmt::format("({} is none)", column("i"));
      case 3:
        return fmt::format("({} {} {})", any(depth - 1),
                           dice.chance(50) ? "==" : "!=", any(depth - 1));
      case 4:
        return fmt::format("(not {})", boolean(depth - 1));
      case 5:
      case 6:
        return fmt::format("({} and {})", boolean(depth - 1), boolean(depth - 1));
      case 7:
        return fmt::format("({} or {})", boolean(depth - 1), boolean(depth - 1));
      case 8:
        return fmt::format("({} {} [1, 2.0, 'a', none])", any(depth - 1),
                           dice.chance(50) ? "in" : "not in");
      case 9:
        return fmt::format("({} < {} <= {})", number(depth - 1), number(depth - 1),
                           number(depth - 1));
      default:
        return matched && dice.chance(50)
                   ? "(other is not none)"
                   : fmt::format("({} in {})", text(depth - 1), text(depth - 1));
    }
  }
};

// What a table means, read off its definition.
class PlainTable {
 public:
  PlainTable(const Value& args, bool matched, bool keep_all)
      : args_(args), matched_(matched), keep_all_(keep_all) {}

  Result<Value> evaluate(const std::string& text, const Value& row, const Value& other) {
    auto any = [](std::string_view root, std::span<const std::string>, bool) {
      NameClaim claim;
      claim.path_length = root == "params" ? 1 : 0;
      return claim;
    };
    auto compiled = Expr::compile("{{ " + text + " }}", any);
    if (!compiled) return fail(ErrorCode::kInternal, compiled.error().front().message);
    std::vector<Value> inputs;
    for (const ExprInput& input : compiled->inputs()) {
      inputs.push_back(input.root == "row"     ? row
                       : input.root == "other" ? other
                                               : *args_.find(input.dotted()));
    }
    EvalContext context;
    return compiled->evaluate(inputs, context);
  }

  Result<Value> run(const std::string& left, const std::string& right, const std::string& where,
                    const std::string& select) {
    std::span<const Value> rows = args_.find("from")->items();
    std::vector<RowPair> pairs;
    if (matched_) {
      std::span<const Value> others = args_.find("match")->items();
      std::vector<Value> row_keys;
      std::vector<Value> other_keys;
      for (std::uint32_t i = 0; i < rows.size(); ++i) {
        auto key = evaluate(left, rows[i], Value());
        if (!key) return std::unexpected(at_row(key.error(), i));
        row_keys.push_back(*key);
      }
      for (std::uint32_t i = 0; i < others.size(); ++i) {
        auto key = evaluate(right, Value(), others[i]);
        if (!key) return std::unexpected(at_row(key.error(), kNoRow, i));
        other_keys.push_back(*key);
      }
      for (std::uint32_t i = 0; i < rows.size(); ++i) {
        std::size_t before = pairs.size();
        for (std::uint32_t j = 0; j < others.size(); ++j) {
          if (!row_keys[i].is_null() && row_keys[i] == other_keys[j]) pairs.push_back({i, j});
        }
        if (pairs.size() == before && keep_all_) pairs.push_back({i, kNoRow});
      }
    } else {
      for (std::uint32_t i = 0; i < rows.size(); ++i) pairs.push_back({i, kNoRow});
    }
    std::vector<RowPair> kept;
    for (RowPair pair : pairs) {
      auto holds = evaluate(where, rows[pair.row], other(pair));
      if (!holds) return std::unexpected(at_row(holds.error(), pair.row, pair.other));
      if (truthy(*holds)) kept.push_back(pair);
    }
    std::vector<Value> output;
    for (RowPair pair : kept) {
      auto value = evaluate(select, rows[pair.row], other(pair));
      if (!value) return std::unexpected(at_row(value.error(), pair.row, pair.other));
      output.push_back(*value);
    }
    return Value::array(std::move(output));
  }

 private:
  Value other(RowPair pair) {
    return pair.other == kNoRow ? Value() : args_.find("match")->items()[pair.other];
  }

  const Value& args_;
  bool matched_;
  bool keep_all_;
};

std::string in_braces(const std::string& text) {
  std::string out = "\"{{ ";
  for (char c : text) out += c == '"' ? "\\\"" : std::string(1, c);
  return out + " }}\"";
}

TEST(RandomTables, MeanWhatTheExpressionLanguageSays) {
  const bool is_long = std::getenv("SLUICE_TEST_LONG") != nullptr;
  int compiled = 0;
  int failed = 0;
  int matched_tables = 0;
  const int count = is_long ? 200'000 : 6'000;
  for (int seed = 1; seed <= count; ++seed) {
    Dice dice(static_cast<std::uint64_t>(seed));
    const bool matched = dice.chance(40);
    const bool keep_all = matched && dice.chance(50);
    RandomRows random{dice};
    Value args = Value::object(
        {{"from", random.rows()}, {"match", random.rows()}, {"params.p", random.integer()}});
    RandomText texts{dice, matched};
    std::string where = texts.boolean(3);
    std::string select = "[row.i, " + texts.number(2) + "]";
    static constexpr std::string_view kKeys[] = {"i", "f", "s", "n.x"};
    std::string left = fmt::format("row.{}", dice.of(kKeys));
    std::string right =
        dice.chance(80) ? "other" + left.substr(3) : fmt::format("other.{}", dice.of(kKeys));
    std::string table = "      from: x\n";
    if (matched) {
      table += fmt::format("      match: {{with: x, on: {}, keep: {}}}\n",
                           in_braces(left + " == " + right),
                           std::string_view(keep_all ? "all" : "matched"));
    }
    table += "      where: " + in_braces(where) + "\n      select: " + in_braces(select) + "\n";
    auto query = query_of(table);
    ASSERT_TRUE(query);
    std::string expected =
        shown(PlainTable(args, matched, keep_all).run(left, right, where, select));
    bool sql = false;
    std::string with_sql = shown(run_table_query(*query, args, {.stop = kGoOn, .compiled = &sql}));
    std::string without = shown(run_table_query(*query, args, {.stop = kGoOn, .compile = false}));
    ASSERT_EQ(with_sql, expected) << "seed " << seed << "\n" << table << to_json(args);
    ASSERT_EQ(without, expected) << "seed " << seed << "\n" << table << to_json(args);
    compiled += sql ? 1 : 0;
    failed += expected.starts_with("[") ? 0 : 1;
    matched_tables += matched ? 1 : 0;
  }
  // That it looks at all of it.
  EXPECT_GT(compiled, count / 5);
  EXPECT_GT(failed, count / 50);
  EXPECT_GT(matched_tables, count / 4);
  std::printf("%d tables: %d with SQL, %d that fail, %d with a match\n", count, compiled, failed,
              matched_tables);
}

// All labels in it, and where they are.
std::string with_its_labels(const Value& value) {
  const Labels labels = value.labels();
  std::string text = fmt::format("{}{}", labels.secret ? "s" : "", labels.untrusted ? "u" : "");
  for (const Value& item : value.items()) {
    text +=
        fmt::format(" {}{}", item.labels().secret ? "s" : "", item.labels().untrusted ? "u" : "");
  }
  return to_json(value, {.redact_secrets = false}) + text;
}

// What a pass relies on that lets a part of `where` be asked before the rows are made: rows that it
// turns away may as well not be there. Labels are the same too, also with SQL and without.
TEST(RandomTables, RowsThatAreLeftOutMayAsWellNotBeThere) {
  const bool is_long = std::getenv("SLUICE_TEST_LONG") != nullptr;
  const int count = is_long ? 60'000 : 3'000;
  int secrets = 0, fewer = 0;
  for (int seed = 1; seed <= count; ++seed) {
    Dice dice(static_cast<std::uint64_t>(seed) + 77'000'000);
    const bool matched = dice.chance(30);
    const bool keep_all = matched && dice.chance(50);
    RandomRows random{dice};
    std::vector<Value> rows;
    for (const Value& row : random.rows().items()) {
      std::vector<Value::Member> members(row.members().begin(), row.members().end());
      for (auto& [name, value] : members) {
        if (dice.chance(10)) value = value.with_labels({.secret = true});
        if (dice.chance(10)) value = value.with_labels({.untrusted = true});
      }
      rows.push_back(Value::object(std::move(members)).with_labels({.untrusted = true}));
    }
    const Value match = random.rows();
    const Value param = random.integer();
    auto args = [&](std::vector<Value> from) {
      return Value::object(
          {{"from", Value::array(std::move(from))}, {"match", match}, {"params.p", param}});
    };
    const std::string first = RandomText{dice, false}.boolean(2);
    std::string table = "      from: x\n";
    if (matched) {
      table += fmt::format("      match: {{with: x, on: '{{{{ row.i == other.i }}}}', keep: {}}}\n",
                           std::string_view(keep_all ? "all" : "matched"));
    }
    table +=
        "      where: " + in_braces(first + " and " + RandomText{dice, matched}.boolean(2)) +
        "\n      select: " + in_braces("[row.s, " + RandomText{dice, matched}.number(1) + "]") +
        "\n";
    auto query = query_of(table);
    ASSERT_TRUE(query);
    const Value all = args(rows);
    auto whole = run_table_query(*query, all, {.stop = kGoOn});
    auto without = run_table_query(*query, all, {.stop = kGoOn, .compile = false});
    ASSERT_EQ(whole.has_value(), without.has_value()) << table;
    if (!whole) continue;
    ASSERT_EQ(with_its_labels(*whole), with_its_labels(*without)) << "seed " << seed << "\n"
                                                                  << table << to_json(all);
    std::vector<Value> kept;
    for (const Value& row : rows) {
      auto holds = PlainTable(all, false, false).evaluate(first, row, Value());
      if (!holds || truthy(*holds)) kept.push_back(row);
    }
    auto early = run_table_query(*query, args(kept), {.stop = kGoOn});
    ASSERT_TRUE(early) << "seed " << seed << "\n" << table << early.error().to_string();
    ASSERT_EQ(with_its_labels(*early), with_its_labels(*whole)) << "seed " << seed << "\n"
                                                                << table << to_json(all);
    secrets += whole->labels().secret ? 1 : 0;
    fewer += kept.size() < rows.size() && !kept.empty() ? 1 : 0;
  }
  EXPECT_GT(secrets, count / 50);
  EXPECT_GT(fewer, count / 10);
}

}  // namespace
}  // namespace sluice
