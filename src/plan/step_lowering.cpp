#include "plan/step_lowering.h"

#include <algorithm>

#include "base/ensure.h"

namespace sluice {

BoundTree InputBuilder::bind(const Binding& binding, EdgeUse use) {
  BoundTree tree;
  tree.binding = binding;
  binding.for_each_expr([&](const Binding& leaf) {
    std::vector<std::uint32_t> numbers;
    for (const ExprInput& each : leaf.expr.inputs()) numbers.push_back(input(each, use));
    tree.leaf_inputs.push_back(std::move(numbers));
  });
  return tree;
}

std::uint32_t InputBuilder::edge(std::uint32_t from, EdgeMode mode, EdgeUse use) {
  for (std::uint32_t i = 0; i < edges.size(); ++i) {
    if (edges[i].from == from && edges[i].mode == mode) {
      edges[i].use = std::min(edges[i].use, use);  // what came earlier is there later
      return i;
    }
  }
  Edge added;
  added.from = from;
  added.mode = mode;
  added.use = use;
  edges.push_back(std::move(added));
  return static_cast<std::uint32_t>(edges.size() - 1);
}

StepInput InputBuilder::source_of(const ExprInput& input, EdgeUse use) {
  StepInput result;
  if (input.root == "params") {
    result.source = InputSource::kParam;
    result.param = input.path.empty() ? "" : input.path[0];
  } else if (input.root == "run") {
    result.source = InputSource::kRunId;
  } else if (input.root == "steps") {
    auto from = index_.physical.find(input.path.at(0));
    SLUICE_ENSURE(from != index_.physical.end(), "a verified plan reads only steps that it has");
    bool status = input.path.size() > 1 && input.path[1] == "status";
    bool slot = input.slot && slot_reads_ && index_.slots[from->second] != 0;
    EdgeMode mode = status ? EdgeMode::kStatus : slot ? EdgeMode::kSlot : EdgeMode::kWhole;
    result.source = status ? InputSource::kStatus : InputSource::kEdge;
    result.edge = edge(from->second, mode, use);
    result.index_into = input.slot && !slot;
  } else {
    static const std::map<std::string, InputSource, std::less<>> locals = {
        {"item", InputSource::kItem},     {"index", InputSource::kIndex},
        {"round", InputSource::kRound},   {"previous", InputSource::kPrevious},
        {"output", InputSource::kOutput}, {"error", InputSource::kError}};
    auto local = locals.find(input.root);
    SLUICE_ENSURE(local != locals.end(), "a compiled expression reads only names of its scope");
    result.source = local->second;
  }
  return result;
}

std::uint32_t InputBuilder::input(const ExprInput& input, EdgeUse use) {
  StepInput wanted = source_of(input, use);
  auto found = std::ranges::find(inputs, wanted);
  if (found == inputs.end()) found = inputs.insert(found, std::move(wanted));
  return static_cast<std::uint32_t>(found - inputs.begin());
}

namespace {

// What a missing input means, and the expressions in that.
void attach_joins(const Step& step, const LoweringIndex& index, InputBuilder& builder) {
  // A value may add inputs, so the list of edges may grow while it is walked.
  for (std::size_t i = 0; i < builder.edges.size(); ++i) {
    const JoinRule* rule = step.find_join(index.ids[builder.edges[i].from]);
    if (!rule) continue;
    builder.edges[i].join = *rule;
    if (rule->skipped.kind == JoinAction::Kind::kValue) {
      BoundTree tree = builder.bind(rule->skipped.value, EdgeUse::kBody);
      builder.edges[i].skipped_value = std::move(tree);
    }
    if (rule->failed.kind == JoinAction::Kind::kValue) {
      BoundTree tree = builder.bind(rule->failed.value, EdgeUse::kBody);
      builder.edges[i].failed_value = std::move(tree);
    }
  }
}

void lower_items(const Step& step, const LoweringIndex& index, InputBuilder& builder,
                 PhysicalStep& into) {
  std::vector<Reference> reads = references_of(*step.for_each, EdgeUse::kItems);
  bool exact = step.for_each->kind == Binding::Kind::kExpr && step.for_each->expr.as_input() &&
               reads.size() == 1 && reads[0].mode == EdgeMode::kWhole;
  if (exact) {
    std::uint32_t from = index.physical.find(reads[0].step)->second;
    if (index.slots[from] != 0) {
      into.items_edge = builder.edge(from, EdgeMode::kSlot, EdgeUse::kItems);
      return;
    }
  }
  into.for_each = builder.bind(*step.for_each, EdgeUse::kItems);
}

}  // namespace

void lower_step(const Step& step, const LoweringIndex& index, bool fallback, PhysicalStep& into) {
  into.logical = step;
  into.logical_ids = {step.id};
  into.mapped = step.for_each.has_value();
  // A fallback runs for one task of another step: it has no slots of its own to line up.
  InputBuilder builder(index, into.mapped && !fallback);
  if (step.for_each) lower_items(step, index, builder, into);
  if (step.when) into.when = builder.bind(*step.when, EdgeUse::kWhen);
  into.body = builder.bind(body_of(step), EdgeUse::kBody);
  if (step.produced_plan) into.produced_plan = builder.bind(*step.produced_plan, EdgeUse::kBody);
  if (step.repeat) into.until = builder.bind(step.repeat->until, EdgeUse::kBody);
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kValue) {
    into.on_error_value = builder.bind(step.on_error->value, EdgeUse::kBody);
  }
  for (const auto& after : step.after) {
    builder.edge(index.physical.find(after.value)->second, EdgeMode::kOrder, EdgeUse::kBody);
  }
  attach_joins(step, index, builder);
  into.edges = std::move(builder.edges);
  into.inputs = std::move(builder.inputs);
}

}  // namespace sluice
