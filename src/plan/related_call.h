// The call that a tool's `probe` or `undo` setting describes: {tool, with}, where `with` reads
//   call    the call that it is about: {tool, function, args, task}
//   key     that call's idempotency key
//   output  what it gave (undo), or null (probe)
// Pure; any thread.
#pragma once

#include <string>

#include "base/error.h"
#include "data/expr.h"
#include "data/value.h"

namespace sluice {

struct HelperCall {
  std::string tool;
  std::string function;  // "": the tool's default one
  Value args;            // an object
};

// `setting` as it stands in FunctionSpec::probe or ::undo; it was verified, so what is wrong now
// are the values that it reads.
Result<HelperCall> bind_helper_call(const Value& setting, const Value& call, const Value& key,
                                    const Value& output);

// The names that expressions in such a `with` may use.
NameResolver helper_call_names();

}  // namespace sluice
