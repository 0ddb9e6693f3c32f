#include "data/schema.h"

#include "base/ensure.h"
#include "data/json.h"
#include "data/schema/compiler.h"
#include "data/schema/evaluation.h"

namespace sluice {
namespace {

using json_schema::Compiler;
using json_schema::Evaluation;
using json_schema::Graph;

class CompiledSchema final : public Schema {
 public:
  CompiledSchema(Graph graph, Value source, std::vector<std::string> not_in_grammar)
      : graph_(std::move(graph)),
        source_(std::move(source)),
        type_(json_schema::TypeBuilder(graph_).of_node(0)),
        not_in_grammar_(std::move(not_in_grammar)) {}

  std::vector<SchemaViolation> validate(const Value& value,
                                        std::size_t max_violations) const override {
    // Most values are valid, and finding that out needs no bookkeeping.
    if (valid(value)) return {};
    Evaluation evaluation(graph_, std::max<std::size_t>(max_violations, 1));
    evaluation.run(value);
    return evaluation.take_violations();
  }
  bool valid(const Value& value) const override { return Evaluation(graph_, 0).run(value); }
  const Type& type() const override { return type_; }
  const Value& source() const override { return source_; }
  Value with_defaults(const Value& object) const override;
  std::span<const std::string> not_in_grammar() const override { return not_in_grammar_; }

 private:
  Graph graph_;
  Value source_;
  Type type_;
  std::vector<std::string> not_in_grammar_;
};

Value CompiledSchema::with_defaults(const Value& object) const {
  const Value* properties = source_.find("properties");
  if (!object.is_object() || properties == nullptr || !properties->is_object()) return object;
  std::vector<Value::Member> missing;
  for (const auto& [name, schema] : properties->members()) {
    const Value* value = schema.find("default");
    if (value != nullptr && object.find(name) == nullptr) missing.emplace_back(name, *value);
  }
  if (missing.empty()) return object;
  std::vector<Value::Member> members(object.members().begin(), object.members().end());
  for (auto& member : missing) members.push_back(std::move(member));
  Value result = Value::object(std::move(members));
  // Labels that only came from members come again from them.
  Labels labels = object.labels();
  if (object.secret_only_inside()) labels.secret = false;
  return result.with_labels(labels);
}

}  // namespace

SchemaCompilation Schema::compile(const Value& schema, const SchemaOptions& options) {
  Compiler compiler(options);
  compiler.compile(schema);
  Value source = compiler.self_contained();
  std::vector<std::string> not_in_grammar = compiler.not_in_grammar();
  SchemaCompilation result;
  result.problems = compiler.take_problems();
  if (compiler.strict() && !result.problems.empty()) return result;
  result.schema = std::make_shared<const CompiledSchema>(compiler.take_graph(), std::move(source),
                                                         std::move(not_in_grammar));
  return result;
}

SchemaPtr Schema::literal(std::string_view json) {
  auto value = parse_json(json);
  SLUICE_ENSURE(value.has_value(), value.error().message());
  auto compiled = compile(*value);
  SLUICE_ENSURE(compiled.problems.empty(),
                compiled.problems[0].pointer + ": " + compiled.problems[0].message);
  return compiled.schema;
}

std::string describe(std::span<const SchemaViolation> violations) {
  std::string text;
  for (const auto& violation : violations) {
    if (!text.empty()) text += "; ";
    if (!violation.instance_pointer.empty()) text += "at " + violation.instance_pointer + ": ";
    text += violation.message;
  }
  return text;
}

}  // namespace sluice
