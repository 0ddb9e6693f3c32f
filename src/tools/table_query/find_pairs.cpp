#include "tools/table_query/find_pairs.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "data/json.h"
#include "tools/sql/sql_statement.h"
#include "tools/table_query/row_expression.h"
#include "tools/table_query/sql_condition.h"

namespace sluice {
namespace {

constexpr int kStopAfterOperations = 10'000;
constexpr std::size_t kMostPairs = 20'000'000;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

class PairQuery {
 public:
  explicit PairQuery(const PairRequest& request) : request_(request) {
    if (request.query.where) {
      const Binding& where = *request.query.where;
      where_.emplace(where.expr, where.pos, request.args);
    }
  }

  Result<FoundPairs> run() {
    compile();
    if (auto made = keys(); !made) return std::unexpected(made.error());
    if (auto made = open(); !made) return std::unexpected(made.error());
    if (auto made = fill("r", false, request_.rows, row_keys_); !made) {
      return std::unexpected(made.error());
    }
    if (request_.query.match) {
      if (auto made = fill("o", true, request_.others, other_keys_); !made) {
        return std::unexpected(made.error());
      }
    }
    auto done = select();
    if (!done) return std::unexpected(done.error());
    return std::move(found_);
  }

 private:
  using Keys = std::vector<std::optional<std::string>>;  // row after row, kNone of them null

  bool keep_all() const { return request_.query.match && request_.query.match->keep_all; }

  void compile() {
    if (!where_ || !request_.compile) return;
    condition_ = compile_condition(where_->expr(), where_->inputs(),
                                   {request_.rows, request_.others, keep_all()});
    found_.compiled = condition_.has_value();
  }

  // The keys of both lists, as texts that are equal when the values are. Null matches nothing.
  Result<void> keys() {
    if (!request_.query.match) return {};
    const Binding& on = request_.query.match->on;
    auto keys = match_keys(on.expr);
    if (!keys) return fail(keys.error().code, keys.error().message, on.pos);
    key_count_ = keys->size();
    std::vector<RowExpression> of_row;
    std::vector<RowExpression> of_other;
    for (MatchKey& key : *keys) {
      of_row.emplace_back(std::move(key.row), on.pos, request_.args);
      of_other.emplace_back(std::move(key.other), on.pos, request_.args);
    }
    auto made = evaluate_keys(of_row, false, row_keys_, row_labels_);
    if (made) made = evaluate_keys(of_other, true, other_keys_, other_labels_);
    return made;
  }

  Result<void> evaluate_keys(std::vector<RowExpression>& keys, bool other, Keys& into,
                             std::vector<Labels>& labels) {
    const std::vector<Value>& rows = other ? request_.others : request_.rows;
    into.reserve(rows.size() * keys.size());
    for (std::uint32_t i = 0; i < rows.size(); ++i) {
      if (request_.stop) return std::unexpected(table_cancelled());
      RowNames names;
      (other ? names.other : names.row) = &rows[i];
      for (RowExpression& key : keys) {
        Result<Value> value = key.evaluate(names, context_);
        if (!value) {
          return std::unexpected(other ? at_row(value.error(), kNoRow, i)
                                       : at_row(value.error(), i));
        }
        if (!value->labels().none()) {
          labels.resize(rows.size());
          labels[i] = labels[i] | value->labels();
        }
        into.push_back(value->is_null() ? std::nullopt : std::optional(canonical_json(*value)));
      }
    }
    return {};
  }

