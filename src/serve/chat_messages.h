// The messages and tools of a chat completion: JSON to what the models take. Pure; any thread.
#pragma once

#include <vector>

#include "schedule/model_request.h"
#include "serve/request_fields.h"

namespace sluice {

inline constexpr std::size_t kMostMessages = 4096;
inline constexpr std::size_t kMostTools = 128;

std::vector<ModelMessage> read_messages(RequestFields& body);
std::vector<ModelTool> read_tools(RequestFields& body);

// What `tool_choice` says.
struct ToolWish {
  enum class Mode { kAuto, kNone, kRequired };
  Mode mode = Mode::kAuto;
  std::string name;  // kRequired: this one; "" any
};
ToolWish read_tool_choice_field(RequestFields& body, const std::vector<ModelTool>& tools);

}  // namespace sluice
