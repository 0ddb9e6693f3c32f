#include "plan/related_call.h"

#include <array>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {
namespace {

Type call_type() {
  Type text = Type::of(Type::kString);
  return Type::object_of(
      {{"tool", text}, {"function", text}, {"args", Type::any()}, {"task", text}},
      {"tool", "function", "args", "task"}, true);
}

class HelperArguments {
 public:
  HelperArguments(const Value& call, const Value& key, const Value& output)
      : call_(call), key_(key), output_(output) {}

  Result<Value> bind(const Value& written) {
    if (written.is_string()) return text(written.as_string());
    if (written.is_array()) {
      std::vector<Value> items;
      items.reserve(written.items().size());
      for (const Value& item : written.items()) {
        Result<Value> bound = bind(item);
        if (!bound) return bound;
        items.push_back(*std::move(bound));
      }
      return Value::array(std::move(items));
    }
    if (!written.is_object()) return written;
    std::vector<Value::Member> members;
    members.reserve(written.members().size());
    for (const auto& [name, member] : written.members()) {
      Result<Value> bound = bind(member);
      if (!bound) return bound;
      members.emplace_back(name, *std::move(bound));
    }
    return Value::object(std::move(members));
  }

 private:
  Result<Value> text(std::string_view written) {
    auto compiled = Expr::compile(written, names_);
    if (!compiled) {
      return fail(compiled.error().front().code,
                  fmt::format("in \"{}\": {}", shown(written), compiled.error().front().message));
    }
    std::vector<Value> inputs;
    for (const ExprInput& input : compiled->inputs()) {
      inputs.push_back(input.root == "call" ? call_ : input.root == "key" ? key_ : output_);
    }
    return compiled->evaluate(inputs, context_);
  }

  const Value& call_;
  const Value& key_;
  const Value& output_;
  NameResolver names_ = helper_call_names();
  EvalContext context_;
};

}  // namespace

NameResolver helper_call_names() {
  return [](std::string_view root, std::span<const std::string>, bool) {
    static constexpr std::array<std::string_view, 3> kNames = {"call", "key", "output"};
    NameClaim claim;
    if (root == "call") {
      claim.type = call_type();
    } else if (root == "key") {
      claim.type = Type::of(Type::kString);
    } else if (root != "output") {
      claim.error = ErrorCode::kExprName;
      claim.message = fmt::format("no name {}; here are {}", shown(root), fmt::join(kNames, ", "));
    }
    return claim;
  };
}

Result<HelperCall> bind_helper_call(const Value& setting, const Value& call, const Value& key,
                                    const Value& output) {
  const Value* target = setting.find("tool");
  if (!target || !target->is_string()) {
    return fail(ErrorCode::kSettingInvalid, "a probe or an undo names no tool");
  }
  auto [tool, function] = split_function(target->as_string());
  HelperCall helper{std::string(tool), std::string(function), Value::object({})};
  const Value* with = setting.find("with");
  if (!with) return helper;
  if (!with->is_object()) {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("the with of a probe or an undo is a map, not {}",
                            kind_with_article(with->kind())));
  }
  Result<Value> args = HelperArguments(call, key, output).bind(*with);
  if (!args) return std::unexpected(args.error());
  helper.args = *std::move(args);
  return helper;
}

}  // namespace sluice
