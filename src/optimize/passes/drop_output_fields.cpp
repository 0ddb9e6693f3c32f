// drop_output_fields: fields of a model's answer that nothing reads are not generated.
//
// A model step with an object for its `output` schema writes every field of it, token by token,
// also those that no other step and no result ever looks at. This pass looks at each reading of the
// step (`steps.S.output.field`, a slot of it, `item.field` where a for_each goes over it) and
// leaves the fields that none of them names out of the schema, and so out of what the model may
// write. The other fields keep their order and their constraints.
//
// Approximate, because what a model writes depends on what it wrote before: an answer may change
// when a field before it is gone. (What stands behind the last field that is read changes nothing
// for a greedy model.) So it runs only where the plan says `allow: [drop_output_fields]`, and
// `sluice batch` and `sluice quality` measure how often results stay the same.
//
// Refuses: free text before a field that is read, since a model may think in it ("reasoning" before
// "answer"); steps whose whole output is read anywhere, or that repeat until it is good; models
// with tools; schemas with conditions, alternatives or counts of properties.
//
// Example: with allow: [drop_output_fields]
//
//   ask:
//     llm: default
//     with: {messages: [{role: user, content: "{{ params.text }}"}]}
//     output:
//       type: object
//       required: [kind, why]
//       properties: {kind: {enum: [bug, wish]}, why: {type: string}}
//   result: "{{ steps.ask.output.kind }}"
//
//   generates `kind` alone:
//
//     output: {type: object, required: [kind], properties: {kind: {enum: [bug, wish]}}}
//
// Saves: the tokens of the fields, in every call. They are told where earlier runs have shown how
// long the answers are.
//
// Source: projection pushdown, as databases do it with columns that a query does not read.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cost/prompt_tokens.h"
#include "data/json.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

using Fields = std::set<std::string, std::less<>>;

// Stands for what is read in an expression's text.
constexpr std::string_view kMark = "sluice_field_owner";

// ---- what is read of an object

struct FieldReads {
  bool whole = false;  // all of it, or nobody can tell
  Fields fields;
};

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The field that the text behind the object names: `.name` or `["name"]`.
std::optional<std::string> field_behind(std::string_view text) {
  if (text.starts_with('.')) {
    const auto end = std::ranges::find_if_not(text.substr(1), letter_or_digit);
    return std::string(text.begin() + 1, end);
  }
  if (!text.starts_with("[\"")) return std::nullopt;
  std::size_t end = 2;
  while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  if (text.substr(std::min(end, text.size()), 2) != "\"]") return std::nullopt;
  auto name = parse_json(text.substr(1, end));
  if (!name || !name->is_string()) return std::nullopt;
  return std::string(name->as_string());
}

// `is_object`: whether an input of an expression is the object.
template <class IsObject>
void add_reads(const Binding& tree, IsObject is_object, FieldReads& into) {
  tree.for_each_expr([&](const Binding& leaf) {
    const auto inputs = leaf.expr.inputs();
    std::vector<std::optional<std::string>> marks(inputs.size());
    bool any = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!is_object(inputs[i])) continue;
      marks[i] = std::string(kMark);
      any = true;
    }
    if (!any || into.whole) return;
    const auto text = leaf.expr.to_string_with(marks);
    into.whole = !text || leaf.expr.to_string().find(kMark) != std::string::npos;
    if (into.whole) return;
    for (std::size_t at = text->find(kMark); at != text->npos; at = text->find(kMark, at)) {
      at += kMark.size();
      auto field = field_behind(std::string_view(*text).substr(at));
      into.whole = into.whole || !field;
      if (field) into.fields.insert(*std::move(field));
    }
  });
}

// ---- schemas

