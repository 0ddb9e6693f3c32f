// Produced plans and waits of a simulated process: what host/ does with them, without its tools.

#include <fmt/format.h>

#include <utility>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/wait_time.h"
#include "simulate/sim_host.h"
#include "verify/verify.h"

namespace sluice {
namespace {

Error rejected(std::string why) { return {ErrorCode::kPlanRejected, std::move(why)}; }

Result<PhysicalPlanPtr> admitted(const AdmitPlan& admit, const ToolCatalog& outer) {
  ParsedPlan parsed = parse_plan_value(admit.plan, "produced");
  if (!parsed.plan || parsed.diagnostics.has_errors()) {
    return std::unexpected(rejected("it cannot be read"));
  }
  const auto catalog = sim_catalog_within(admit.limits, outer);
  Diagnostics findings;
  verify_plan({.plan = *parsed.plan, .tools = *catalog, .limits = &admit.limits}, findings);
  if (!findings.has_errors()) bind_params(*parsed.plan, admit.args, findings);
  if (findings.has_errors()) return std::unexpected(rejected(findings.all().front().message));
  return lower_plan(parsed.plan, *catalog);
}

std::string text_of(const Value* value) {
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

}  // namespace

void SimHost::admit(const AdmitPlan& asked) {
  if (!life_.chance()) return;
  AdmitPlan admit = asked;
  admit.plan = loaded(asked.plan);
  admit.args = loaded(asked.args);
  later(5 * kNsPerMs, [this, admit = std::move(admit)] {
    Result<PhysicalPlanPtr> plan = admitted(admit, *plan_->catalog);
    if (!plan) return deliver(PlanRefused{admit.task, plan.error()});
    deliver(PlanAdmitted{admit.task, *plan});
  });
}

Result<PhysicalPlanPtr> adopt_sim_plan(const AdmitPlan& admit, const Value& recorded) {
  ParsedPlan parsed = parse_plan_value(admit.plan, "produced");
  if (!parsed.plan) return fail(ErrorCode::kJournalDamaged, "a produced plan that cannot be read");
  return decode_physical(recorded, parsed.plan);
}

Result<PhysicalPlanPtr> SimHost::adopt(const AdmitPlan& admit, const Value& recorded) {
  return adopt_sim_plan(admit, recorded);
}

void SimHost::begin_wait(const BeginWait& wait) {
  if (!life_.chance()) return;
  const Value spec = loaded(wait.spec);
  WaitBegan began;
  began.call = wait.call;
  began.signal = text_of(spec.find("signal"));
  began.of = text_of(spec.find("of"));
  began.ask = text_of(spec.find("ask"));
  if (const Value* value = spec.find("value")) {
    began.has_value = true;
    began.value = *value;
  }
  if (const Value* time = spec.find("for")) {
    Result<std::int64_t> ms = parse_wait_for(*time);
    if (ms) {
      began.until_wall_ns = wall_now() + *ms * kNsPerMs;
    } else {
      began.error = ms.error();
    }
  }
  if (const Value* until = spec.find("until")) {
    Result<WallNs> at = parse_wait_until(*until);
    if (at) {
      began.until_wall_ns = *at;
    } else {
      began.error = at.error();
    }
  }
  later(kNsPerMs, [this, began = std::move(began)] { deliver(began); });
}

}  // namespace sluice
