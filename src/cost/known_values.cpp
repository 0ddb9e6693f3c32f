#include "cost/known_values.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace sluice {
namespace {

bool small(const Value& value) {
  return (!value.is_array() && !value.is_object()) || value.size() <= KnownValues::kMostItems;
}

}  // namespace

KnownValues::KnownValues(const PhysicalPlan& plan, const Value* params, const Drawn* drawn)
    : plan_(plan),
      params_(params),
      drawn_(drawn),
      items_(plan.steps.size()),
      outputs_(plan.steps.size()) {
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    const PhysicalStep& step = plan.steps[i];
    if (step.for_each) {
      auto items = tree(i, *step.for_each, std::nullopt);
      if (items && items->is_array()) items_[i] = std::move(*items);
    }
    const bool plain = step.logical.op == OperatorKind::kValue && !step.mapped && !step.when &&
                       !step.logical.repeat && step.fallback_of == kNoIndex;
    if (plain) outputs_[i] = tree(i, step.body, std::nullopt);
  }
}

const Value* KnownValues::items(std::uint32_t step) const {
  return items_[step] ? &*items_[step] : nullptr;
}

std::span<const Value> KnownValues::some_items(std::uint32_t step) const {
  if (items_[step]) return items_[step]->items();
  if (drawn_ == nullptr) return {};
  const auto found = drawn_->find(plan_.steps[step].logical.id);
  return found == drawn_->end() ? std::span<const Value>() : std::span(found->second);
}

std::optional<Value> KnownValues::input(std::uint32_t step, const StepInput& input,
                                        std::optional<std::uint32_t> item) const {
  const auto element = [&](const Value& list) -> std::optional<Value> {
    if (!item || !list.is_array() || *item >= list.size()) return std::nullopt;
    return list.items()[*item];
  };
  switch (input.source) {
    case InputSource::kParam: {
      const Value* value = params_ == nullptr ? nullptr : params_->find(input.param);
      return value == nullptr ? std::nullopt : std::optional(*value);
    }
    case InputSource::kItem: {
      const std::span<const Value> items = some_items(step);
      return item && *item < items.size() ? std::optional(items[*item]) : std::nullopt;
    }
    case InputSource::kIndex:
      return item ? std::optional(Value::integer(*item)) : std::nullopt;
    case InputSource::kEdge: {
      const Edge& edge = plan_.steps[step].edges[input.edge];
      const std::optional<Value>& output = outputs_[edge.from];
      if (!output || edge.mode != EdgeMode::kWhole) return std::nullopt;
      return input.index_into ? element(*output) : output;
    }
    default:
      return std::nullopt;
  }
}

std::optional<Value> KnownValues::leaf(std::uint32_t step, const BoundTree& tree, std::size_t leaf,
                                       const Expr& expr, std::optional<std::uint32_t> item) {
  if (auto constant = expr.as_constant()) return constant;
  if (leaf >= tree.leaf_inputs.size()) return std::nullopt;
  std::vector<Value> inputs;
  for (std::uint32_t index : tree.leaf_inputs[leaf]) {
    auto value = input(step, plan_.steps[step].inputs[index], item);
    if (!value) return std::nullopt;
    if (!expr.as_input() && !small(*value)) return std::nullopt;
    inputs.push_back(std::move(*value));
  }
  if (++evaluations_ > kMostEvaluations) return std::nullopt;
  auto value = expr.evaluate(inputs, context_);
  return value ? std::optional(std::move(*value)) : std::nullopt;
}

std::optional<Value> KnownValues::tree(std::uint32_t step, const BoundTree& tree,
                                       std::optional<std::uint32_t> item) {
  std::size_t leaf = 0;
  return node(step, tree, tree.binding, leaf, item);
}

std::optional<Value> KnownValues::node(std::uint32_t step, const BoundTree& tree,
                                       const Binding& node, std::size_t& leaf,
                                       std::optional<std::uint32_t> item) {
  switch (node.kind) {
    case Binding::Kind::kExpr:
      return this->leaf(step, tree, leaf++, node.expr, item);
    case Binding::Kind::kList: {
      std::vector<Value> items;
      for (const Binding& inner : node.items) {
        auto value = this->node(step, tree, inner, leaf, item);
        if (!value) return std::nullopt;
        items.push_back(std::move(*value));
      }
      return Value::array(std::move(items));
    }
    case Binding::Kind::kMap: {
      std::vector<Value::Member> members;
      for (const auto& [key, inner] : node.members) {
        auto value = this->node(step, tree, inner, leaf, item);
        if (!value) return std::nullopt;
        members.emplace_back(key, std::move(*value));
      }
      return Value::object(std::move(members));
    }
  }
  return std::nullopt;
}

