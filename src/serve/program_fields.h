// The fields with which a client tells what it knows about its program: the object `sluice`, and
// `priority` at the top. All optional. Pure; any thread.
#pragma once

#include "base/clock.h"
#include "schedule/model_request.h"
#include "serve/request_fields.h"

namespace sluice {

inline constexpr std::int64_t kMostPriority = 1000;

struct ProgramFields {
  ProgramHints hints;
  bool deterministic = false;
  bool last = false;         // the program ends with this call
  bool says_return = false;  // whether it comes back is said, either way
};
ProgramFields read_program_fields(RequestFields& body, SteadyNs now_ns);

}  // namespace sluice
