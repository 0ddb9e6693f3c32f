// Carries out a table step: rows in, rows out. Pure but for the time it takes; blocking; any
// thread, one call each.
#pragma once

#include <atomic>

#include "base/error.h"
#include "data/value.h"
#include "plan/table_query.h"

namespace sluice {

struct TableRun {
  const std::atomic<bool>& stop;  // true: end with kCancelled, soon
  bool compile = true;            // false: no condition becomes SQL (for tests: the same, slower)
  bool* compiled = nullptr;       // set to whether one did
};

// `args`: the step's `with`, evaluated. The result is a list; it carries the labels of the
// rows that it was made from, not those of rows that are left out.
Result<Value> run_table_query(const TableQuery& query, const Value& args, const TableRun& run);

// How many rows a call is given: large ones leave the thread of the run.
std::size_t table_rows(const Value& args);

}  // namespace sluice
