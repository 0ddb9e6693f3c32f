// WorkFile: the results of a table that is being computed, by row number, in a SQLite database
// beside the output (OUTPUT.part). It survives the process; one process at a time has it open.
// Storing a row again replaces it, so that a call that is repeated changes nothing. Blocking; one
// thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"
#include "tools/table/sqlite_file.h"

namespace sluice {

struct StoredRow {
  std::int64_t row = 0;              // from 0
  Value value;                       // null: no output row
  std::optional<std::string> error;  // why there is no value
  Value input;                       // the row as it was read; null: not kept
};

struct WorkCounts {
  std::int64_t rows = 0;
  std::int64_t errors = 0;
  std::int64_t empty = 0;  // neither value nor error
};

std::filesystem::path work_file_of(const std::filesystem::path& output);  // OUTPUT.part
// With all that SQLite may have beside it. kIo.
Result<void> remove_work_file(const std::filesystem::path& output);
// The run whose results are in the work file of `output`; nullopt: there is none. kTableInvalid
// when something else lies in its place, kRunBusy when a process has it open.
Result<std::optional<std::string>> run_of_work_file(const std::filesystem::path& output);

class WorkFile {
 public:
  // Makes it where there is none. kTableInvalid when something else lies in its place, kRunBusy,
  // kSqlFailed, kDiskFull.
  static Result<std::unique_ptr<WorkFile>> open(const std::filesystem::path& output);

  // Whose it is; nullopt: nobody's yet.
  Result<std::optional<std::string>> run() const;
  // It is that run's from now on. kRunChanged when it is another's.
  Result<void> begin(std::string_view run);
  // All of them, or none; durable on return. kRunChanged when nobody began (it was deleted).
  Result<void> put(std::span<const StoredRow> rows);

  Result<std::int64_t> rows() const;  // how many it has
  // kRunChanged when rows are missing.
  Result<WorkCounts> counts() const;
  enum class Order { kRow, kArrival };
  Result<void> each(Order order, const std::function<Result<void>(const StoredRow&)>& visit) const;

 private:
  explicit WorkFile(SqliteFile file) : file_(std::move(file)) {}
  Result<void> store(SqlStatement& insert, const StoredRow& row);

  SqliteFile file_;
  bool begun_ = false;
  std::int64_t next_arrival_ = 0;
};

}  // namespace sluice
