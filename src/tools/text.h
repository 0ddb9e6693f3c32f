// Bytes from outside made fit for messages. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// On one line, control characters and bytes that are not UTF-8 replaced, blank ends trimmed, at
// most `max_bytes` of its end ("..." in front when cut).
std::string one_line(std::string_view bytes, std::size_t max_bytes = 500);
// The same, but the beginning is kept.
std::string one_line_start(std::string_view bytes, std::size_t max_bytes = 200);

}  // namespace sluice