// The schema that a lone reference to its own definitions stands for.
Value resolved(const Value& source) {
  constexpr std::string_view kDefinitions = "#/$defs/";
  const Value* reference = source.find("$ref");
  const Value* definitions = source.find("$defs");
  if (reference == nullptr || !reference->is_string() || definitions == nullptr) return source;
  if (!reference->as_string().starts_with(kDefinitions)) return source;
  const Value* named = definitions->find(reference->as_string().substr(kDefinitions.size()));
  const bool alone = std::ranges::all_of(source.members(), [](const Value::Member& member) {
    return member.first == "$ref" || member.first == "$defs";
  });
  if (named == nullptr || !named->is_object() || named->find("$defs") != nullptr || !alone) {
    return source;
  }
  std::vector<Value::Member> members(named->members().begin(), named->members().end());
  members.emplace_back("$defs", *definitions);
  return Value::object(std::move(members));
}

// An object whose fields can be left out one by one.
bool plain_object(const Value& schema) {
  static constexpr std::array<std::string_view, 11> kHarmless = {
      "type",    "properties",  "required", "additionalProperties",
      "title",   "description", "$defs",    "definitions",
      "$schema", "$comment",    "examples"};
  const Value* type = schema.find("type");
  const Value* properties = schema.find("properties");
  if (type == nullptr || !type->is_string() || type->as_string() != "object") return false;
  if (properties == nullptr || !properties->is_object()) return false;
  return std::ranges::all_of(schema.members(), [](const Value::Member& member) {
    return std::ranges::find(kHarmless, member.first) != kHarmless.end();
  });
}

// A word or a number: nothing that a model could think in.
bool short_answer(const Value& field) {
  if (field.find("enum") != nullptr || field.find("const") != nullptr) return true;
  const Value* type = field.find("type");
  if (type == nullptr || !type->is_string()) return false;
  static constexpr std::array<std::string_view, 4> kShort = {"boolean", "integer", "number",
                                                             "null"};
  return std::ranges::find(kShort, type->as_string()) != kShort.end();
}

Value without_fields(const Value& schema, const Fields& gone) {
  std::vector<Value::Member> members;
  for (const auto& [key, value] : schema.members()) {
    if (key == "properties") {
      std::vector<Value::Member> kept;
      for (const Value::Member& field : value.members()) {
        if (!gone.contains(field.first)) kept.push_back(field);
      }
      members.emplace_back(key, Value::object(std::move(kept)));
    } else if (key == "required" && value.is_array()) {
      std::vector<Value> kept;
      for (const Value& name : value.items()) {
        if (!name.is_string() || !gone.contains(name.as_string())) kept.push_back(name);
      }
      members.emplace_back(key, Value::array(std::move(kept)));
    } else if (key != "examples") {
      members.emplace_back(key, value);
    }
  }
  return Value::object(std::move(members));
}

// ---- steps

class DropOutputFields {
 public:
  explicit DropOutputFields(LogicalPassContext& context)
      : context_(context), draft_(context.draft) {}

  void run() {
    for (std::uint32_t i = 0; i < draft_.steps().size(); ++i) {
      if (draft_.steps()[i].op == OperatorKind::kLlm && draft_.steps()[i].output) consider(i);
    }
  }

 private:
  void consider(std::uint32_t index) {
    const Step& step = draft_.steps()[index];
    const Value schema = resolved(step.output->source());
    const Value* properties = schema.find("properties");
    if (properties == nullptr || !properties->is_object() || properties->size() < 2) return;
    const FieldReads reads = reads_of(index);
    if (reads.whole || reads.fields.empty()) return;
    const bool all = std::ranges::all_of(properties->members(), [&](const Value::Member& field) {
      return reads.fields.contains(field.first);
    });
    if (all) return;
    if (auto why = obstacle(step, schema)) return refuse(step, *why);
    drop(index, schema, reads.fields);
  }

  static std::optional<std::string> obstacle(const Step& step, const Value& schema) {
    if (step.repeat) return "it repeats until its output is good";
    if (step.with.find("tools") != nullptr) return "its model may call tools";
    if (!plain_object(schema)) return "its schema says more than which fields there are";
    return std::nullopt;
  }

