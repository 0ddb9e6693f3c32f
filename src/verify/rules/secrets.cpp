// SECRET_EXPOSED: secrets stand in settings, and there as references only.
#include <algorithm>

#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

bool variable_name(std::string_view text) {
  return text.size() > 2 && std::ranges::all_of(text, [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

// {env: API_KEY} in a value of a step: data, but hardly meant as such.
void look_for_references(const Binding& tree, Diagnostics& out) {
  if (tree.kind == Binding::Kind::kMap && tree.members.size() == 1 &&
      tree.members[0].first == "env") {
    auto name = tree.members[0].second.as_constant();
    if (name && name->is_string() && variable_name(name->as_string())) {
      out.warning(ErrorCode::kSecretExposed, tree.pos,
                  fmt::format("{{env: {}}} is a secret only in the settings of a tool or model; "
                              "here it is plain data",
                              name->as_string()));
    }
  }
  for (const Binding& item : tree.items) look_for_references(item, out);
  for (const auto& [key, member] : tree.members) look_for_references(member, out);
}

}  // namespace

void rule_secrets(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  for (const NamedSettings& model : context.plan.models) {
    const Value* key = model.settings.find("key");
    if (model.inherited || !key || !key->is_string() || key->as_string().empty()) continue;
    auto pos = model.positions.find("/key");
    out.error(ErrorCode::kSecretExposed, pos == model.positions.end() ? model.pos : pos->second,
              "a key stands in the plan; write key: {env: NAME} or key: {file: PATH}");
  }
  for (const Step& step : context.plan.steps) {
    for_each_binding(step, [&](const Binding& tree, EdgeUse) { look_for_references(tree, out); });
  }
  look_for_references(context.plan.result, out);
}

}  // namespace sluice
