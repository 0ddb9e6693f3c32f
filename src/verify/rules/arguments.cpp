// ARG_MISSING, ARG_UNKNOWN, TYPE_MISMATCH: `with` against what the callee takes.
#include <charconv>

#include "fmt/format.h"
#include "plan/model_spec.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {
namespace {

class Arguments {
 public:
  Arguments(const PlanFacts& facts, std::uint32_t index, Diagnostics& out)
      : facts_(facts), step_(facts.plan.steps[index]), place_(facts.body_place(index)), out_(out) {}

  void against(const Schema& input, std::string_view callee) {
    if (step_.with.broken) return;
    std::size_t before = out_.all().size();
    const Type& type = input.type();
    for (const std::string& name : type.property_names()) {
      if (!type.requires_property(name) || step_.with.find(name)) continue;
      out_.error(ErrorCode::kArgMissing, step_.op_pos, fmt::format("{} needs {}", callee, name));
    }
    for (const auto& [name, value] : step_.with.members) argument(type, name, value, callee);
    if (out_.all().size() == before) constants(input);
  }

  void params(const Plan& sub_plan) {
    std::vector<std::string_view> names;
    for (const ParamSpec& param : sub_plan.params) {
      names.push_back(param.id);
      if (param.has_default || step_.with.find(param.id)) continue;
      out_.error(ErrorCode::kArgMissing, step_.op_pos,
                 fmt::format("plan {} needs parameter {}", step_.target, param.id));
    }
    for (const auto& [name, value] : step_.with.members) {
      const ParamSpec* param = sub_plan.find_param(name);
      if (!param) {
        out_.error(ErrorCode::kArgUnknown, place_of_key(value),
                   fmt::format("plan {} has no parameter {}{}", step_.target, shown(name),
                               did_you_mean(name, names)));
      } else if (param->schema && misfits(value, param->schema->type(), name)) {
        continue;
      } else if (auto constant = value.as_constant(); constant && param->schema) {
        auto violations = param->schema->validate(*constant);
        if (!violations.empty()) report(value, fmt::format("{} {}", name, describe(violations)));
      }
    }
  }

  void messages_or_prompt() {
    if (step_.with.broken) return;
    const Binding* messages = step_.with.find("messages");
    const Binding* prompt = step_.with.find("prompt");
    if (!messages && !prompt) {
      out_.error(ErrorCode::kArgMissing, step_.op_pos, "llm needs messages or prompt");
    }
    if (messages && prompt) {
      out_.error(ErrorCode::kArgUnknown, place_of_key(*prompt),
                 "llm takes messages or prompt, not both");
    }
  }

 private:
  static SourcePos place_of_key(const Binding& value) {
    return value.key_pos.known() ? value.key_pos : value.pos;
  }
  void report(const Binding& value, std::string message) {
    out_.error(ErrorCode::kTypeMismatch, value.pos, std::move(message));
  }

  void argument(const Type& input, const std::string& name, const Binding& value,
                std::string_view callee) {
    std::optional<Type> wanted = input.property(name);
    if (!wanted) {
      auto names = input.property_names();
      std::string hint = did_you_mean(name, names);
      if (hint.empty() && !names.empty()) hint = fmt::format("; it has {}", fmt::join(names, ", "));
      out_.error(ErrorCode::kArgUnknown, place_of_key(value),
                 fmt::format("{} has no argument {}{}", callee, shown(name), hint));
      return;
    }
    misfits(value, *wanted, name);
  }

  // Reports the innermost misfit. A constant is left to the schema, which says more.
  bool misfits(const Binding& value, const Type& wanted, std::string_view name) {
    if (value.broken) return false;
    if (value.kind == Binding::Kind::kList && wanted.can_be(Type::kArray)) {
      bool any = false;
      for (const Binding& item : value.items) any = misfits(item, wanted.element(), name) || any;
      return any;
    }
    if (value.kind == Binding::Kind::kMap && wanted.can_be(Type::kObject)) {
      bool any = false;
      for (const auto& [key, member] : value.members) {
        auto property = wanted.property(key);
        if (property) any = misfits(member, *property, key) || any;
      }
      if (any) return true;
    }
    if (value.as_constant()) return false;
    std::string why;
    if (!certainly_misfits(facts_.type_of(value, place_, &step_), wanted, &why)) return false;
    report(value, fmt::format("{} can never fit: {}", name, why));
    return true;
  }

  // The arguments that are constant, checked with the whole schema.
  void constants(const Schema& input) {
    std::vector<Value::Member> known;
    for (const auto& [name, value] : step_.with.members) {
      if (auto constant = value.as_constant()) known.emplace_back(name, *constant);
    }
    for (const SchemaViolation& violation : input.validate(Value::object(std::move(known)))) {
      if (violation.instance_pointer.empty()) continue;  // about arguments that are no constants
      const Binding* place = &step_.with;
      SourcePos pos = step_.op_pos;
      std::string_view pointer = violation.instance_pointer;
      while (place && pointer.starts_with('/')) {
        pointer.remove_prefix(1);
        std::string_view key = pointer.substr(0, pointer.find('/'));
        pointer.remove_prefix(key.size());
        std::size_t number = 0;
        std::from_chars(key.data(), key.data() + key.size(), number);
        bool item = place->kind == Binding::Kind::kList && number < place->items.size();
        place = item ? &place->items[number] : place->find(key);
        if (place) pos = place->pos;
      }
      out_.error(ErrorCode::kTypeMismatch, pos,
                 fmt::format("{} {}", violation.instance_pointer.substr(1), violation.message));
    }
  }

  const PlanFacts& facts_;
  const Step& step_;
  Place place_;
  Diagnostics& out_;
};

}  // namespace

void rule_arguments(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (std::uint32_t i = 0; i < context.plan.steps.size(); ++i) {
    const Step& step = context.plan.steps[i];
    Arguments arguments(facts, i, out);
    if (step.op == OperatorKind::kLlm) {
      arguments.messages_or_prompt();
      arguments.against(*llm_function().input, "llm");
    } else if (step.op == OperatorKind::kTool) {
      const FunctionSpec* spec = facts.function_of(step);
      if (spec && spec->input) {
        arguments.against(*spec->input, fmt::format("{}.{}", step.target, spec->name));
      }
    } else if (step.op == OperatorKind::kPlan && !step.produced_plan) {
      const PlanPtr* sub_plan = context.plan.find_plan(step.target);
      if (sub_plan && *sub_plan) arguments.params(**sub_plan);
    }
  }
}

}  // namespace sluice
