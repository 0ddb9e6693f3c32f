// A prepared SQLite statement: arguments in, rows out. Blocking; the thread of its database.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

class SqlStatement {
 public:
  // The first statement of `sql`; *rest gets what follows it. An empty one has no handle.
  static Result<SqlStatement> prepare(sqlite3* database, std::string_view sql,
                                      std::string_view* rest);

  bool empty() const { return !statement_; }
  bool read_only() const { return sqlite3_stmt_readonly(statement_.get()) != 0; }
  bool returns_rows() const { return sqlite3_column_count(statement_.get()) > 0; }
  int parameter_count() const { return sqlite3_bind_parameter_count(statement_.get()); }
  // By position (array) or name (object); every parameter and every argument must be used.
  Result<void> bind_all(const Value& args);
  Result<void> bind(int index, const Value& value);
  // True: there is a row.
  Result<bool> step();
  // All rows that are left, as objects. kToolTooLarge beyond max_bytes (0: no bound).
  Result<Value> rows(std::uint64_t max_bytes);
  void reset();
  // Of a statement that returns rows; two of one name are an error.
  Result<std::vector<std::string>> column_names() const;
  // Of the row that `step` came to.
  Result<Value> column(int index, const std::string& name) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  SqlStatement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  Result<void> bind_named(const Value& args);

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// kSqlFailed (or kDiskFull, kInterrupted for an interrupt) with SQLite's own words.
Error sql_error(sqlite3* database, std::string_view what);
// "name" with quotes doubled, as an identifier.
std::string quote_name(std::string_view name);

}  // namespace sluice
