// Where a run's result goes: standard output or a file of -o. The main thread only.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"

namespace sluice::cli {

// Before a run: can the file be written at all? kIo with what to do.
Result<void> check_writable(const std::string& file);
// A file is replaced as a whole or left as it was.
Result<void> write_file(const std::string& file, std::string_view text);
// Text as it stands, all else as JSON; ends with one line end.
std::string result_text(const Value& result);

}  // namespace sluice::cli
