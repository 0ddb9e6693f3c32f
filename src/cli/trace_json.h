// The trace of a run as one JSON object a line, for --json. Pure; the run's thread.
#pragma once

#include <string>

#include "base/clock.h"
#include "host/runs/run_service.h"
#include "runtime/trace.h"

namespace sluice::cli {

// Without the line's end. Times are those of the run's life.
std::string trace_line(const TraceEvent& event);
// The first line: which run this is, and whether it can be found by that later.
std::string run_line(const std::string& run_id, bool journaled);
// The last line: how it ended and what it returned.
std::string result_line(const RunReport& report);
Value error_value(const Error& error);

}  // namespace sluice::cli
