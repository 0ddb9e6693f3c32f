// Tool: one named tool of a plan, opened: a process, an HTTP server, a database, Python, an MCP
// server, a folder of files. Every kind implements this and passes one contract suite.
//
// Threads: `call`, `cancel` and `discover` are called on the I/O executor; callbacks run there too,
// never before `call` has returned. Blocking work goes to the blocking executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "plan/tool_spec.h"

namespace sluice {

struct ToolEnvironment {
  boost::asio::any_io_executor io;        // one thread runs it
  boost::asio::any_io_executor blocking;  // a pool
  std::filesystem::path work_dir;         // relative paths of settings start here
  std::filesystem::path temp_dir;         // exists, ours for the life of the process
  const Clock* clock = nullptr;
  // Whether code steps are isolated (bubblewrap); false where the machine does not allow it.
  bool isolate_code = true;
  // A stream of table rows gives so many in this process, and then waits; 0: no bound.
  std::uint64_t hold_rows_after = 0;
};

struct ToolCall {
  std::string function;         // never "": defaults are resolved before
  Value args;                   // an object that fits the function's input schema
  std::string task;             // TaskId text, for messages
  std::string idempotency_key;  // goes out as Idempotency-Key, SLUICE_KEY or MCP _meta
  std::int64_t timeout_ms = 0;  // 0: none
  std::uint64_t max_bytes = 0;  // of the output; 0: none
  bool streaming = false;       // items are wanted as they come (on_item)
};

struct ToolReply {
  Value output;      // null for a streaming call that emitted items
  bool left = true;  // the call left this process (doubt is possible when it fails)
};

// A failed call says whether it had left: a call that never left is never in doubt.
struct ToolFailure {
  Error error;
  bool left = true;
  bool unknown = false;  // the answer came from between us: it does not tell what the call has done
};

struct ToolCallbacks {
  // A streaming call's items, in order. Returns false when the consumer wants no more for now: the
  // tool stops reading until resume(id).
  std::function<bool(Value item)> on_item;
  std::function<void(double done, double total, std::string_view message)> on_progress;
  std::function<void(std::expected<ToolReply, ToolFailure>)> on_end;  // exactly once
};

using CallId = std::uint64_t;

class Tool {
 public:
  virtual ~Tool() = default;  // kills what is open
  // The functions as the tool has them (open kinds ask their server). Calls back on the I/O
  // executor, once.
  virtual void discover(std::function<void(Result<std::vector<FunctionSpec>>)> on_functions) = 0;
  virtual CallId call(ToolCall call, ToolCallbacks callbacks) = 0;
  virtual void cancel(CallId id) = 0;           // on_end follows with kCancelled
  virtual void resume(CallId id) { (void)id; }  // after on_item gave false
};

// Settings have been checked against the kind's schema and secrets resolved. kSettingInvalid,
// kToolStart. The table of kinds that can be opened is in open_tool.cpp, one row a kind.
Result<std::unique_ptr<Tool>> open_tool(std::string_view id, std::string_view kind,
                                        const Value& settings, const ToolEnvironment& environment);

// Code steps: `function` of each call is the Python text; `main(**args)` is called.
struct CodeRunnerOptions {
  std::uint32_t workers = 0;  // 0: the machine's cores
  std::string python = "python3";
};
std::unique_ptr<Tool> open_code_runner(const CodeRunnerOptions& options,
                                       const ToolEnvironment& environment);
// Whether code steps are isolated on this machine, and if not, why, in one sentence.
struct IsolationState {
  bool isolated = false;
  std::string reason;
};
IsolationState probe_isolation();

}  // namespace sluice
