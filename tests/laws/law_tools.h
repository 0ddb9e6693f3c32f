// LawTools: what the tools, models and code of a law test do. All of it hangs on what a call is
// about and on nothing else: a pure call on what is called and its arguments, a read on its task
// too (so that two reads that were made one show in the result), never on time or order. Pure; any
// thread.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "data/value.h"
#include "plan/logical.h"
#include "plan/tool_catalog.h"
#include "runtime/effect.h"

namespace sluice::laws {

enum class LawDeed : std::uint8_t {
  kNumber,   // 0 to 9
  kRefuse,   // the same, but for some arguments a refusal that no retry helps
  kFlaky,    // the same, but for some arguments the first attempt fails
  kFlag,     // "low", "mid" or "high"
  kRow,      // an object
  kRows,     // `n` of them, some equal
  kNumbers,  // `n` numbers, some equal
  kPlan,     // a plan
};

struct LawFunction {
  std::string_view name;
  Effect effect;
  LawDeed deed;
  bool streams;
};

const LawFunction* find_law_function(std::string_view name);
// Of a plan that has `tools: {t: {kind: python, file: law.py}}`, and of its sub-plans.
std::unique_ptr<ToolCatalog> law_catalog(const Plan& plan);

// The function that a call is for; null: a model or code.
const LawFunction* law_function_of(const StartCall& start);
// "t.pay", "llm default", "code".
std::string what_is_called(const StartCall& start);
// What the call gives.
Result<Value> answer_of(const StartCall& start);

}  // namespace sluice::laws
