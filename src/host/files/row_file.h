// Input rows from a file: JSONL (a JSON value a line), CSV (RFC 4180, first line names the columns;
// every cell is text) or a JSON array. Pure but for reading the file; any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

enum class RowFormat : std::uint8_t { kJsonLines, kCsv, kJsonArray };

// By the name's end: .jsonl .ndjson, .csv .tsv, .json. kUsage when it is none of them.
Result<RowFormat> row_format_of(const std::filesystem::path& file);
// An array of the rows. kFileUnreadable, kJsonInvalid, kUtf8Invalid, kParamInvalid with the line.
Result<Value> read_rows(const std::filesystem::path& file);
Result<Value> parse_rows(std::string_view text, RowFormat format, char separator = ',');

}  // namespace sluice
