#include "tools/table/table_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace sluice {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"jsonl", "csv", "tsv", "sqlite"};

struct Ending {
  std::string_view text;
  TableFormat format;
};
constexpr std::array<Ending, 7> kEndings = {{{".jsonl", TableFormat::kJsonLines},
                                             {".ndjson", TableFormat::kJsonLines},
                                             {".csv", TableFormat::kCsv},
                                             {".tsv", TableFormat::kTsv},
                                             {".db", TableFormat::kSqlite},
                                             {".sqlite", TableFormat::kSqlite},
                                             {".sqlite3", TableFormat::kSqlite}}};

}  // namespace

std::string_view table_format_name(TableFormat format) {
  return kNames[static_cast<std::size_t>(format)];
}

std::optional<TableFormat> table_format_from_name(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<TableFormat>(found - kNames.begin());
}

Result<TableFormat> table_format_of(const std::filesystem::path& file) {
  std::string end = file.extension().string();
  for (char& c : end) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Ending& known : kEndings) {
    if (known.text == end) return known.format;
  }
  return fail(
      ErrorCode::kUsage,
      fmt::format("cannot tell from its name how the table {} is written; let it end in "
                  ".jsonl, .csv, .tsv or .db, or state the format (jsonl, csv, tsv, sqlite)",
                  file.string()));
}

Result<TableFormat> table_format_of(const std::filesystem::path& file, std::string_view stated) {
  if (stated.empty()) return table_format_of(file);
  if (auto format = table_format_from_name(stated)) return *format;
  return fail(ErrorCode::kUsage, fmt::format("{} is no format of a table; there are jsonl, csv, "
                                             "tsv and sqlite",
                                             stated));
}

}  // namespace sluice
