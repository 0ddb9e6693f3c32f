// Numbers as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace sluice::cli {

std::string seconds_text(std::int64_t ns);     // "0.4 ms", "12.3 s", "4 min 05 s"
std::string count_text(std::uint64_t number);  // "12,345"
std::string bytes_text(std::uint64_t bytes);   // "93.8 MiB"
std::string rate_text(double per_second);      // "0.4", "12", "3,400"
std::string age_text(std::int64_t ns);         // "12 s", "5 min", "3 h", "12 d"
std::string time_text(WallNs at);              // "2026-11-21 15:30:12Z"
// "30d", "12h", "5m", "10s", "2w" in nanoseconds; kUsage.
Result<std::int64_t> parse_age(std::string_view text);

}  // namespace sluice::cli
