#include "cost/table_rows.h"

#include <algorithm>
#include <string>
#include <vector>

#include "cost/conditions.h"
#include "cost/plan_cost.h"
#include "plan/row_condition.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

// A part of the rows of which nothing is known.
Estimate unknown_part() {
  const double part = cost_defaults().selectivity;
  return {part, part / 2, (1 + part) / 2, EstimateSource::kDefault};
}

// Whether the map's own condition says the same of the row, as early_tables has put it there.
bool asked_already(const std::string& operand, const PhysicalStep& table, const PhysicalStep* map) {
  if (map == nullptr || !map->when || map->when->binding.kind != Binding::Kind::kExpr) return false;
  if (map->logical.value.kind != Binding::Kind::kMap) return false;
  const auto moved = condition_before_row(operand, table.logical, "row", map->logical.value);
  if (!moved) return false;
  return std::ranges::any_of(map->when->binding.expr.conjuncts(),
                             [&](const std::string& text) { return demanded(text) == *moved; });
}

}  // namespace

Estimate table_rows(const PhysicalStep& table, const Estimate& from, const PhysicalStep* map) {
  Estimate rows = from;
  const TableQuery& query = *table.logical.table;
  if (query.where) {
    const auto constant = query.where->as_constant();
    if (constant) {
      rows = truthy(*constant) ? rows : Estimate::exact(0);
    } else if (query.where->kind == Binding::Kind::kExpr) {
      for (const std::string& operand : query.where->expr.conjuncts()) {
        if (!asked_already(operand, table, map)) rows = rows * unknown_part();
      }
    }
  }
  if (query.group) {
    const double groups = cost_defaults().items;
    rows = {std::min(rows.middle, groups), std::min(rows.low, groups / 10), rows.high,
            EstimateSource::kDefault};
  }
  const Binding* limit = table.logical.with.find(kTableLimit);
  const auto most = limit != nullptr ? limit->as_constant() : std::nullopt;
  if (most && most->is_int()) rows = rows.at_most(static_cast<double>(most->as_int()));
  return rows;
}

}  // namespace sluice
