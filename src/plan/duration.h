// Durations of the plan language: `500ms`, `30s`, `5m`. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Milliseconds; refuses anything but a whole number with ms, s, m or h. kValueInvalid.
Result<std::int64_t> parse_duration_ms(std::string_view text);
std::string format_duration_ms(std::int64_t ms);

}  // namespace sluice
