#include "tools/table/finished_table.h"

#include <fmt/format.h>

#include <unordered_set>
#include <utility>

#include "tools/table/table_writer.h"

namespace sluice {
namespace {

constexpr std::size_t kErrorsTold = 5;

// Names in the order in which they came.
class NameList {
 public:
  void add(const std::string& name) {
    if (known_.insert(name).second) names_.push_back(name);
  }
  void add_members(const Value& object) {
    if (!object.is_object()) return;
    for (const auto& [name, value] : object.members()) add(name);
  }
  bool has(const std::string& name) const { return known_.contains(name); }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::unordered_set<std::string> known_;
  std::vector<std::string> names_;
};

bool left_out(const StoredRow& row, const FinishOptions& options) {
  return !row.error && row.value.is_null() && !options.keep_null;
}

// What all rows together have, and what the column of errors is called.
struct Shape {
  std::vector<std::string> columns;
  std::string error_column;
};

Result<Shape> shape_of(const WorkFile& work, const FinishOptions& options,
                       const std::atomic<bool>& stopped) {
  NameList names;
  for (const std::string& column : options.columns) names.add(column);
  bool errors = false;
  // Always by row: the columns must not hang on which row came first.
  auto seen = work.each(WorkFile::Order::kRow, [&](const StoredRow& row) -> Result<void> {
    if (stopped) return fail(ErrorCode::kCancelled, "writing was stopped");
    if (left_out(row, options)) return {};
    names.add_members(row.input);
    errors = errors || row.error.has_value();
    if (row.error) return {};
    if (row.value.is_object()) {
      names.add_members(row.value);
    } else {
      names.add("result");
    }
    return {};
  });
  if (!seen) return std::unexpected(seen.error());
  Shape shape;
  shape.error_column = "error";
  for (int i = 2; names.has(shape.error_column); ++i) {
    shape.error_column = fmt::format("error_{}", i);
  }
  if (errors) names.add(shape.error_column);
  shape.columns = names.names();
  return shape;
}

Value output_row(const StoredRow& row, const std::string& error_column) {
  std::vector<Value::Member> members;
  if (row.input.is_object()) {
    members.assign(row.input.members().begin(), row.input.members().end());
  }
  if (row.error) {
    members.emplace_back(error_column,
                         Value::from_utf8(row_error_text(row)).value_or(Value::string("?")));
  } else if (row.value.is_object()) {
    for (const auto& member : row.value.members()) members.push_back(member);
  } else {
    members.emplace_back("result", row.value);
  }
  return Value::object(std::move(members));
}

}  // namespace

std::string row_error_text(const StoredRow& row) {
  return fmt::format("row {}: {}", row.row + 1, row.error.value_or(""));
}

Result<FinishedTable> write_finished(const WorkFile& work, const TableTarget& target,
                                     const FinishOptions& options,
                                     const std::atomic<bool>& stopped) {
  FinishedTable finished;
  auto counts = work.counts();
  if (!counts) return std::unexpected(counts.error());
  finished.counts = *counts;
  auto shape = shape_of(work, options, stopped);
  if (!shape) return std::unexpected(shape.error());
  auto run = work.run();
  if (!run) return std::unexpected(run.error());
  auto writer = open_table_writer(target, shape->columns, run->value_or(""));
  if (!writer) return std::unexpected(writer.error());
  auto written = work.each(options.order, [&](const StoredRow& row) -> Result<void> {
    if (stopped) return fail(ErrorCode::kCancelled, "writing was stopped");
    if (row.error && finished.first_errors.size() < kErrorsTold) {
      finished.first_errors.push_back(row_error_text(row));
    }
    if (left_out(row, options)) return {};
    ++finished.written;
    return (*writer)->row(output_row(row, shape->error_column));
  });
  if (!written) return std::unexpected(written.error());
  if (auto ended = (*writer)->end(); !ended) return std::unexpected(ended.error());
  return finished;
}

}  // namespace sluice
