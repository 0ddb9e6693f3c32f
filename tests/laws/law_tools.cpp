#include "tests/laws/law_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "base/random.h"
#include "data/json.h"
#include "simulate/sim_tools.h"
#include "tools/table_query/run_table_query.h"

namespace sluice::laws {
namespace {

constexpr std::string_view kTool = "t";

constexpr auto kFunctions = std::to_array<LawFunction>({
    {"calc", Effect::kPure, LawDeed::kNumber, false},
    {"tally", Effect::kPure, LawDeed::kNumber, false},
    {"test", Effect::kPure, LawDeed::kRefuse, false},
    {"flaky", Effect::kPure, LawDeed::kFlaky, false},
    {"flag", Effect::kPure, LawDeed::kFlag, false},
    {"row", Effect::kPure, LawDeed::kRow, false},
    {"rows", Effect::kPure, LawDeed::kRows, false},
    {"list", Effect::kPure, LawDeed::kNumbers, false},
    {"make_plan", Effect::kPure, LawDeed::kPlan, false},
    {"get", Effect::kRead, LawDeed::kNumber, false},
    {"ask", Effect::kRead, LawDeed::kFlag, false},
    {"feed", Effect::kRead, LawDeed::kRows, true},
    {"put", Effect::kIdempotent, LawDeed::kNumber, false},
    {"pay", Effect::kOnce, LawDeed::kNumber, false},
    {"charge", Effect::kOnce, LawDeed::kRefuse, false},
});

constexpr std::string_view kFlags[] = {"low", "mid", "high"};
constexpr std::string_view kTags[] = {"a", "b", "c"};

SchemaPtr number_schema() {
  static const SchemaPtr schema = Schema::literal(R"({"type": "integer"})");
  return schema;
}
SchemaPtr flag_schema() {
  static const SchemaPtr schema =
      Schema::literal(R"({"type": "string", "enum": ["low", "mid", "high"]})");
  return schema;
}
SchemaPtr numbers_schema() {
  static const SchemaPtr schema =
      Schema::literal(R"({"type": "array", "items": {"type": "integer"}})");
  return schema;
}
// `m` is not stated: some rows lack it, in some it is a text.
SchemaPtr row_schema() {
  static const SchemaPtr schema = Schema::literal(
      R"({"type": "object", "properties": {"n": {"type": "integer"}, "tag": {"type": "string"}}})");
  return schema;
}
SchemaPtr rows_schema() {
  static const SchemaPtr schema = Schema::literal(
      R"({"type": "array", "items": {"type": "object", "properties":
          {"n": {"type": "integer"}, "tag": {"type": "string"}}}})");
  return schema;
}

SchemaPtr schema_of(const LawFunction& function) {
  switch (function.deed) {
    case LawDeed::kNumber:
    case LawDeed::kRefuse:
    case LawDeed::kFlaky:
      return number_schema();
    case LawDeed::kFlag:
      return flag_schema();
    case LawDeed::kRow:
      return row_schema();
    case LawDeed::kRows:
      return function.streams ? row_schema() : rows_schema();
    case LawDeed::kNumbers:
      return numbers_schema();
    case LawDeed::kPlan:
      break;
  }
  return nullptr;
}

const std::vector<DiscoveredTool>& discovered() {
  static const std::vector<DiscoveredTool> tools = [] {
    DiscoveredTool tool{std::string(kTool), {}};
    for (const LawFunction& function : kFunctions) {
      FunctionSpec spec;
      spec.name = function.name;
      spec.effect = function.effect;
      spec.streams = function.streams;
      spec.output = schema_of(function);
      // Also of functions with effects, which no plan could say: it is for the pass to know.
      const bool bulk = function.deed == LawDeed::kNumber || function.deed == LawDeed::kRefuse ||
                        function.deed == LawDeed::kFlaky || function.deed == LawDeed::kFlag;
      if (bulk && !function.streams && function.name != "tally") spec.bulk = 3;
      tool.functions.push_back(std::move(spec));
    }
    return std::vector<DiscoveredTool>{std::move(tool)};
  }();
  return tools;
}

// A number that follows from what a call is about.
class Fate {
 public:
  explicit Fate(std::string about) : about_(std::move(about)) {}
  // Of a part of the answer.
  Fate of(const std::string& part) const { return Fate(about_ + "\n" + part); }
  std::uint64_t below(std::uint64_t bound, std::uint64_t salt) const {
    return Random(text_number(about_, salt)).below(bound);
  }
  Value number(std::uint64_t salt = 1) const {
    return Value::integer(static_cast<std::int64_t>(below(10, salt)));
  }
  template <std::size_t N>
  Value one_of(const std::string_view (&texts)[N], std::uint64_t salt = 2) const {
    return Value::string(texts[below(N, salt)]);
  }

 private:
  std::string about_;
};

Value row_of(const Fate& fate, std::uint64_t salt) {
  std::vector<Value::Member> members = {{"n", fate.number(salt + 100)},
                                        {"tag", fate.one_of(kTags, salt + 200)}};
  const std::uint64_t odd = fate.below(8, salt + 300);
  if (odd > 1) members.emplace_back("m", fate.number(salt + 400));
  if (odd == 1) members.emplace_back("m", Value::string("none"));
  return Value::object(std::move(members));
}

