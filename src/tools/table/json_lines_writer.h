// JSON Lines out: an object a line, members in their order.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "tools/table/table_writer.h"

namespace sluice {

Result<std::unique_ptr<TableWriter>> open_json_lines_writer(const std::filesystem::path& file,
                                                            std::string_view owner);

}  // namespace sluice
