#include "plan/parse.h"
#include "tests/laws/law.h"
#include "tests/laws/law_tools.h"
#include "tests/laws/random_typed_plan.h"
#include "verify/verify.h"

namespace sluice::laws {
namespace {

// Some parameters are nobody's business, or come from outside.
Value labelled(const Value& params, std::uint64_t seed) {
  if (seed % 5 > 1) return params;
  const Labels labels{.secret = seed % 5 == 0, .untrusted = seed % 5 == 1};
  std::vector<Value::Member> members;
  for (const auto& [key, value] : params.members()) {
    const bool chosen = key == (seed % 2 == 0 ? "tag" : "n1");
    members.emplace_back(key, chosen ? value.with_labels(labels) : value);
  }
  return Value::object(std::move(members));
}

}  // namespace

std::optional<LawCase> law_case(PlanPtr plan, const Value& given, std::uint64_t seed) {
  std::shared_ptr<const ToolCatalog> tools = law_catalog(*plan);
  Diagnostics findings;
  verify_plan({.plan = *plan, .tools = *tools}, findings);
  Value params = bind_params(*plan, given, findings);
  if (findings.has_errors()) return std::nullopt;
  return LawCase{seed, std::move(plan), std::move(tools), labelled(params, seed)};
}

std::optional<LawCase> random_case(std::uint64_t seed, std::string* why) {
  const RandomPlan random = random_typed_plan(seed);
  ParsedPlan parsed = parse_plan(random.text, "plan");
  if (parsed.plan && !parsed.diagnostics.has_errors()) {
    if (auto made = law_case(parsed.plan, random.params, seed)) return made;
    auto tools = law_catalog(*parsed.plan);
    verify_plan({.plan = *parsed.plan, .tools = *tools}, parsed.diagnostics);
  }
  if (why == nullptr) return std::nullopt;
  *why = random.text;
  for (const Diagnostic& finding : parsed.diagnostics.all()) {
    if (finding.severity == Severity::kError) *why += format_diagnostic(finding, {"plan"}) + "\n";
  }
  return std::nullopt;
}

}  // namespace sluice::laws
