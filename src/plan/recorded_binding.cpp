#include "plan/recorded_binding.h"

#include <algorithm>

#include "fmt/format.h"
#include "plan/names.h"
#include "plan/scope.h"

namespace sluice {
namespace {

constexpr int kMaxDepth = 200;  // a plan's text is nested less

// As `bind` decides when it reads the plan.
bool holds_expression(std::string_view text) {
  return text.find("{{") != text.npos || text.find("{%") != text.npos ||
         text.find("{#") != text.npos;
}

bool reads_slots(const Expr& expr) {
  return std::ranges::any_of(expr.inputs(), [](const ExprInput& input) { return input.slot; });
}

void record_leaf(const Binding& binding, FieldWriter& record) {
  if (binding.text.empty()) {
    if (auto constant = binding.expr.as_constant()) {
      record.value("const", *constant);
    } else {
      record.text("expr", binding.expr.to_string());
    }
  } else {
    record.text("text", binding.text);
  }
  record.flag("slots", reads_slots(binding.expr));
  std::vector<Value> marks;
  marks.reserve(binding.marks.size());
  for (const TextMark& mark : binding.marks) {
    marks.push_back(Value::array(
        {Value::integer(static_cast<std::int64_t>(mark.offset)), recorded_pos(mark.pos)}));
  }
  record.list("marks", std::move(marks));
}

void read_marks(FieldReader& record, Binding& into) {
  for (const Value& item : record.list("marks")) {
    bool pair = item.is_array() && item.items().size() == 2 && item.items()[0].is_int() &&
                item.items()[0].as_int() >= 0 && item.items()[1].is_array();
    auto pos = pair ? read_pos(item.items()[1].items()) : std::nullopt;
    if (!pos) return record.wrong("marks", "not a place");
    into.marks.push_back({static_cast<std::size_t>(item.items()[0].as_int()), *pos});
  }
}

void read_leaf(FieldReader& record, Binding& into) {
  into.text = record.text("text");
  std::string source = record.text("expr");
  const Value* constant = record.value("const");
  bool slots = record.flag("slots");
  read_marks(record, into);
  int forms = (into.text.empty() ? 0 : 1) + (source.empty() ? 0 : 1) + (constant ? 1 : 0);
  if (forms != 1) return record.wrong("value", "not of one form");
  if (constant) {
    into.expr = Expr::constant(*constant);
    return;
  }
  if (source.empty() && !holds_expression(into.text)) {
    into.expr = Expr::constant(Value::string(into.text));
    return;
  }
  auto compiled = Expr::compile(source.empty() ? into.text : source, checked_names(slots));
  if (!compiled) {
    record.wrong("value", compiled.error().front().message);
    return;
  }
  into.expr = *std::move(compiled);
}

Binding read_nested(const Value& record, const std::string& where, int depth, Damage& damage) {
  Binding binding;
  FieldReader fields(record, where, damage);
  binding.pos = fields.pos("pos");
  binding.key_pos = fields.pos("key_pos");
  binding.text_pos = fields.pos("text_pos");
  if (depth > kMaxDepth) fields.wrong("value", "nested too deep");
  if (damage.found()) return binding;
  if (fields.has("list")) {
    binding.kind = Binding::Kind::kList;
    for (const Value& item : fields.list("list")) {
      binding.items.push_back(read_nested(item, where, depth + 1, damage));
    }
  } else if (fields.has("map")) {
    binding.kind = Binding::Kind::kMap;
    for (const Value& item : fields.list("map")) {
      bool pair = item.is_array() && item.items().size() == 2 && item.items()[0].is_string();
      if (!pair) {
        fields.wrong("map", "not a list of keys and values");
        return binding;
      }
      binding.members.emplace_back(std::string(item.items()[0].as_string()),
                                   read_nested(item.items()[1], where, depth + 1, damage));
    }
  } else {
    read_leaf(fields, binding);
  }
  fields.done();
  return binding;
}

// Whether an expression's input is what the step's numbered input stands for.
bool same_input(const ExprInput& read, const StepInput& input) {
  switch (input.source) {
    case InputSource::kParam:
      return read.root == "params" && input.param == (read.path.empty() ? "" : read.path[0]);
    case InputSource::kRunId:
      return read.root == "run";
    case InputSource::kItem:
      return read.root == "item";
    case InputSource::kIndex:
      return read.root == "index";
    case InputSource::kRound:
      return read.root == "round";
    case InputSource::kPrevious:
      return read.root == "previous";
    case InputSource::kOutput:
      return read.root == "output";
    case InputSource::kError:
      return read.root == "error";
    case InputSource::kEdge:
      return read.root == "steps" && (read.path.size() < 2 || read.path[1] != "status");
    case InputSource::kStatus:
      return read.root == "steps" && read.path.size() > 1 && read.path[1] == "status";
  }
  return false;
}

}  // namespace

Value record_binding(const Binding& binding) {
  FieldWriter record;
  switch (binding.kind) {
    case Binding::Kind::kExpr:
      record_leaf(binding, record);
      break;
    case Binding::Kind::kList: {
      std::vector<Value> items;
      items.reserve(binding.items.size());
      for (const Binding& item : binding.items) items.push_back(record_binding(item));
      record.value("list", Value::array(std::move(items)));
      break;
    }
    case Binding::Kind::kMap: {
      std::vector<Value> members;
      members.reserve(binding.members.size());
      for (const auto& [key, member] : binding.members) {
        members.push_back(Value::array({Value::string(key), record_binding(member)}));
      }
      record.value("map", Value::array(std::move(members)));
      break;
    }
  }
  record.pos("pos", binding.pos);
  record.pos("key_pos", binding.key_pos);
  record.pos("text_pos", binding.text_pos);
  return record.take();
}

Value record_tree(const BoundTree& tree) {
  FieldWriter record;
  record.value("binding", record_binding(tree.binding));
  std::vector<Value> leaves;
  bool reads = false;
  for (const auto& leaf : tree.leaf_inputs) {
    std::vector<Value> numbers;
    numbers.reserve(leaf.size());
    for (std::uint32_t number : leaf) numbers.push_back(Value::integer(number));
    reads = reads || !leaf.empty();
    leaves.push_back(Value::array(std::move(numbers)));
  }
  if (reads) record.value("reads", Value::array(std::move(leaves)));
  return record.take();
}

void write_tree(FieldWriter& into, std::string_view key, const std::optional<BoundTree>& tree) {
  if (tree) into.value(key, record_tree(*tree));
}

Binding read_binding(const Value& record, const std::string& where, Damage& damage) {
  return read_nested(record, where, 0, damage);
}

BoundTree read_tree(const Value& record, std::span<const StepInput> inputs,
                    const std::string& where, Damage& damage) {
  BoundTree tree;
  FieldReader fields(record, where, damage);
  const Value* binding = fields.value("binding");
  if (!binding) {
    fields.wrong("binding", "missing");
    return tree;
  }
  tree.binding = read_binding(*binding, where, damage);
  std::span<const Value> reads = fields.list("reads");
  fields.done();
  std::size_t leaf = 0;
  tree.binding.for_each_expr([&](const Binding& each) {
    std::vector<std::uint32_t> numbers;
    std::span<const ExprInput> wanted = each.expr.inputs();
    std::span<const Value> recorded;
    if (leaf < reads.size() && reads[leaf].is_array()) recorded = reads[leaf].items();
    if (recorded.size() != wanted.size())
      damage.report(where, "an expression reads something else");
    for (std::size_t i = 0; i < wanted.size() && !damage.found(); ++i) {
      const Value& number = recorded[i];
      bool known = number.is_int() && number.as_int() >= 0 &&
                   static_cast<std::size_t>(number.as_int()) < inputs.size();
      if (!known || !same_input(wanted[i], inputs[static_cast<std::size_t>(number.as_int())])) {
        damage.report(where, "an expression reads something else");
        return;
      }
      numbers.push_back(static_cast<std::uint32_t>(number.as_int()));
    }
    tree.leaf_inputs.push_back(std::move(numbers));
    ++leaf;
  });
  if (!reads.empty() && reads.size() != leaf) damage.report(where, "expressions are missing");
  return tree;
}

std::optional<BoundTree> read_tree(FieldReader& from, std::string_view key,
                                   std::span<const StepInput> inputs) {
  const Value* record = from.value(key);
  if (!record) return std::nullopt;
  return read_tree(*record, inputs, fmt::format("{}, {}", from.where(), key), from.damage());
}

}  // namespace sluice
