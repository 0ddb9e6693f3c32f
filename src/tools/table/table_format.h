// How a table lies in a file: JSON Lines, CSV, tab-separated or a SQLite database. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

enum class TableFormat : std::uint8_t { kJsonLines, kCsv, kTsv, kSqlite };
std::string_view table_format_name(TableFormat format);  // "jsonl"
std::optional<TableFormat> table_format_from_name(std::string_view name);
// By the end of its name: .jsonl .ndjson, .csv, .tsv, .db .sqlite .sqlite3. kUsage when it is none.
Result<TableFormat> table_format_of(const std::filesystem::path& file);
// For whom the name may say: `stated` is "" when nobody said.
Result<TableFormat> table_format_of(const std::filesystem::path& file, std::string_view stated);

// A table to read.
struct TableSource {
  std::filesystem::path file;
  TableFormat format = TableFormat::kJsonLines;
  std::string query;  // SQLite: one SELECT; "": all of `table`
  std::string table;  // SQLite without query: its name; "": the only one that there is
};

// A table to write.
struct TableTarget {
  std::filesystem::path file;
  TableFormat format = TableFormat::kJsonLines;
  std::string table = {};  // SQLite: "" is "result"
};

}  // namespace sluice
