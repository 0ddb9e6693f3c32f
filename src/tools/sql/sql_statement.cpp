#include "tools/sql/sql_statement.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <set>

#include "data/json.h"
#include "tools/text.h"

namespace sluice {
namespace {

constexpr std::size_t kBytesPerCell = 8;  // counted for a number, and for a row's frame

}  // namespace

Error sql_error(sqlite3* database, std::string_view what) {
  int code = sqlite3_extended_errcode(database);
  std::string words = sqlite3_errmsg(database);
  const int reason = (code & 0xFF) == SQLITE_IOERR ? sqlite3_system_errno(database) : 0;
  if ((code & 0xFF) == SQLITE_FULL || reason == ENOSPC || reason == EDQUOT) {
    return Error(ErrorCode::kDiskFull, fmt::format("{}: {}", what, words));
  }
  std::string advice;
  if ((code & 0xFF) == SQLITE_BUSY || (code & 0xFF) == SQLITE_LOCKED) {
    advice = "; another program holds it";
  }
  if ((code & 0xFF) == SQLITE_READONLY) advice = "; check the rights of the file and its folder";
  if (code == SQLITE_AUTH) advice = " here: query only reads, and exec stays in its database";
  return Error(ErrorCode::kSqlFailed, fmt::format("{}: {}{}", what, words, advice));
}

std::string quote_name(std::string_view name) {
  std::string quoted = "\"";
  for (char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

Result<SqlStatement> SqlStatement::prepare(sqlite3* database, std::string_view sql,
                                           std::string_view* rest) {
  if (sql.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return fail(ErrorCode::kSqlFailed, "the statement is too long");
  }
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  int code =
      sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement, &tail);
  if (code != SQLITE_OK) {
    return std::unexpected(sql_error(database, one_line_start(sql, 100)));
  }
  if (rest != nullptr) *rest = sql.substr(static_cast<std::size_t>(tail - sql.data()));
  return SqlStatement(database, statement);
}

Result<void> SqlStatement::bind_all(const Value& args) {
  int wanted = parameter_count();
  if (args.is_object()) return bind_named(args);
  std::size_t given = args.is_array() ? args.items().size() : 0;
  if (!args.is_null() && !args.is_array()) {
    return fail(ErrorCode::kArgInvalid, "args must be a list for ?, or a map for :name");
  }
  if (given != static_cast<std::size_t>(wanted)) {
    return fail(ErrorCode::kArgInvalid, fmt::format("the statement has {} parameter{}, and args {}",
                                                    wanted, wanted == 1 ? "" : "s", given));
  }
  for (int i = 0; i < wanted; ++i) {
    if (auto bound = bind(i + 1, args.items()[i]); !bound) return bound;
  }
  return {};
}

Result<void> SqlStatement::bind_named(const Value& args) {
  std::set<std::string, std::less<>> used;
  for (int i = 1; i <= parameter_count(); ++i) {
    const char* name = sqlite3_bind_parameter_name(statement_.get(), i);
    if (name == nullptr) {
      return fail(ErrorCode::kArgInvalid, "the statement has ?, for which args must be a list");
    }
    const Value* value = args.find(std::string_view(name).substr(1));
    if (value == nullptr) {
      return fail(ErrorCode::kArgInvalid, fmt::format("args has no {} for {}", name + 1, name));
    }
    used.insert(name + 1);
    if (auto bound = bind(i, *value); !bound) return bound;
  }
  for (const auto& [name, value] : args.members()) {
    if (!used.contains(name)) {
      return fail(ErrorCode::kArgInvalid,
                  fmt::format("the statement has no parameter :{}", one_line_start(name)));
    }
  }
  return {};
}

Result<void> SqlStatement::bind(int index, const Value& value) {
  int code = SQLITE_OK;
  auto* statement = statement_.get();
  switch (value.kind()) {
    case Value::Kind::kNull:
      code = sqlite3_bind_null(statement, index);
      break;
    case Value::Kind::kBool:
      code = sqlite3_bind_int(statement, index, value.as_bool());
      break;
    case Value::Kind::kInt:
      code = sqlite3_bind_int64(statement, index, value.as_int());
      break;
    case Value::Kind::kDouble:
      code = sqlite3_bind_double(statement, index, value.as_double());
      break;
    case Value::Kind::kBigInt:
      return fail(ErrorCode::kArgInvalid,
                  fmt::format("the integer {} does not fit SQLite's 64 bits; pass it as text",
                              one_line_start(value.as_string(), 40)));
    case Value::Kind::kBlob: {
      auto bytes = value.blob_bytes();
      if (!bytes) return fail(ErrorCode::kSqlFailed, "the bytes of a blob are not in memory");
      code = sqlite3_bind_blob64(statement, index, bytes->data(), bytes->size(), SQLITE_TRANSIENT);
      break;
    }
    case Value::Kind::kString: {
      std::string_view text = value.as_string();
      code = sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
      break;
    }
    default: {  // lists, maps and vectors go in as JSON text
      std::string text = to_json(value, {.redact_secrets = false});
      code = sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
    }
  }
  if (code != SQLITE_OK) return std::unexpected(sql_error(database_, "binding args"));
  return {};
}

Result<bool> SqlStatement::step() {
  int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(sql_error(database_, one_line_start(sqlite3_sql(statement_.get()), 100)));
}

void SqlStatement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

Result<std::vector<std::string>> SqlStatement::column_names() const {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (int i = 0; i < sqlite3_column_count(statement_.get()); ++i) {
    const char* name = sqlite3_column_name(statement_.get(), i);
    names.emplace_back(name != nullptr ? name : "");
    if (!seen.insert(names.back()).second) {
      return fail(ErrorCode::kSqlFailed,
                  fmt::format("two columns of the result are called {}; give one another name "
                              "with AS",
                              names.back()));
    }
  }
  return names;
}

Result<Value> SqlStatement::column(int index, const std::string& name) const {
  auto* statement = statement_.get();
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
      return Value::integer(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT: {
      double number = sqlite3_column_double(statement, index);
      if (std::isfinite(number)) return Value::number(number);
      return fail(
          ErrorCode::kToolOutput,
          fmt::format("column {} holds an infinite number, which JSON does not have", name));
    }
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, index));
      auto value = Value::from_utf8(std::string_view(text, size));
      if (value) return value;
      return std::unexpected(
          Error(ErrorCode::kToolOutput, fmt::format("column {} holds text that is not UTF-8", name))
              .with_cause(value.error()));
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, index));
      auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, index));
      return Value::blob(bytes == nullptr ? "" : std::string(bytes, size),
                         "application/octet-stream");
    }
    default:
      return Value();
  }
}

Result<Value> SqlStatement::rows(std::uint64_t max_bytes) {
  auto names = column_names();
  if (!names) return std::unexpected(names.error());
  std::vector<Value> rows;
  std::uint64_t bytes = 0;
  while (true) {
    auto more = step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return Value::array(std::move(rows));
    std::vector<Value::Member> row;
    row.reserve(names->size());
    bytes += kBytesPerCell;
    for (std::size_t i = 0; i < names->size(); ++i) {
      auto value = column(static_cast<int>(i), (*names)[i]);
      if (!value) return std::unexpected(value.error());
      bytes += kBytesPerCell + (*names)[i].size();
      bytes += value->is_string() || value->kind() == Value::Kind::kBlob
                   ? static_cast<std::uint64_t>(
                         sqlite3_column_bytes(statement_.get(), static_cast<int>(i)))
                   : 0;
      row.emplace_back((*names)[i], std::move(*value));
    }
    if (max_bytes > 0 && bytes > max_bytes) {
      return fail(
          ErrorCode::kToolTooLarge,
          fmt::format("the result is over {} bytes; select less, or raise max_bytes", max_bytes));
    }
    rows.push_back(Value::object(std::move(row)));
  }
}

}  // namespace sluice
