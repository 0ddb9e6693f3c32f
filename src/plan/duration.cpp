#include "plan/duration.h"

#include <array>
#include <charconv>
#include <utility>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array<Unit, 4> kUnits = {{{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::int64_t kMaxMs = 1'000'000'000'000;  // 31 years: more is a slip of the pen

}  // namespace

Result<std::int64_t> parse_duration_ms(std::string_view text) {
  std::int64_t count = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  std::string_view unit(rest, text.data() + text.size());
  bool starts_with_digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
  if (starts_with_digit && error == std::errc()) {
    for (const Unit& known : kUnits) {
      if (unit != known.name) continue;
      if (count > kMaxMs / known.ms) {
        return fail(ErrorCode::kValueInvalid, fmt::format("{} is longer than 31 years", text));
      }
      return count * known.ms;
    }
  }
  return fail(
      ErrorCode::kValueInvalid,
      fmt::format("a duration is a whole number with ms, s, m or h, like 500ms or 30s, not {}",
                  text.empty() ? "nothing" : shown(text)));
}

std::string format_duration_ms(std::int64_t ms) {
  for (const Unit& unit : kUnits) {
    if (ms != 0 && ms % unit.ms == 0) return fmt::format("{}{}", ms / unit.ms, unit.name);
  }
  return "0s";
}

}  // namespace sluice
