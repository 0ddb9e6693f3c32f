#include "plan/wait_time.h"

#include <date/tz.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "plan/duration.h"
#include "plan/names.h"

namespace sluice {
namespace {

using LocalSeconds = date::local_seconds;

constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2261;       // nanoseconds since 1970 end in 2262
constexpr int kLastZonedYear = 2037;  // the system's data list the changes of the clocks up to here

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::kWaitInvalid, std::move(message));
}

// Takes the parts of a time from the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly so many digits.
  std::optional<int> digits(std::size_t count) {
    if (rest_.size() < count) return std::nullopt;
    const std::string_view text = rest_.substr(0, count);
    for (char c : text) {
      if (c < '0' || c > '9') return std::nullopt;
    }
    int number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    rest_.remove_prefix(count);
    return number;
  }
  // Behind the point: 1 to 9 digits, as nanoseconds.
  std::optional<std::int64_t> fraction() {
    std::size_t count = 0;
    std::int64_t ns = 0;
    while (count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9') {
      if (count < 9) ns = ns * 10 + (rest_[count] - '0');
      ++count;
    }
    if (count == 0 || count > 9) return std::nullopt;
    for (std::size_t i = count; i < 9; ++i) ns *= 10;
    rest_.remove_prefix(count);
    return ns;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// What stands in front of the offset or the zone.
struct LocalTime {
  LocalSeconds seconds;
  std::int64_t ns = 0;
  int year = 0;
  std::string_view text;  // as written
};

std::string written(LocalSeconds seconds) { return date::format("%Y-%m-%dT%H:%M:%S", seconds); }

std::string offset_text(std::chrono::seconds offset) {
  auto minutes = std::chrono::duration_cast<std::chrono::minutes>(offset).count();
  auto size = minutes < 0 ? -minutes : minutes;
  return fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', size / 60, size % 60);
}

std::unexpected<Error> not_a_time(std::string_view text) {
  return invalid(fmt::format(
      "{} is no time; write 2026-12-24T18:00:00Z, 2026-12-24T18:00:00+01:00 or 2026-12-24 18:00 "
      "Europe/Berlin",
      text.empty() ? "an empty text" : shown(text)));
}

Result<LocalTime> take_local(Scanner& scanner, std::string_view text) {
  auto year = scanner.digits(4);
  if (!year || !scanner.take('-')) return not_a_time(text);
  auto month = scanner.digits(2);
  if (!month || !scanner.take('-')) return not_a_time(text);
  auto day = scanner.digits(2);
  if (!day || (!scanner.take('T') && !scanner.take(' '))) return not_a_time(text);
  auto hour = scanner.digits(2);
  if (!hour || !scanner.take(':')) return not_a_time(text);
  auto minute = scanner.digits(2);
  if (!minute) return not_a_time(text);
  std::optional<int> second = 0;
  std::optional<std::int64_t> ns = 0;
  if (scanner.take(':')) {
    second = scanner.digits(2);
    if (second && scanner.take('.')) ns = scanner.fraction();
  }
  if (!second || !ns) return not_a_time(text);
  date::year_month_day date{date::year(*year), date::month(static_cast<unsigned>(*month)),
                            date::day(static_cast<unsigned>(*day))};
  std::string_view local = text.substr(0, text.size() - scanner.rest().size());
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) {
    return invalid(fmt::format("{} is on no calendar and no clock", local));
  }
  if (*year < kFirstYear || *year > kLastYear) {
    return invalid(fmt::format("{} is not between {} and {}", local, kFirstYear, kLastYear));
  }
  LocalSeconds seconds = date::local_days(date) + std::chrono::hours(*hour) +
                         std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return LocalTime{seconds, *ns, *year, local};
}

