// A condition on rows as SQL, as far as SQL means the same. What a column really holds is known by
// now, so each operation is translated only where SQLite's meaning is that of the expression
// language for every row that there is, and where it can fail for none. Pure; one thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/expr.h"
#include "data/labels.h"
#include "data/value.h"

namespace sluice {

// One that the condition reads, in the tables as `r.cN` or `o.cN` by its place in the list.
struct SqlColumn {
  bool other = false;
  std::vector<std::string> path;  // of members, from the row
};

struct SqlCondition {
  // An SQL expression of 0 and 1, over columns and the parameters ?1, ?2 ... No name and no value
  // of the plan or of the rows stands in it.
  std::string text;
  // Of an `and`, `text` may be the first operands only: those up to the first one that SQL cannot
  // say, which may fail and must not be asked before them.
  bool whole = false;
  std::vector<SqlColumn> columns;
  std::vector<Value> parameters;
  Labels labels;  // of all that it reads in any row: what a row's value has is among them
};

struct ConditionRows {
  std::span<const Value> rows;
  std::span<const Value> others;
  // A row without another one is there with a null one: nothing is known of the others' columns.
  bool keep_all = false;
};

// `inputs`: as RowExpression::inputs. nullopt: nothing of it can be said.
std::optional<SqlCondition> compile_condition(const Expr& condition, std::span<const Value> inputs,
                                              const ConditionRows& rows);

// The value of a column in a row, as it went into the table; null where there is none.
const Value* column_value(const SqlColumn& column, const Value& row);

}  // namespace sluice
