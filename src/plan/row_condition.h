// A condition on the rows of a table, said of what these rows are made of: where they are exactly
// what a map of values gives, `row.year > 2020` is `item.year > 2020`, and is known before the rest
// of the row is. Passes and estimates ask. Pure; any thread.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "plan/logical.h"

namespace sluice {

// A list that is exactly `{{ steps.S.output }}`, or that behind `| present`.
struct RowSource {
  std::string step;
  bool present = false;
};
std::optional<RowSource> row_source(const Binding& list);

// One operand of the `where` of `table` as an expression (without {{ }}) that stands in a step
// whose value `row` is one row's; `side`: which of the table's names that row has, "row" or
// "other". The error: why it cannot be said, for people.
std::expected<std::string, std::string> condition_before_row(std::string_view operand,
                                                             const Step& table,
                                                             std::string_view side,
                                                             const Binding& row);

}  // namespace sluice