std::optional<Value> KnownValues::leaf_of_run(std::uint32_t step, const BoundTree& tree,
                                              std::size_t leaf, const Expr& expr, std::size_t run) {
  const Value* all = std::exchange(params_, &runs_[run]);
  auto value = this->leaf(step, tree, leaf, expr, std::nullopt);
  params_ = all;
  return value;
}

std::optional<Value> KnownValues::of_run(const Expr& expr, std::size_t run) {
  std::vector<Value> inputs;
  for (const ExprInput& input : expr.inputs()) {
    const bool param = input.root == "params" && input.path.size() == 1 && !input.slot;
    const Value* value = param ? runs_[run].find(input.path.front()) : nullptr;
    if (value == nullptr) return std::nullopt;
    inputs.push_back(*value);
  }
  if (++evaluations_ > kMostEvaluations) return std::nullopt;
  auto value = expr.evaluate(inputs, context_);
  return value ? std::optional(std::move(*value)) : std::nullopt;
}

std::vector<Value> KnownValues::sub_runs(std::uint32_t step) {
  const PhysicalStep& physical = plan_.steps[step];
  std::vector<Value> made;
  if (physical.plan == nullptr || physical.body.binding.kind != Binding::Kind::kMap) return made;
  std::size_t leaves = 1;
  physical.body.binding.for_each_expr([&leaves](const Binding&) { ++leaves; });
  const std::size_t most = std::min<std::size_t>(kMostRuns, kMostEvaluations / 2 / leaves);
  const std::span<const Value> items = some_items(step);
  for (std::uint32_t item : spread_items(items.size(), most)) {
    made.push_back(sub_params(step, item));
  }
  if (!made.empty() || physical.mapped || runs_.empty()) return made;
  for (std::uint32_t run : spread_items(runs_.size(), most)) {
    const Value* all = std::exchange(params_, &runs_[run]);
    made.push_back(sub_params(step));
    params_ = all;
  }
  return made;
}

// Those that are known; `only`: none but the one of this name.
std::vector<Value::Member> KnownValues::members(std::uint32_t step,
                                                std::optional<std::uint32_t> item,
                                                std::string_view only) {
  const PhysicalStep& physical = plan_.steps[step];
  std::vector<Value::Member> known;
  if (physical.body.binding.kind != Binding::Kind::kMap) return known;
  std::size_t leaf = 0;
  for (const auto& [key, member] : physical.body.binding.members) {
    std::size_t behind = leaf;
    member.for_each_expr([&behind](const Binding&) { ++behind; });
    std::size_t at = leaf;
    leaf = behind;
    if (!only.empty() && key != only) continue;
    if (auto value = node(step, physical.body, member, at, item)) {
      known.emplace_back(key, std::move(*value));
    }
  }
  return known;
}

std::vector<Value> KnownValues::member(std::uint32_t step, std::string_view key, std::size_t most) {
  std::vector<Value> all;
  const auto add = [&](std::optional<std::uint32_t> item) {
    std::vector<Value::Member> found = members(step, item, key);
    if (!found.empty()) all.push_back(std::move(found.front().second));
    return !found.empty();
  };
  if (add(std::nullopt)) return all;
  for (std::uint32_t item : spread_items(some_items(step).size(), most)) {
    if (!add(item)) return {};
  }
  if (!all.empty() || plan_.steps[step].mapped) return all;
  for (std::uint32_t run : spread_items(runs_.size(), most)) {
    const Value* outer = std::exchange(params_, &runs_[run]);
    const bool is_known = add(std::nullopt);
    params_ = outer;
    if (!is_known) return {};
  }
  return all;
}

Value KnownValues::sub_params(std::uint32_t step, std::optional<std::uint32_t> item) {
  const PhysicalStep& physical = plan_.steps[step];
  std::vector<Value::Member> known = members(step, item);
  if (physical.plan != nullptr && physical.plan->logical != nullptr) {
    for (const ParamSpec& param : physical.plan->logical->params) {
      const bool given = physical.body.binding.find(param.id) != nullptr;
      if (!given && param.has_default) known.emplace_back(param.id, param.default_value);
    }
  }
  return Value::object(std::move(known));
}

std::vector<std::uint32_t> spread_items(std::size_t count, std::size_t most) {
  std::vector<std::uint32_t> spread;
  const std::size_t wanted = count < most ? count : most;
  Random random(count);
  for (std::size_t i = 0; i < wanted; ++i) {
    const std::size_t begin = i * count / wanted, end = (i + 1) * count / wanted;
    spread.push_back(static_cast<std::uint32_t>(begin + random.below(end - begin)));
  }
  return spread;
}

}  // namespace sluice