  Result<void> open() {
    sqlite3* database = nullptr;
    int opened = sqlite3_open_v2(
        "", &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    database_.reset(database);
    if (opened != SQLITE_OK) return failed("cannot open a database for the table");
    sqlite3_progress_handler(database, kStopAfterOperations, &PairQuery::stopped, this);
    // Nobody reads what a query that fails has left.
    for (const char* pragma : {"PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF",
                               "PRAGMA cache_size = -65536", "PRAGMA locking_mode = EXCLUSIVE"}) {
      if (auto done = execute(pragma); !done) return done;
    }
    int made = sqlite3_create_function_v2(database, "holds", 2, SQLITE_UTF8, this,
                                          &PairQuery::holds, nullptr, nullptr, nullptr);
    if (made != SQLITE_OK) return failed("cannot prepare the table");
    return {};
  }

  // One of the two tables: a row's number, the columns that the condition reads, the keys.
  Result<void> fill(const std::string& table, bool other, const std::vector<Value>& rows,
                    const Keys& keys) {
    std::vector<std::size_t> columns;
    std::string names = "n INTEGER PRIMARY KEY";
    std::string places = "?1";
    if (condition_) {
      for (std::size_t i = 0; i < condition_->columns.size(); ++i) {
        if (condition_->columns[i].other != other) continue;
        columns.push_back(i);
        names += fmt::format(", c{}", i);
        places += ", ?";
      }
    }
    for (std::size_t i = 0; i < key_count_; ++i) {
      names += fmt::format(", k{}", i);
      places += ", ?";
    }
    auto made = execute(fmt::format("CREATE TABLE {} ({})", table, names));
    if (made) made = execute("BEGIN");
    if (!made) return made;
    auto insert = prepare(fmt::format("INSERT INTO {} VALUES ({})", table, places));
    if (!insert) return std::unexpected(insert.error());
    for (std::uint32_t i = 0; i < rows.size(); ++i) {
      if (request_.stop) return std::unexpected(table_cancelled());
      int place = 1;
      sqlite3_bind_int64(insert->get(), place++, i);
      for (std::size_t column : columns) {
        const Value* value = column_value(condition_->columns[column], rows[i]);
        bind(insert->get(), place++, value ? *value : Value());
      }
      for (std::size_t k = 0; k < key_count_; ++k) {
        bind_key(insert->get(), place++, keys[i * key_count_ + k]);
      }
      if (sqlite3_step(insert->get()) != SQLITE_DONE) return failed("cannot fill the table");
      sqlite3_reset(insert->get());
    }
    insert->reset();
    made = execute("COMMIT");
    if (!made || !other) return made;
    return execute(fmt::format("CREATE INDEX o_keys ON o ({})", key_list("", ", ")));
  }

  std::string key_list(std::string_view before, std::string_view between) const {
    std::string list;
    for (std::size_t i = 0; i < key_count_; ++i) {
      if (i > 0) list += between;
      list += before.empty() ? fmt::format("k{}", i) : fmt::format("r.k{0} = o.k{0}", i);
    }
    return list;
  }

  // The condition that SQL can say stands twice: where it helps to leave rows out early, and as a
  // guard around the rest, which may fail and is not asked of rows that are out.
  std::string where_text() const {
    if (!where_) return "";
    if (!condition_) return fmt::format(" WHERE {}", call());
    if (condition_->whole) return fmt::format(" WHERE {}", condition_->text);
    return fmt::format(" WHERE {0} AND CASE WHEN {0} THEN {1} ELSE 0 END", condition_->text,
                       call());
  }

  // It takes both numbers so that it is asked of whole pairs only.
  std::string call() const { return request_.query.match ? "holds(r.n, o.n)" : "holds(r.n, NULL)"; }

  Result<void> select() {
    const bool match = request_.query.match.has_value();
    std::string text = match ? "SELECT r.n, o.n FROM r" : "SELECT r.n, NULL FROM r";
    if (match) {
      text +=
          fmt::format(" {} JOIN o ON {}", keep_all() ? "LEFT" : "CROSS", key_list("r.", " AND "));
    }
    text += where_text() + (match ? " ORDER BY r.n, o.n" : " ORDER BY r.n");
    auto statement = prepare(text);
    if (!statement) return std::unexpected(statement.error());
    if (condition_) {
      const int taken = sqlite3_bind_parameter_count(statement->get());
      for (int i = 0; i < taken; ++i) {
        bind(statement->get(), i + 1, condition_->parameters[static_cast<std::size_t>(i)]);
      }
    }
    for (;;) {
      int stepped = sqlite3_step(statement->get());
      if (stepped == SQLITE_DONE) return add_labels();
      if (stepped != SQLITE_ROW) return failed("cannot ask the table");
      if (found_.pairs.size() >= kMostPairs) {
        return fail(ErrorCode::kExprLimit,
                    fmt::format("match gives more than {} rows; are its keys right?", kMostPairs),
                    request_.query.pos);
      }
      RowPair pair;
      pair.row = static_cast<std::uint32_t>(sqlite3_column_int64(statement->get(), 0));
      if (sqlite3_column_type(statement->get(), 1) != SQLITE_NULL) {
        pair.other = static_cast<std::uint32_t>(sqlite3_column_int64(statement->get(), 1));
      }
      found_.pairs.push_back(pair);
    }
  }

  // Of what let the pairs in that are there: their keys, and the condition where it was SQL, which
  // has no labels. What it reads has at most `most`, and the first pair mostly has all of them.
  Result<void> add_labels() {
    const Labels most = condition_ && condition_->whole ? condition_->labels : Labels();
    for (const RowPair pair : found_.pairs) {
      if (!row_labels_.empty()) found_.labels = found_.labels | row_labels_[pair.row];
      if (!other_labels_.empty() && pair.other != kNoRow) {
        found_.labels = found_.labels | other_labels_[pair.other];
      }
      if ((found_.labels | most) == found_.labels) continue;
      if (request_.stop) return std::unexpected(table_cancelled());
      Result<Value> value = where_->evaluate(names_of(pair), context_);
      if (!value) return std::unexpected(at_row(value.error(), pair.row, pair.other));
      found_.labels = found_.labels | value->labels();
    }
    return {};
  }

  RowNames names_of(RowPair pair) const {
    RowNames names;
    names.row = &request_.rows[pair.row];
    if (pair.other != kNoRow) names.other = &request_.others[pair.other];
    return names;
  }

  // Called by SQLite for a pair: whether the whole condition is true of it.
  static void holds(sqlite3_context* context, int, sqlite3_value** arguments) {
    static_cast<PairQuery*>(sqlite3_user_data(context))->ask(context, arguments);
  }

  void ask(sqlite3_context* context, sqlite3_value** arguments) {
    RowPair pair;
    pair.row = static_cast<std::uint32_t>(sqlite3_value_int64(arguments[0]));
    if (sqlite3_value_type(arguments[1]) != SQLITE_NULL) {
      pair.other = static_cast<std::uint32_t>(sqlite3_value_int64(arguments[1]));
    }
    Result<Value> value = where_->evaluate(names_of(pair), context_);
    if (!value) {
      error_ = at_row(value.error(), pair.row, pair.other);
      return sqlite3_result_error(context, "an expression failed", -1);
    }
    const bool kept = truthy(*value);
    if (kept) found_.labels = found_.labels | value->labels();
    sqlite3_result_int(context, kept ? 1 : 0);
  }

  static int stopped(void* self) {
    return static_cast<const PairQuery*>(self)->request_.stop ? 1 : 0;
  }

  Result<Statement> prepare(const std::string& text) {
    sqlite3_stmt* statement = nullptr;
    int size = static_cast<int>(text.size());
    int made = sqlite3_prepare_v2(database_.get(), text.c_str(), size, &statement, nullptr);
    if (made != SQLITE_OK) return failed("cannot ask the table");
    return Statement(statement);
  }

  Result<void> execute(const std::string& text) {
    if (sqlite3_exec(database_.get(), text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
      return {};
    }
    return failed("cannot make the table");
  }

  std::unexpected<Error> failed(std::string_view what) {
    if (error_) return std::unexpected(*error_);
    if (request_.stop) return std::unexpected(table_cancelled());
    return std::unexpected(sql_error(database_.get(), what).with_pos(request_.query.pos));
  }

  // What is bound lives as long as the statement.
  static void bind(sqlite3_stmt* statement, int place, const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kBool:
        sqlite3_bind_int(statement, place, value.as_bool() ? 1 : 0);
        return;
      case Value::Kind::kInt:
        sqlite3_bind_int64(statement, place, value.as_int());
        return;
      case Value::Kind::kDouble:
        sqlite3_bind_double(statement, place, value.as_double());
        return;
      case Value::Kind::kString:
        sqlite3_bind_text64(statement, place, value.as_string().data(), value.as_string().size(),
                            SQLITE_STATIC, SQLITE_UTF8);
        return;
      default:
        sqlite3_bind_null(statement, place);
    }
  }

  static void bind_key(sqlite3_stmt* statement, int place, const std::optional<std::string>& key) {
    if (key) {
      sqlite3_bind_text64(statement, place, key->data(), key->size(), SQLITE_STATIC, SQLITE_UTF8);
    } else {
      sqlite3_bind_null(statement, place);
    }
  }

  const PairRequest& request_;
  EvalContext context_;
  std::optional<RowExpression> where_;
  std::optional<SqlCondition> condition_;
  std::size_t key_count_ = 0;
  Keys row_keys_;
  Keys other_keys_;
  std::vector<Labels> row_labels_;  // of the keys of each row; empty: none has any
  std::vector<Labels> other_labels_;
  std::unique_ptr<sqlite3, CloseDatabase> database_;
  std::optional<Error> error_;
  FoundPairs found_;
};

FoundPairs all_rows(std::size_t count) {
  FoundPairs found;
  found.pairs.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) found.pairs[i].row = i;
  return found;
}

}  // namespace

Error at_row(const Error& error, std::uint32_t row, std::uint32_t other) {
  std::string where;
  if (row != kNoRow) where = fmt::format("row {}", row);
  if (other != kNoRow) where += fmt::format("{}other {}", where.empty() ? "" : ", ", other);
  return Error(error.code(), fmt::format("{}: {}", where, error.message()), error.pos());
}

Error table_cancelled() { return Error(ErrorCode::kCancelled, "the table was cancelled"); }

Result<FoundPairs> find_pairs(const PairRequest& request) {
  if (!request.query.match && !request.query.where) return all_rows(request.rows.size());
  return PairQuery(request).run();
}

}  // namespace sluice
