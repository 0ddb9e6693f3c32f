// What a table step asks of its rows: the operator `table`. Its expressions read names that exist
// only in it (`row`, `other`, `rows`, `key`, `output`); whatever else they read of the plan
// (params, steps, item ...) stands in the step's `with`, by its dotted name, beside `from`, `match`
// and `limit`, so that the step's inputs and edges come about as those of any step do. Pure data,
// immutable; any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/expr.h"
#include "plan/binding.h"
#include "plan/logical.h"

namespace sluice {

// In the order in which they are carried out.
enum class TablePart : std::uint8_t {
  kOn,      // which rows of both lists belong together: row, other
  kWhere,   // which of them stay: row, other
  kSelect,  // what becomes of each: row, other
  kBy,      // which of them are one group: row, other
  kGive,    // what becomes of a group: rows (what select gave), key (what by gave)
  kOrder,   // by what the results are ordered: output (one result)
};

struct TableMatch {
  Binding on;
  bool keep_all = false;  // a row without a match stays, with a null other
};
struct TableGroup {
  Binding by;    // kMap
  Binding give;  // kMap
};
struct TableOrder {
  Binding by;
  bool reverse = false;
  bool case_sensitive = false;
};

struct TableQuery {
  SourcePos pos;
  std::optional<TableMatch> match;
  std::optional<Binding> where;
  std::optional<Binding> select;
  std::optional<TableGroup> group;
  std::optional<TableOrder> order;
  bool broken = false;  // something of it was refused: the rest is not looked at
};

// Keys of the step's `with` that are no dotted names.
inline constexpr std::string_view kTableFrom = "from";
inline constexpr std::string_view kTableMatch = "match";
inline constexpr std::string_view kTableLimit = "limit";

// Whether a root name is one of those that only a table has.
bool is_table_name(std::string_view root);

// The types of a table's own names, where they are known.
struct TableTypes {
  Type row, other, rows, key, output;
};
// Resolves the table's own names that `part` may use and leaves all others to `outer`. `matched`:
// the table has a match.
NameResolver table_resolver(NameResolver outer, TablePart part, bool matched,
                            const TableTypes& types = {});

// Calls `visit` for each binding of the query.
void for_each_part(const TableQuery& query,
                   const std::function<void(const Binding& tree, TablePart part)>& visit);

// One of the equalities of a match, as two expressions that read the inputs of `on` by its numbers.
struct MatchKey {
  Expr row;
  Expr other;
};
// On failure says what is wrong with the form of `on`, and where in its text.
std::expected<std::vector<MatchKey>, ExprError> match_keys(const Expr& on);

// Everything that it says, as JSON: equal texts mean equal queries (but for `with`). For hashes.
Value table_text(const TableQuery& query);
// For people: "from steps.rows.output, where row.size > 10, select name". `with` is the step's.
std::string table_words(const TableQuery& query, const Binding& with);

}  // namespace sluice