// About a third of them equal to an earlier one.
Value list_of(const Fate& fate, const Value& args, bool rows) {
  const Value* wanted = args.find("n");
  const std::int64_t count = wanted != nullptr && wanted->is_int() ? wanted->as_int() : 3;
  std::vector<Value> items;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(count, 20); ++i) {
    const auto salt = static_cast<std::uint64_t>(i) * 1000;
    if (i > 0 && fate.below(3, salt + 3) == 0) {
      items.push_back(items[fate.below(items.size(), salt + 4)]);
    } else {
      items.push_back(rows ? row_of(fate, salt) : fate.number(salt + 5));
    }
  }
  return Value::array(std::move(items));
}

Value plan_of(const Fate& fate) {
  static const Value plans[] = {
      *parse_json(R"({"sluice": 1, "params": {"x": {"type": "integer"}}, "steps": {
          "a": {"tool": "t.calc", "with": {"x": "{{ params.x }}"}},
          "b": {"tool": "t.calc", "with": {"x": "{{ params.x }}"}},
          "dead": {"tool": "t.calc", "with": {"x": 77}},
          "c": {"value": "{{ steps.a.output + steps.b.output }}"}},
          "result": "{{ steps.c.output }}"})"),
      *parse_json(R"({"sluice": 1, "params": {"x": {"type": "integer"}}, "steps": {
          "a": {"tool": "t.pay", "with": {"x": "{{ params.x }}"}}},
          "result": "{{ steps.a.output }}"})")};
  return plans[fate.below(std::size(plans), 6)];
}

Result<Value> function_answer(const LawFunction& function, const Fate& fate,
                              const StartCall& start) {
  switch (function.deed) {
    case LawDeed::kRefuse:
      if (fate.below(5, 7) == 0) {
        return fail(ErrorCode::kToolOutput, "it does not like the arguments");
      }
      return fate.number();
    case LawDeed::kFlaky:
      if (start.call.attempt == 1 && fate.below(3, 8) == 0) {
        return fail(ErrorCode::kToolFailed, "busy, try again");
      }
      return fate.number();
    case LawDeed::kNumber:
      return fate.number();
    case LawDeed::kFlag:
      return fate.one_of(kFlags);
    case LawDeed::kRow:
      return row_of(fate, 0);
    case LawDeed::kRows:
      return list_of(fate, start.args, true);
    case LawDeed::kNumbers:
      return list_of(fate, start.args, false);
    case LawDeed::kPlan:
      return plan_of(fate);
  }
  return Value();
}

// A text, or what the schema of the output asks for.
Value model_answer(const Fate& fate, const Value* schema) {
  if (schema == nullptr) return Value::string(fmt::format("answer {}", fate.below(10, 9)));
  if (const Value* choices = schema->find("enum")) {
    return choices->items()[fate.below(choices->items().size(), 10)];
  }
  if (const Value* properties = schema->find("properties")) {
    std::vector<Value::Member> members;
    for (const auto& [name, member] : properties->members()) {
      members.emplace_back(name, model_answer(fate.of(name), &member));
    }
    return Value::object(std::move(members));
  }
  const Value* type = schema->find("type");
  if (type != nullptr && *type == Value::string("integer")) return fate.number();
  return Value::string(fmt::format("answer {}", fate.below(10, 9)));
}

}  // namespace

const LawFunction* find_law_function(std::string_view name) {
  auto found = std::ranges::find(kFunctions, name, &LawFunction::name);
  return found == kFunctions.end() ? nullptr : &*found;
}

std::unique_ptr<ToolCatalog> law_catalog(const Plan& plan) {
  return catalog_of(plan, discovered());
}

const LawFunction* law_function_of(const StartCall& start) {
  if (start.step->logical.op != OperatorKind::kTool) return nullptr;
  return find_law_function(start.step->logical.function);
}

std::string what_is_called(const StartCall& start) {
  const Step& step = start.step->logical;
  if (step.op == OperatorKind::kTool) return fmt::format("{}.{}", step.target, step.function);
  if (step.op == OperatorKind::kLlm) return "llm " + step.target;
  return std::string(operator_name(step.op));
}

Result<Value> answer_of(const StartCall& start) {
  const Step& step = start.step->logical;
  if (step.table != nullptr) {
    static const std::atomic<bool> kGoOn{false};
    return run_table_query(*step.table, start.args, {.stop = kGoOn});
  }
  std::string about = what_is_called(start) + "\n" + canonical_json(start.args);
  if (start.step->effect == Effect::kRead) about += "\n" + start.task_id;
  if (step.op == OperatorKind::kCode) about += "\n" + step.target;
  if (step.output) about += "\n" + canonical_json(step.output->source());
  const Fate fate(std::move(about));
  if (const LawFunction* function = law_function_of(start)) {
    return function_answer(*function, fate, start);
  }
  if (step.op == OperatorKind::kLlm) {
    return model_answer(fate, step.output ? &step.output->source() : nullptr);
  }
  return fate.number();
}

}  // namespace sluice::laws
