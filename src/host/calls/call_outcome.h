// What a call came to, before it becomes a CallEnded event. Pure data.
#pragma once

#include <utility>
#include <variant>

#include "base/error.h"
#include "runtime/event.h"

namespace sluice {

struct CallOutcome {
  std::variant<CallReturned, CallFailed, ToolsWanted> result;
  Usage usage;

  static CallOutcome returned(Value output, Usage usage = {}) {
    return {CallReturned{std::move(output), false}, usage};
  }
  static CallOutcome failed(Error error, bool doubt = false, Usage usage = {}) {
    return {CallFailed{std::move(error), doubt}, usage};
  }
};

// kOutputInvalid when the schema has something against the value; null allows anything.
std::optional<Error> check_output(const SchemaPtr& schema, const Value& output);

}  // namespace sluice
