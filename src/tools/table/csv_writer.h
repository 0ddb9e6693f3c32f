// CSV out as RFC 4180 has it, with LF for line ends: cells are quoted where they must be; lists and
// objects are JSON, null is an empty cell.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/table/table_writer.h"

namespace sluice {

Result<std::unique_ptr<TableWriter>> open_csv_writer(const std::filesystem::path& file,
                                                     const std::vector<std::string>& columns,
                                                     char separator, std::string_view owner);
// A record with its line end.
std::string csv_record(const std::vector<std::string>& cells, char separator);
std::string cell_text(const Value& value);

}  // namespace sluice
