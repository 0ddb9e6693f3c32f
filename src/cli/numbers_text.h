// Numbers as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::cli {

std::string seconds_text(std::int64_t ns);     // "0.4 ms", "12.3 s", "4 min 05 s"
std::string count_text(std::uint64_t number);  // "12,345"
std::string bytes_text(std::uint64_t bytes);   // "93.8 MiB"
std::string rate_text(double per_second);      // "0.4", "12", "3,400"

}  // namespace sluice::cli
