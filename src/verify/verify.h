// Verification of a logical plan before anything runs. One rule per file (src/verify/rules/), each
// with a stable code and a page in docs/errors/; the explicit table of rules is in verify.cpp. All
// rules run and all findings are reported at once. Pure; any thread.
#pragma once

#include <optional>

#include "plan/diagnostic.h"
#include "plan/logical.h"
#include "plan/tool_catalog.h"

namespace sluice {

struct VerifyContext {
  const Plan& plan;
  const ToolCatalog& tools;
  // Inside a produced plan: what its parent allows.
  const Limits* limits = nullptr;
  // Inside another plan, which undoes or does not; null: this is the outermost one.
  const Plan* outermost = nullptr;
};

void verify_plan(const VerifyContext& context, Diagnostics& out);

// Binds and checks parameters: defaults filled in, unknown, missing and misfit ones reported
// (kParamUnknown, kParamMissing, kParamInvalid). Returns the object of parameters.
Value bind_params(const Plan& plan, const Value& given, Diagnostics& out);

}  // namespace sluice
