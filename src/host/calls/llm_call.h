// Model calls: a step's bound `with` becomes a ModelRequest, the reply becomes the step's output or
// a wish for tools. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "host/calls/call_outcome.h"
#include "host/resources/plan_scope.h"
#include "plan/tool_spec.h"
#include "runtime/effect.h"
#include "schedule/model_request.h"

namespace sluice {

// A tool function that a step offers to its model. Models know it by a name of letters, digits, _
// and -: `db.query` is db__query there.
struct OfferedTool {
  std::string wire_name;
  std::string tool;
  const FunctionSpec* spec = nullptr;
};
std::string wire_tool_name(std::string_view tool, std::string_view function);

inline constexpr std::uint32_t kDefaultTurns = 8;

Result<ModelRequest> make_model_request(const StartCall& start, const ModelDefaults& defaults,
                                        std::span<const OfferedTool> offered,
                                        std::string_view run_id);
// What the program will ask next, as far as it is known when `reply` wishes for tools: all so far
// and the wish itself. For ModelInstance::prefetch while the tools run.
Result<ModelRequest> make_next_turn(const StartCall& start, const ModelDefaults& defaults,
                                    std::span<const OfferedTool> offered, std::string_view run_id,
                                    const ModelReply& reply);
CallOutcome model_outcome(const StartCall& start, Result<ModelReply> reply);

}  // namespace sluice
