// The trace of a run as one JSON object a line, for --json. Pure; the run's thread.
#pragma once

#include <string>

#include "base/clock.h"
#include "host/run_service.h"
#include "runtime/trace.h"

namespace sluice::cli {

// Without the line's end. Times count from `start_ns`.
std::string trace_line(const TraceEvent& event, SteadyNs start_ns);
// The last line: how it ended and what it returned.
std::string result_line(const RunReport& report);
Value error_value(const Error& error);

}  // namespace sluice::cli
