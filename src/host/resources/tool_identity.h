// What answers behind a tool, for the key under which its results outlive a run: plans in different
// folders may name different programs and databases with the same words. Reads small files; any
// thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "data/value.h"

namespace sluice {

// Of the kind, the settings with their secrets resolved, the folder where relative paths start, and
// the files that a program of a `process`, `python` or `mcp` tool is made of, as far as settings
// name them. What a database or a folder holds is not part of it: how long an answer of it stays
// good is what `ttl` says. One text for one identity; it tells nothing of the settings.
std::string tool_identity(std::string_view kind, const Value& settings,
                          const std::filesystem::path& work_dir);

}  // namespace sluice
