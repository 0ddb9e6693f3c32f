// SETTING_INVALID (and SCHEMA_* in settings): the settings of tools and models have the form that
// their kind wants. Secrets ({env: N}, {file: P}) count as strings.
#include <array>

#include "data/expr.h"
#include "fmt/format.h"
#include "plan/model_spec.h"
#include "plan/names.h"
#include "plan/related_call.h"
#include "verify/rules.h"

namespace sluice {
namespace {

bool secret_reference(const Value& value) {
  if (!value.is_object() || value.members().size() != 1) return false;
  const auto& [key, name] = value.members()[0];
  return (key == "env" || key == "file") && name.is_string();
}

// Settings with every secret replaced by some string; not within functions, probe and undo.
Value without_secrets(const Value& value, bool root) {
  if (!root && secret_reference(value)) return Value::string("https://secret");
  if (!value.is_object()) return value;
  std::vector<Value::Member> members;
  for (const auto& [key, member] : value.members()) {
    bool plain =
        key == "functions" || key == "probe" || key == "undo" || key == "input" || key == "output";
    // `env: {NAME: secret}` is a map of variables, not itself a secret.
    bool map = key == "env" || key == "headers" || key == "sampling";
    members.emplace_back(key, plain ? member : without_secrets(member, map));
  }
  return Value::object(std::move(members));
}

class SettingsCheck {
 public:
  SettingsCheck(const NamedSettings& named, const VerifyContext& context, Diagnostics& out)
      : named_(named), context_(context), out_(out) {}

  void form(const SchemaPtr& schema) {
    std::set<std::string, std::less<>> known = schema->type().property_names();
    std::vector<Value::Member> good;
    for (const auto& [key, value] : named_.settings.members()) {
      if (known.contains(key)) {
        good.emplace_back(key, value);
        continue;
      }
      std::string hint = did_you_mean(key, known);
      if (hint.empty()) hint = fmt::format("; a {} has {}", named_.kind, fmt::join(known, ", "));
      invalid("/" + escaped(key), fmt::format("no setting {}{}", shown(key), hint));
    }
    Value settings = without_secrets(Value::object(std::move(good)), true);
    for (const SchemaViolation& violation : schema->validate(settings)) {
      std::string where =
          violation.instance_pointer.empty() ? named_.id : violation.instance_pointer.substr(1);
      invalid(violation.instance_pointer, fmt::format("{} {}", where, violation.message));
    }
  }

  void literal(std::span<const std::string_view> keys) {
    for (std::string_view key : keys) {
      const Value* value = named_.settings.find(key);
      if (value) no_expression(*value, fmt::format("/{}", key));
    }
  }

  // One level of the keys that every tool and function takes.
  void common(const Value& settings, const std::string& pointer) {
    for (std::string_view key : {"input", "output"}) {
      const Value* schema = settings.find(key);
      if (schema) compile(*schema, fmt::format("{}/{}", pointer, key));
    }
    for (std::string_view key : {"probe", "undo"}) {
      const Value* call = settings.find(key);
      if (call) helper_call(*call, fmt::format("{}/{}", pointer, key));
    }
  }

  void functions() {
    const Value* functions = named_.settings.find("functions");
    if (!functions || !functions->is_object()) return;
    for (const auto& [name, settings] : functions->members()) {
      std::string pointer = "/functions/" + escaped(name);
      if (context_.tools.complete(named_.id) && !context_.tools.find(named_.id, name)) {
        std::vector<std::string_view> names = context_.tools.function_names(named_.id);
        out_.error(ErrorCode::kToolUnknown, position(pointer),
                   fmt::format("a {} tool has no function {}{}", named_.kind, shown(name),
                               did_you_mean(name, names)));
      }
      common(settings, pointer);
    }
  }

  void invalid(std::string_view pointer, std::string message) {
    out_.error(ErrorCode::kSettingInvalid, position(pointer), std::move(message));
  }

 private:
  static std::string escaped(std::string_view key) {
    std::string text;
    for (char c : key) text += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    return text;
  }

  SourcePos position(std::string_view pointer) const {
    while (!pointer.empty()) {
      auto found = named_.positions.find(pointer);
      if (found != named_.positions.end()) return found->second;
      pointer = pointer.substr(0, pointer.rfind('/'));
    }
    return named_.pos;
  }

