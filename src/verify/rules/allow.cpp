// PASS_UNKNOWN: `allow` names optimizer passes that run only where a plan allows them.
// PLAN_REJECTED: a plan that a step produced allows nothing by itself.
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "plan/allowed_passes.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {
namespace {

std::vector<std::string_view> names_to_allow() {
  std::vector<std::string_view> names;
  for (const PassName& pass : kPassNames) {
    if (pass.needs_allowance) names.push_back(pass.name);
  }
  return names;
}

const PassName* find_pass(std::string_view name) {
  for (const PassName& pass : kPassNames) {
    if (pass.name == name) return &pass;
  }
  return nullptr;
}

}  // namespace

void rule_allow(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  const auto& allowed = context.plan.allow;
  if (context.limits && !allowed.empty()) {
    out.error(ErrorCode::kPlanRejected, allowed.front().pos,
              "a produced plan allows no passes: it runs as it was produced");
    return;
  }
  for (const Located<std::string>& each : allowed) {
    const PassName* pass = find_pass(each.value);
    if (pass && pass->needs_allowance) continue;
    const std::vector<std::string_view> names = names_to_allow();
    if (pass) {
      out.error(ErrorCode::kPassUnknown, each.pos,
                fmt::format("{} changes no results and needs no allowance: it always runs; remove "
                            "it here (what can be allowed: {})",
                            each.value, fmt::join(names, ", ")));
      continue;
    }
    out.error(ErrorCode::kPassUnknown, each.pos,
              fmt::format("there is no pass {}{} (what can be allowed: {})", shown(each.value),
                          did_you_mean(each.value, names), fmt::join(names, ", ")));
  }
}

}  // namespace sluice
