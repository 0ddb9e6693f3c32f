// The times of a `wait`: how long, and until when. Verification uses it for constants and the host
// for what a run has bound, so both understand the same. Pure but for the system's time zone data,
// which is read once; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"

namespace sluice {

// Milliseconds of `for`: a text like 10m. kWaitInvalid.
Result<std::int64_t> parse_wait_for(const Value& value);

// The instant of `until`, in UTC: "2026-12-24T18:00:00+01:00" (or Z; a blank instead of T; seconds
// may be left out), or "2026-12-24 18:00 Europe/Berlin". kWaitInvalid, also for a local time that
// its zone does not have or has twice; kFileUnreadable when the system has no time zone data.
Result<WallNs> parse_wait_until(const Value& value);
Result<WallNs> parse_wait_until(std::string_view text);

}  // namespace sluice
