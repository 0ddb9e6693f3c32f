// Which rows of a table step belong together and stay: its match and its where, done by SQLite in a
// database of their own that is gone afterwards (in memory, and on disk beyond what memory is given
// to it). Equal keys are found by an index. What SQL cannot say exactly is evaluated as an
// expression, from inside the query. Blocking; one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "data/labels.h"
#include "data/value.h"
#include "plan/table_query.h"

namespace sluice {

inline constexpr std::uint32_t kNoRow = 0xFFFF'FFFF;

struct RowPair {
  std::uint32_t row = 0;
  std::uint32_t other = kNoRow;
};

struct PairRequest {
  const TableQuery& query;
  const Value& args;  // as the step's `with` came out
  std::vector<Value> rows;
  std::vector<Value> others;  // when it has a match
  const std::atomic<bool>& stop;
  bool compile = true;  // false: no condition becomes SQL
};

struct FoundPairs {
  std::vector<RowPair> pairs;  // in the order of `rows`, then of `others`
  Labels labels;               // of what let them in: their keys, the condition where it holds
  bool compiled = false;       // the condition was SQL, or began with some
};

// "rows[7]: ..." in front of an error's message: where it came up. `other`: kNoRow, none.
Error at_row(const Error& error, std::uint32_t row, std::uint32_t other = kNoRow);
Error table_cancelled();

Result<FoundPairs> find_pairs(const PairRequest& request);

}  // namespace sluice
