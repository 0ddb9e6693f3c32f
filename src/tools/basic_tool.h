// What all kinds of tools do alike: calls are begun, cancelled and resumed through OpenCalls. A
// kind derives from one of these and says what one call does. I/O executor only.
//
// The destructor of a kind drops its calls before anything that they use goes away.
#pragma once

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/open_call.h"
#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

class BasicTool : public Tool {
 public:
  CallId call(ToolCall call, ToolCallbacks callbacks) final {
    return calls_.begin(std::move(call), std::move(callbacks),
                        [this](const OpenCallPtr& open) { start(open); });
  }
  void cancel(CallId id) final { calls_.cancel(id); }
  void resume(CallId id) final { calls_.resume(id); }

 protected:
  explicit BasicTool(const ToolEnvironment& environment) : calls_(environment) {}
  // Runs in a turn of its own, unless the call was cancelled before.
  virtual void start(const OpenCallPtr& open) = 0;
  OpenCalls& calls() { return calls_; }

 private:
  OpenCalls calls_;
};

// A tool of a closed kind: its functions are known without asking anybody.
class ClosedTool : public BasicTool {
 public:
  void discover(std::function<void(Result<std::vector<FunctionSpec>>)> on_functions) final {
    calls().post([this, on_functions = std::move(on_functions)] { on_functions(functions_); });
  }

 protected:
  ClosedTool(std::string_view kind, const ToolSettings& settings)
      : BasicTool(settings.environment), functions_(functions_of_kind(kind, settings.values)) {}
  const std::vector<FunctionSpec>& functions() const { return functions_; }

 private:
  std::vector<FunctionSpec> functions_;
};

}  // namespace sluice