WallNs instant(const LocalTime& local, std::chrono::seconds offset) {
  auto seconds = local.seconds.time_since_epoch() - offset;
  return seconds.count() * kNsPerSecond + local.ns;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// "; did you mean Europe/Berlin?" also for "berlin" and "europe/berlin".
std::string zone_hint(std::string_view name) {
  std::vector<std::string_view> names;
  for (const date::time_zone& zone : date::get_tzdb().zones) {
    std::string_view known = zone.name();
    bool city = same_word(known.substr(known.rfind('/') + 1), name);
    if (city || same_word(known, name)) return fmt::format("; did you mean {}?", known);
    names.push_back(known);
  }
  return did_you_mean(name, names);
}

const date::time_zone* find_zone(std::string_view name) {
  const auto& zones = date::get_tzdb().zones;
  auto found = std::ranges::lower_bound(
      zones, name, {}, [](const auto& zone) { return std::string_view(zone.name()); });
  return found == zones.end() || found->name() != name ? nullptr : &*found;
}

Result<WallNs> in_zone(const LocalTime& local, std::string_view name) {
  const date::time_zone* zone = find_zone(name);
  if (!zone) return invalid(fmt::format("no time zone {}{}", shown(name), zone_hint(name)));
  if (local.year > kLastZonedYear) {
    return invalid(
        fmt::format("when the clocks change in {} is known up to {}; write an offset: "
                    "{}+01:00",
                    name, kLastZonedYear, written(local.seconds)));
  }
  date::local_info info = zone->get_info(local.seconds);
  if (info.result == date::local_info::unique) return instant(local, info.first.offset);
  bool twice = info.result == date::local_info::ambiguous;
  std::string text = written(local.seconds);
  std::string first = offset_text(info.first.offset);
  std::string second = offset_text(info.second.offset);
  return invalid(
      fmt::format("{} {}: the clocks of {} change there from {} to {}; write {}{} or "
                  "{}{}",
                  local.text, twice ? "is there twice" : "does not exist", name, first, second,
                  text, first, text, second));
}

Result<WallNs> parse(std::string_view text) {
  Scanner scanner(text);
  Result<LocalTime> local = take_local(scanner, text);
  if (!local) return std::unexpected(local.error());
  std::string_view where = scanner.rest();
  if (where == "Z") return instant(*local, std::chrono::seconds(0));
  if (where.starts_with('+') || where.starts_with('-')) {
    bool behind = where[0] == '-';
    Scanner offset(where.substr(1));
    auto hours = offset.digits(2);
    bool colon = offset.take(':');
    auto minutes = offset.digits(2);
    bool good =
        hours && colon && minutes && offset.rest().empty() && *hours <= 18 && *minutes <= 59;
    if (!good) return invalid(fmt::format("{} is no offset; write it like +01:00", shown(where)));
    std::chrono::seconds size = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
    return instant(*local, behind ? -size : size);
  }
  if (where.starts_with(' ') && where.size() > 1) return in_zone(*local, where.substr(1));
  if (!where.empty()) return not_a_time(text);
  return invalid(
      fmt::format("{} says not where; add Z, an offset like +01:00, or a zone: {} "
                  "Europe/Berlin",
                  text, local->text));
}

std::string without_unit(const Value& value) {
  return value.is_int() ? fmt::format("; write {0}s or {0}m", value.as_int()) : "";
}

}  // namespace

Result<std::int64_t> parse_wait_for(const Value& value) {
  if (!value.is_string()) {
    return invalid(fmt::format("for needs a duration with its unit, like 30s or 10m, not {}{}",
                               kind_with_article(value.kind()), without_unit(value)));
  }
  auto ms = parse_duration_ms(value.as_string());
  if (!ms) return invalid(ms.error().message());
  return *ms;
}

Result<WallNs> parse_wait_until(const Value& value) {
  if (value.is_string()) return parse_wait_until(value.as_string());
  return invalid(fmt::format("until needs a time, like 2026-12-24 18:00 Europe/Berlin, not {}",
                             kind_with_article(value.kind())));
}

Result<WallNs> parse_wait_until(std::string_view text) {
  try {
    return parse(text);
  } catch (const std::exception& error) {
    return fail(ErrorCode::kFileUnreadable,
                fmt::format("the system's time zone data cannot be read ({}); install tzdata, or "
                            "write an offset instead of a zone",
                            error.what()));
  }
}

}  // namespace sluice
