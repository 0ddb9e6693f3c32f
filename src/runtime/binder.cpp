#include "runtime/binder.h"

#include <fmt/format.h>

#include "data/json.h"
#include "runtime/list_item.h"
#include "runtime/prompt_group.h"

namespace sluice {

namespace {

constexpr int kMaxJoinDepth = 4;

Error at(const Error& error, SourcePos pos) {
  return error.pos().known() || !pos.known() ? error : error.with_pos(pos);
}

}  // namespace

void Binder::bind(const RunState& state, std::span<const BindRequest> requests,
                  std::vector<Bound>& out) {
  out.reserve(out.size() + requests.size());
  for (const BindRequest& request : requests) out.push_back(bind_one(state, request));
}

Bound Binder::bind_one(const RunState& state, const BindRequest& request) {
  Bound bound;
  bound.task = request.task;
  bound.purpose = request.purpose;
  if (!state.alive(request.task.frame)) return bound;
  const PhysicalPlan& plan = state.plan(request.task.frame);
  bool result = request.purpose == BindPurpose::kResult;
  Source source{state, request.task, result ? nullptr : &state.step(request.task), &plan};
  switch (request.purpose) {
    case BindPurpose::kResult:
      bind_result(source, bound);
      break;
    case BindPurpose::kItems:
      bind_items(source, bound);
      break;
    case BindPurpose::kWhen:
      bind_condition(source, *source.step->when, bound);
      break;
    case BindPurpose::kUntil:
      bind_condition(source, *source.step->until, bound);
      break;
    case BindPurpose::kOnError: {
      Result<Value> value = evaluate(source, *source.step->on_error_value);
      if (value) value = check_output(*source.step, std::move(*value));
      if (value) {
        bound.value = std::move(*value);
      } else {
        bound.error = std::move(value.error());
      }
      break;
    }
    case BindPurpose::kBody:
    case BindPurpose::kProducedPlan:
      bind_body(source, bound);
      break;
  }
  return bound;
}

void Binder::bind_items(const Source& source, Bound& bound) {
  const PhysicalStep& step = *source.step;
  Result<Value> items = fail(ErrorCode::kInternal, "no items");
  if (step.for_each) {
    items = evaluate(source, *step.for_each);
  } else {
    // A flowing for_each whose source is missing: its join's value takes the place.
    StepInput input;
    input.source = InputSource::kEdge;
    input.edge = step.items_edge;
    items = read_edge(source, input);
  }
  if (!items) {
    bound.error = std::move(items.error());
    return;
  }
  if (!items->is_array()) {
    bound.error = Error(ErrorCode::kExprType,
                        fmt::format("for_each needs an array, not {}: {}", kind_name(items->kind()),
                                    preview(*items)),
                        step.logical.pos);
    return;
  }
  if (items->items().size() >= kNoIndex) {
    bound.error =
        Error(ErrorCode::kExprLimit, "for_each takes fewer than 2^32 items", step.logical.pos);
    return;
  }
  bound.count = static_cast<std::uint32_t>(items->items().size());
  bound.value = std::move(*items);
}

void Binder::bind_condition(const Source& source, const BoundTree& tree, Bound& bound) {
  Result<Value> value = evaluate(source, tree);
  if (!value) {
    bound.error = std::move(value.error());
    return;
  }
  bound.holds = truthy(*value);
}

// What a sub-plan is given must fit its parameters.
static std::optional<Error> misfit_params(const PhysicalStep& step, const Value& given) {
  if (!step.plan) return std::nullopt;
  for (const ParamSpec& param : step.plan->logical->params) {
    const Value* value = given.find(param.id);
    if (!value) {
      if (param.has_default) continue;
      return Error(
          ErrorCode::kParamMissing,
          fmt::format("the sub-plan {} needs the parameter {}", step.logical.target, param.id),
          step.logical.pos);
    }
    if (!param.schema) continue;
    std::vector<SchemaViolation> violations = param.schema->validate(*value);
    if (violations.empty()) continue;
    return Error(ErrorCode::kParamInvalid,
                 fmt::format("the parameter {} of the sub-plan {} does not fit: {}", param.id,
                             step.logical.target, describe(violations)),
                 step.logical.pos);
  }
  return std::nullopt;
}

void Binder::bind_body(const Source& source, Bound& bound) {
  const PhysicalStep& step = *source.step;
  Result<Value> value = evaluate(source, step.body);
  if (value && step.logical.op == OperatorKind::kValue) {
    value = check_output(step, std::move(*value));
    if (value && !step.logical.repeat) {
      std::string encoded;
      value = values_.keep(std::move(*value), &encoded);
      if (!encoded.empty() && value->kind() == Value::Kind::kBlob) made_.insert(value->blob_hash());
    }
  }
  if (value && bound.purpose == BindPurpose::kProducedPlan) {
    Result<Value> plan = evaluate(source, *step.produced_plan);
    value =
        plan ? Result<Value>(Value::array({std::move(*plan), std::move(*value)})) : std::move(plan);
  }
  if (value) {
    bound.error = misfit_params(step, *value);
    if (step.advice.group_bytes > 0) bound.group = prompt_group(step, *value);
    bound.value = std::move(*value);
  } else {
    bound.error = std::move(value.error());
  }
}

void Binder::bind_result(const Source& source, Bound& bound) {
  Result<Value> value = evaluate(source, source.plan->result);
  if (value) {
    bound.value = std::move(*value);
  } else {
    bound.error = std::move(value.error());
  }
}

// Steps that call nothing are checked here; the host checks what calls give.
Result<Value> Binder::check_output(const PhysicalStep& step, Value value) {
  if (!step.logical.output) return value;
  std::vector<SchemaViolation> violations = step.logical.output->validate(value);
  if (violations.empty()) return value;
  return fail(ErrorCode::kOutputInvalid,
              fmt::format("the output does not fit its schema: {}", describe(violations)),
              step.logical.output_pos);
}

Result<Value> Binder::evaluate(const Source& source, const BoundTree& tree) {
  std::size_t leaf = 0;
  return evaluate_node(source, tree, tree.binding, leaf);
}

Result<Value> Binder::evaluate_node(const Source& source, const BoundTree& tree,
                                    const Binding& node, std::size_t& leaf) {
  switch (node.kind) {
    case Binding::Kind::kExpr: {
      std::size_t own = leaf++;
      if (own >= tree.leaf_inputs.size() || tree.leaf_inputs[own].empty()) {
        Result<Value> value = node.expr.evaluate({}, context_);
        if (!value) return std::unexpected(at(std::move(value.error()), node.pos));
        return value;
      }
      // A join's value may be evaluated while the inputs of this leaf are gathered.
      std::vector<Value> inputs = std::move(scratch_);
      inputs.clear();
      Result<void> gathered = gather(source, tree, own, inputs);
      Result<Value> value = gathered ? node.expr.evaluate(inputs, context_)
                                     : Result<Value>(std::unexpected(gathered.error()));
      inputs.clear();
      scratch_ = std::move(inputs);
      if (!value) return std::unexpected(at(std::move(value.error()), node.pos));
      return value;
    }
    case Binding::Kind::kList: {
      std::vector<Value> items;
      items.reserve(node.items.size());
      for (const Binding& item : node.items) {
        Result<Value> value = evaluate_node(source, tree, item, leaf);
        if (!value) return value;
        items.push_back(std::move(*value));
      }
      return Value::array(std::move(items));
    }
    case Binding::Kind::kMap: {
      bool llm = source.step && source.step->logical.op == OperatorKind::kLlm &&
                 &node == &source.step->body.binding;
      std::vector<Value::Member> members;
      members.reserve(node.members.size());
      for (const auto& [key, member] : node.members) {
        bool prompt = llm && key == "prompt" && member.kind == Binding::Kind::kExpr;
        Result<Value> value = prompt ? evaluate_prompt(source, tree, member, leaf++)
                                     : evaluate_node(source, tree, member, leaf);
        if (!value) return value;
        members.emplace_back(key, std::move(*value));
      }
      return Value::object(std::move(members));
    }
  }
  return fail(ErrorCode::kInternal, "a binding of an unknown kind");
}

// A literal prompt keeps the border between its own text and what `{{ }}` gave:
// [{text, data}, ...]. Only its own text may make special tokens.
Result<Value> Binder::evaluate_prompt(const Source& source, const BoundTree& tree,
                                      const Binding& node, std::size_t leaf) {
  std::vector<Value> inputs;
  if (Result<void> gathered = gather(source, tree, leaf, inputs); !gathered) {
    return std::unexpected(gathered.error());
  }
  Result<std::vector<TextSegment>> segments = node.expr.render(inputs, context_);
  if (!segments) return std::unexpected(at(std::move(segments.error()), node.pos));
  Labels labels;
  for (const Value& input : inputs) labels = labels | input.labels();
  std::vector<Value> pieces;
  for (TextSegment& segment : *segments) {
    pieces.push_back(Value::object(
        {{"text", Value::string(segment.text)}, {"data", Value::boolean(segment.data)}}));
  }
  return Value::array(std::move(pieces)).with_labels(labels);
}

Result<void> Binder::gather(const Source& source, const BoundTree& tree, std::size_t leaf,
                            std::vector<Value>& inputs) {
  if (leaf >= tree.leaf_inputs.size()) return {};
  for (std::uint32_t index : tree.leaf_inputs[leaf]) {
    Result<Value> value = read(source, index);
    if (!value) return std::unexpected(std::move(value.error()));
    inputs.push_back(std::move(*value));
  }
  return {};
}

Result<Value> Binder::read(const Source& source, std::uint32_t index) {
  Result<Value> value = Value();
  bool arrays = false;
  if (!source.step) {
    const StepInput& input = source.plan->result_inputs[index];
    value = source.state.result_input(source.task.frame, input);
    arrays = true;
  } else {
    const StepInput& input = source.step->inputs[index];
    if (input.source == InputSource::kEdge) {
      value = read_edge(source, input);
    } else if (input.source == InputSource::kItem &&
               source.state.item_fill(source.task) != EdgeFill::kNone) {
      StepInput slot;
      slot.source = InputSource::kEdge;
      slot.edge = source.step->items_edge;
      value = read_edge(source, slot);
    } else {
      value = source.state.input(source.task, input);
    }
    arrays = source.state.has_spilled(source.task, input);
  }
  if (!value) return value;
  bool rests = value->kind() == Value::Kind::kBlob || (arrays && value->is_array());
  if (rests) {
    value = values_.load(*value);
    if (!value) lost_ = value.error();
  }
  if (!value || !source.step || !source.step->inputs[index].index_into) return value;
  std::uint32_t item = source.task.item;
  if (value->is_array() && item < value->items().size()) return list_item(*value, item);
  return fail(ErrorCode::kExprUndefined,
              fmt::format("index is {}, but there {}", item,
                          value->is_array() ? fmt::format("are {} items", value->items().size())
                                            : "is no list"));
}

// The value of an edge, or what its join puts in the place of a missing one.
Result<Value> Binder::read_edge(const Source& source, const StepInput& input) {
  EdgeFill fill = source.state.edge_fill(source.task, input.edge);
  if (fill == EdgeFill::kNone) return source.state.input(source.task, input);
  const Edge& edge = source.step->edges[input.edge];
  const std::optional<BoundTree>& tree =
      fill == EdgeFill::kSkipped ? edge.skipped_value : edge.failed_value;
  if (!tree) return source.state.input(source.task, input);
  if (source.depth >= kMaxJoinDepth) {
    return fail(ErrorCode::kExprLimit, "a join's value reads the input that it stands for");
  }
  Source inner = source;
  ++inner.depth;
  Result<Value> value = evaluate(inner, *tree);
  if (!value) return value;
  return source.state.filled_input(source.task, input.edge, *value);
}

}  // namespace sluice
