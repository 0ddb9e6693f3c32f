#include "host/calls/kept_results.h"

#include "base/failpoint.h"
#include "base/program_identity.h"
#include "data/json.h"
#include "plan/lower.h"

namespace sluice {
namespace {

Hasher with_schema(const Hash256& key, const PhysicalStep& step) {
  Hasher hasher;
  hasher.field(key);
  if (step.logical.output) hasher.field(content_hash(step.logical.output->source()));
  return hasher;
}

}  // namespace

Hasher call_meaning(const PhysicalStep& step, const Value& args) {
  return with_schema(result_key(step, args), step);
}

// Another build of the program may put prompts together otherwise: it begins anew.
Hasher reuse_meaning(const PhysicalStep& step, const Value& args) {
  const bool mistake = failpoint(Failpoint::kReuseAnyInputs);
  Hasher hasher = with_schema(mistake ? step.step_hash : result_key(step, args), step);
  hasher.field(program_identity());
  return hasher;
}

const Value* to_keep(const CallResult& outcome) {
  const auto* returned = std::get_if<CallReturned>(&outcome);
  return returned != nullptr && !returned->cached ? &returned->output : nullptr;
}

bool stands_for_equals(const CallReturned& returned, std::uint64_t turn) {
  if (!returned.cached) return true;
  return turn != 0 && !failpoint(Failpoint::kReuseForgetsWaiters);
}

}  // namespace sluice
