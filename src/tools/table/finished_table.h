// From the work file to the output: which rows and columns it has, and what is told of it.
// Blocking; one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "tools/table/table_format.h"
#include "tools/table/work_file.h"

namespace sluice {

struct FinishOptions {
  WorkFile::Order order = WorkFile::Order::kRow;
  bool keep_null = false;            // rows without a value are written too
  std::vector<std::string> columns;  // of the input, in their order, where rows keep theirs
};

struct FinishedTable {
  WorkCounts counts;
  std::int64_t written = 0;
  // The first few, as the error column has them.
  std::vector<std::string> first_errors;
};

// A row's value is its columns when it is an object, else it is the column `result`; the input's
// columns stand before it; an error goes to the column `error` (error_2 and so on where values have
// one of that name). Writing it again gives the same file. kCancelled once `stopped`.
Result<FinishedTable> write_finished(const WorkFile& work, const TableTarget& target,
                                     const FinishOptions& options,
                                     const std::atomic<bool>& stopped);

// "row 17: ask failed: ..." Rows count from 1 for people.
std::string row_error_text(const StoredRow& row);

}  // namespace sluice
