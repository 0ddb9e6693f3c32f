// The types inside a table step: of its rows, of what its expressions give, and of its output.
// Internal to verify/. One thread.
#pragma once

#include "plan/table_query.h"
#include "verify/facts.h"

namespace sluice {

class TableFacts {
 public:
  // Of a step of the plan with operator table whose query is not broken. The types of the steps
  // that it reads are known.
  TableFacts(const PlanFacts& facts, const Step& step);

  // An expression of the table with the types of what it reads.
  Expr typed(const Binding& leaf, TablePart part) const;
  Type type_of(const Binding& tree, TablePart part) const;
  // Of the step's input `from`, `match` or `limit`.
  Type input(std::string_view name) const;
  // Of the list that it gives.
  Type output() const { return Type::array_of(types_.output); }

 private:
  // Of a name that is the plan's, as the step's `with` has it.
  Type outer(const std::string& dotted) const;

  const PlanFacts& facts_;
  const Step& step_;
  const TableQuery& query_;
  Place place_;
  TableTypes types_;
};

}  // namespace sluice