  FieldReads reads_of(std::uint32_t index) const {
    const std::string& id = draft_.steps()[index].id;
    const bool slots = draft_.slots(index);
    FieldReads reads;
    auto is_output = [&](const ExprInput& input) {
      return input.root == "steps" && input.path.size() >= 2 && input.path[0] == id &&
             input.path[1] == "output";
    };
    std::set<std::uint32_t> readers;
    for (const Reader& reader : draft_.readers(index)) {
      if (reader.read.mode == EdgeMode::kStatus || reader.read.mode == EdgeMode::kOrder) continue;
      const bool items = reader.read.exact_items && slots;
      const bool one = reader.read.mode == EdgeMode::kSlot;
      if (!items && one != slots) reads.whole = true;  // the list, or a part of a value
      if (reads.whole) return reads;
      if (items) add_item_reads(reader.step, reads);
      readers.insert(reader.step);
    }
    for (const std::uint32_t reader : readers) {
      if (reader == kNoIndex) {
        add_reads(draft_.plan().result, is_output, reads);
        continue;
      }
      for_each_binding(draft_.steps()[reader], [&](const Binding& tree, EdgeUse use) {
        if (use != EdgeUse::kItems) add_reads(tree, is_output, reads);
      });
    }
    return reads;
  }

  // Of what a for_each over the step's output calls `item`. Another step that stands in for such a
  // task sees it as well.
  void add_item_reads(std::uint32_t reader, FieldReads& reads) const {
    const Step& step = draft_.steps()[reader];
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) reads.whole = true;
    for_each_binding(step, [&](const Binding& tree, EdgeUse use) {
      if (use == EdgeUse::kItems) return;
      add_reads(tree, [](const ExprInput& input) { return input.root == "item"; }, reads);
    });
  }

  void drop(std::uint32_t index, const Value& schema, const Fields& read) {
    const auto fields = schema.find("properties")->members();
    std::size_t last_read = 0;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (read.contains(fields[i].first)) last_read = i;
    }
    Fields gone;
    std::vector<std::string> gone_names, kept_names;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto& [name, field] = fields[i];
      if (read.contains(name)) continue;
      const bool thinks = i < last_read && !short_answer(field);
      (thinks ? kept_names : gone_names).push_back(name);
      if (!thinks) gone.insert(name);
    }
    const Step& step = draft_.steps()[index];
    if (!kept_names.empty()) {
      refuse(step,
             fmt::format("nothing reads {}, but the model may think in {} before it writes "
                         "what is read",
                         fmt::join(kept_names, ", "), kept_names.size() == 1 ? "it" : "them"));
    }
    const bool none_left = gone.size() == fields.size();
    if (gone.empty() || none_left) return;
    const Value rest = without_fields(schema, gone);
    SchemaCompilation compiled = Schema::compile(rest);
    if (!compiled.schema) return refuse(step, "what is left of its schema is none");
    tell(step, schema, rest, gone_names);
    Step made = step;
    made.output = std::move(compiled.schema);
    draft_.replace(index, std::move(made));
  }

  void tell(const Step& step, const Value& before, const Value& after,
            const std::vector<std::string>& gone) const {
    PassNote& note = context_.notes.did(
        step.id, fmt::format("nothing reads {}: not generated", fmt::join(gone, ", ")));
    const StepEstimate* known = context_.estimate.find(step.id);
    if (known == nullptr) return;
    const Estimate& tokens = known->completion_tokens;
    const auto all = answer_tokens(before), rest = answer_tokens(after);
    const bool seen =
        tokens.source == EstimateSource::kHistory || tokens.source == EstimateSource::kSample;
    if (!seen || !all || !rest || *all <= 0) return;
    note.saved_tokens = known->calls.middle * tokens.middle * (1 - *rest / *all);
  }

  void refuse(const Step& step, std::string why) const {
    context_.notes.refused(step.id, std::move(why));
  }

  LogicalPassContext& context_;
  PlanDraft& draft_;
};

}  // namespace

void rewrite_drop_output_fields(LogicalPassContext& context) { DropOutputFields(context).run(); }

}  // namespace sluice