  void no_expression(const Value& value, const std::string& pointer) {
    if (value.is_string() && value.as_string().find("{{") != std::string_view::npos) {
      invalid(pointer, "settings hold no expressions; pass what changes through with");
    }
    for (std::size_t i = 0; value.is_array() && i < value.items().size(); ++i) {
      no_expression(value.items()[i], fmt::format("{}/{}", pointer, i));
    }
    if (!value.is_object()) return;
    for (const auto& [key, member] : value.members()) {
      no_expression(member, pointer + "/" + escaped(key));
    }
  }

  void compile(const Value& schema, const std::string& pointer) {
    SchemaOptions options;
    options.resolve = [this](std::string_view uri) -> const Value* {
      for (const auto& [id, known] : context_.plan.schemas) {
        if (uri == "#/schemas/" + id) return &known;
      }
      return nullptr;
    };
    for (const SchemaProblem& problem : Schema::compile(schema, options).problems) {
      out_.error(problem.code, position(pointer + problem.pointer), problem.message);
    }
  }

  // probe and undo: another call, whose arguments read call, key and output.
  void helper_call(const Value& call, const std::string& pointer) {
    const Value* target = call.find("tool");
    if (target && target->is_string()) {
      std::string_view text = target->as_string();
      std::string_view tool = text.substr(0, text.find('.'));
      std::string_view function =
          tool.size() < text.size() ? text.substr(tool.size() + 1) : std::string_view();
      bool known = context_.plan.find_tool(tool) != nullptr &&
                   (context_.tools.find(tool, function) || !context_.tools.complete(tool));
      if (!known) {
        out_.error(ErrorCode::kToolUnknown, position(pointer + "/tool"),
                   fmt::format("no tool {}", shown(text)));
      }
    }
    if (const Value* with = call.find("with")) expressions(*with, pointer + "/with");
  }

  void expressions(const Value& value, const std::string& pointer) {
    if (value.is_string()) {
      auto compiled = Expr::compile(value.as_string(), helper_call_names());
      if (compiled) {
        for (const ExprError& error : compiled->type_errors()) {
          out_.error(ErrorCode::kTypeMismatch, position(pointer), error.message);
        }
        return;
      }
      for (const ExprError& error : compiled.error()) {
        out_.error(error.code, position(pointer), error.message);
      }
    }
    for (std::size_t i = 0; value.is_array() && i < value.items().size(); ++i) {
      expressions(value.items()[i], fmt::format("{}/{}", pointer, i));
    }
    if (!value.is_object()) return;
    for (const auto& [key, member] : value.members()) {
      expressions(member, pointer + "/" + escaped(key));
    }
  }

  const NamedSettings& named_;
  const VerifyContext& context_;
  Diagnostics& out_;
};

template <class Kinds>
void unknown_kind(const NamedSettings& named, const Kinds& kinds, Diagnostics& out) {
  if (named.kind.empty()) return;  // reported as a missing key
  std::vector<std::string_view> names;
  for (const auto& kind : kinds) names.push_back(kind.name);
  out.error(ErrorCode::kSettingInvalid, named.kind_pos,
            fmt::format("no kind {}; there are {}", shown(named.kind), fmt::join(names, ", ")));
}

}  // namespace

void rule_settings(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  static constexpr std::array<std::string_view, 8> kLiteral = {
      "url", "command", "cwd", "root", "database", "file", "headers", "env"};
  for (const NamedSettings& tool : context.plan.tools) {
    if (tool.inherited) continue;  // checked where it is written
    const ToolKind* kind = find_tool_kind(tool.kind);
    if (!kind) {
      unknown_kind(tool, tool_kinds(), out);
      continue;
    }
    SettingsCheck check(tool, context, out);
    check.form(kind->settings);
    check.literal(kLiteral);
    check.common(tool.settings, "");
    check.functions();
    if (tool.kind == "python" && !tool.settings.find("file") && !tool.settings.find("code")) {
      check.invalid("", fmt::format("{} needs file or code", tool.id));
    }
  }
  for (const NamedSettings& model : context.plan.models) {
    if (model.inherited) continue;
    const ModelKind* kind = find_model_kind(model.kind);
    if (!kind) {
      unknown_kind(model, model_kinds(), out);
      continue;
    }
    SettingsCheck check(model, context, out);
    check.form(kind->settings);
    check.literal(kLiteral);
  }
}

}  // namespace sluice
