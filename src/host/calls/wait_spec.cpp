#include "host/calls/wait_spec.h"

#include <fmt/format.h>

#include <limits>
#include <string>

#include "data/json.h"
#include "plan/wait_time.h"

namespace sluice {
namespace {

// Words for people: text as it stands, all else as JSON.
std::string words(const Value* value) {
  if (value == nullptr || value->is_null()) return "";
  return value->is_string() && !value->labels().secret ? std::string(value->as_string())
                                                       : to_json(*value);
}

// Beyond what the clock can count is never.
WallNs after(WallNs now, std::int64_t ms) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  if (ms > (kMost - now) / kNsPerMs) return kMost;
  return now + ms * kNsPerMs;
}

Result<WallNs> end_of(const Value& spec, WallNs now) {
  if (const Value* duration = spec.find("for"); duration != nullptr) {
    auto ms = parse_wait_for(*duration);
    if (!ms) return std::unexpected(ms.error());
    return after(now, *ms);
  }
  if (const Value* until = spec.find("until"); until != nullptr) return parse_wait_until(*until);
  return 0;
}

}  // namespace

WaitBegan read_wait(const BeginWait& wait, WallNs now) {
  WaitBegan began;
  began.call = wait.call;
  const Value& spec = wait.spec;
  if (!spec.is_object()) {
    began.error = Error(ErrorCode::kWaitInvalid,
                        fmt::format("a wait is a map of for, until or signal, not {}",
                                    kind_with_article(spec.kind())));
    return began;
  }
  began.signal = words(spec.find("signal"));
  began.of = words(spec.find("of"));
  began.ask = words(spec.find("ask"));
  auto until = end_of(spec, now);
  if (!until) {
    began.error = until.error();
    return began;
  }
  // 0 stands for never: the first instant of 1970 is long past anyway.
  const bool timed = spec.find("for") != nullptr || spec.find("until") != nullptr;
  began.until_wall_ns = timed && *until == 0 ? 1 : *until;
  if (!timed && began.signal.empty()) {
    began.error = Error(ErrorCode::kWaitInvalid, "a wait needs for, until or signal");
    return began;
  }
  const Value* value = spec.find("value");
  began.has_value = value != nullptr || began.signal.empty();
  if (value != nullptr) began.value = *value;
  return began;
}

}  // namespace sluice
