#include "cli/numbers_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>

namespace sluice::cli {

std::string seconds_text(std::int64_t ns) {
  const double seconds = static_cast<double>(ns) / 1e9;
  if (seconds < 0.0995) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string count_text(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string rate_text(double per_second) {
  if (per_second < 10) return fmt::format("{:.1f}", per_second);
  return count_text(static_cast<std::uint64_t>(per_second));
}

std::string age_text(std::int64_t ns) {
  const std::int64_t seconds = ns < 0 ? 0 : ns / kNsPerSecond;
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 2 * 86'400) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

std::string time_text(WallNs at) {
  const auto seconds = static_cast<std::time_t>(at / kNsPerSecond);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "never";
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%SZ", &parts);
  return text.data();
}

Result<std::int64_t> parse_age(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size());
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> kUnits{
      {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}, {"w", 604'800}}};
  for (const auto& [name, seconds] : kUnits) {
    if (error != std::errc() || unit != name || number < 0) continue;
    const std::int64_t most = std::numeric_limits<std::int64_t>::max() / kNsPerSecond / seconds;
    return number > most ? std::numeric_limits<std::int64_t>::max()
                         : number * seconds * kNsPerSecond;
  }
  return fail(ErrorCode::kUsage,
              fmt::format("'{}' is no length of time; write 30d, 12h or 5m", text));
}

}  // namespace sluice::cli
