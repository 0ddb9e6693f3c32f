#include "optimize/joint_schema.h"

#include <optional>
#include <string_view>
#include <utility>

#include "fmt/format.h"

namespace sluice {
namespace {

constexpr std::string_view kDefinitions = "#/$defs/";
constexpr int kDeepest = 512;

// The schema with its references to definitions as they are called in the object. nullopt: it
// refers to something else, or has an address of its own.
class Moved {
 public:
  explicit Moved(std::string_view prefix) : prefix_(prefix) {}

  std::optional<Value> of(const Value& schema, int depth = 0) const {
    if (depth > kDeepest) return std::nullopt;
    if (schema.is_array()) {
      std::vector<Value> items;
      for (const Value& item : schema.items()) {
        auto moved = of(item, depth + 1);
        if (!moved) return std::nullopt;
        items.push_back(*std::move(moved));
      }
      return Value::array(std::move(items));
    }
    if (!schema.is_object()) return schema;
    std::vector<Value::Member> members;
    for (const auto& [key, member] : schema.members()) {
      if (depth == 0 && key == "$defs") continue;
      if (key == "$id" || key == "$anchor" || key == "$schema") return std::nullopt;
      auto moved = key == "$ref" ? reference(member) : of(member, depth + 1);
      if (!moved) return std::nullopt;
      members.emplace_back(key, *std::move(moved));
    }
    return Value::object(std::move(members));
  }

  std::string name(std::string_view definition) const {
    return fmt::format("{}_{}", prefix_, definition);
  }

 private:
  std::optional<Value> reference(const Value& to) const {
    if (!to.is_string() || !to.as_string().starts_with(kDefinitions)) return std::nullopt;
    return Value::string(
        fmt::format("{}{}", kDefinitions, name(to.as_string().substr(kDefinitions.size()))));
  }

  std::string_view prefix_;
};

Value text_schema(std::uint64_t longest) {
  std::vector<Value::Member> members{{"type", Value::string("string")}};
  if (longest > 0) {
    members.emplace_back("maxLength", Value::integer(static_cast<std::int64_t>(longest)));
  }
  return Value::object(std::move(members));
}

}  // namespace

std::expected<SchemaPtr, std::string> joint_schema(const std::vector<JointField>& fields) {
  std::vector<Value::Member> properties;
  std::vector<Value::Member> definitions;
  std::vector<Value> required;
  for (const JointField& field : fields) {
    required.push_back(Value::string(field.name));
    if (!field.schema) {
      properties.emplace_back(field.name, text_schema(field.longest));
      continue;
    }
    const Moved moved(field.name);
    const Value& source = field.schema->source();
    auto own = moved.of(source);
    if (!own) {
      return std::unexpected(
          fmt::format("the output schema of {} refers to more than its $defs", field.name));
    }
    properties.emplace_back(field.name, *std::move(own));
    const Value* defined = source.find("$defs");
    if (!defined || !defined->is_object()) continue;
    for (const auto& [name, schema] : defined->members()) {
      auto definition = moved.of(schema, 1);
      if (!definition) {
        return std::unexpected(
            fmt::format("the output schema of {} refers to more than its $defs", field.name));
      }
      definitions.emplace_back(moved.name(name), *std::move(definition));
    }
  }
  std::vector<Value::Member> members{
      {"type", Value::string("object")},
      {"required", Value::array(std::move(required))},
      {"additionalProperties", Value::boolean(false)},
      {"properties", Value::object(std::move(properties))},
  };
  if (!definitions.empty()) {
    members.emplace_back("$defs", Value::object(std::move(definitions)));
  }
  SchemaCompilation compiled = Schema::compile(Value::object(std::move(members)));
  if (compiled.schema) return std::move(compiled.schema);
  return std::unexpected(compiled.problems.empty() ? "the answers have no common schema"
                                                   : compiled.problems.front().message);
}

}  // namespace sluice
