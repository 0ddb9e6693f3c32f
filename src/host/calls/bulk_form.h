// Bulk calls: what one looks like and what its answer means. The arguments are `{"calls": [args,
// ...]}` (process: on standard input; http: as the body), the output is a list of as many items in
// the same order, each `{"output": V}` or `{"error": {"message": TEXT, "retryable": BOOL}}`. Pure;
// any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "plan/tool_spec.h"
#include "tools/tool.h"

namespace sluice {

// One call for all of `calls`, of which there is at least one. The time limit of one holds for it.
ToolCall bulk_request(std::string_view kind, const FunctionSpec& function,
                      std::span<const ToolCall* const> calls);

// The answer, call by call. An error of the whole: it is no list of `count` items. Of one item:
// what it says, or kToolOutput; kToolTooLarge beyond `max_bytes` (0: no bound).
using BulkItems = std::vector<Result<Value>>;
Result<BulkItems> bulk_items(const Value& output, std::size_t count, std::uint64_t max_bytes);

// A bulk call failed as a whole: its calls are made one by one, so that nobody's bad input fails
// another's. (Always, but for a test's mistake.)
bool goes_one_by_one();

}  // namespace sluice
