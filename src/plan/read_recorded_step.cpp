// Reads a recorded step back. Every index is checked against what it counts.
#include "fmt/format.h"
#include "plan/recorded_binding.h"
#include "plan/recorded_step.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

std::string inside(const FieldReader& from, std::string_view key) {
  return fmt::format("{}, {}", from.where(), key);
}

void read_action(FieldReader& from, std::string_view key, JoinAction& into) {
  const Value* record = from.value(key);
  if (!record) return;
  FieldReader fields(*record, inside(from, key), from.damage());
  into.kind = fields.name<JoinAction::Kind>("do", recorded::kJoins);
  const Value* value = fields.value("value");
  if ((value != nullptr) != (into.kind == JoinAction::Kind::kValue)) {
    fields.wrong("value", "missing, or too much");
  } else if (value) {
    into.value = read_binding(*value, fields.where(), fields.damage());
  }
  fields.done();
}

JoinRule read_join(const Value& record, const std::string& where, Damage& damage) {
  JoinRule rule;
  FieldReader fields(record, where, damage);
  read_action(fields, "skipped", rule.skipped);
  read_action(fields, "failed", rule.failed);
  rule.states_skipped = fields.flag("states_skipped");
  rule.states_failed = fields.flag("states_failed");
  rule.pos = fields.pos("pos");
  fields.done();
  return rule;
}

Edge read_edge(const Value& record, const std::string& where, std::uint32_t end,
               std::span<const StepInput> inputs, Damage& damage) {
  Edge edge;
  FieldReader fields(record, where, damage);
  edge.from = fields.count("from", kNoIndex);
  if (edge.from >= end) fields.wrong("from", "no step before it");
  edge.mode = fields.name<EdgeMode>("mode", recorded::kEdgeModes);
  edge.use = fields.name<EdgeUse>("use", recorded::kEdgeUses);
  edge.windowed = fields.flag("windowed");
  if (const Value* join = fields.value("join")) {
    edge.join = read_join(*join, inside(fields, "join"), damage);
  }
  edge.skipped_value = read_tree(fields, "skipped_value", inputs);
  edge.failed_value = read_tree(fields, "failed_value", inputs);
  bool skipped = edge.join.skipped.kind == JoinAction::Kind::kValue;
  bool failed = edge.join.failed.kind == JoinAction::Kind::kValue;
  if (skipped != edge.skipped_value.has_value() || failed != edge.failed_value.has_value()) {
    fields.wrong("join", "its value is missing, or too much");
  }
  fields.done();
  return edge;
}

RetryRule read_retry(const Value& record, const std::string& where, Damage& damage) {
  RetryRule rule;
  FieldReader fields(record, where, damage);
  rule.attempts = fields.count("attempts", 1);
  rule.on = fields.texts("on");
  rule.delay_ms = fields.number("delay_ms", 0, kMaxInt, 0);
  rule.factor = fields.real("factor", 1);
  rule.max_delay_ms = fields.number("max_delay_ms", 0, kMaxInt, 0);
  rule.jitter = fields.real("jitter", 0);
  rule.pos = fields.pos("pos");
  fields.done();
  return rule;
}

Limits read_limits(const Value& record, const std::string& where, Damage& damage) {
  Limits limits;
  FieldReader fields(record, where, damage);
  limits.operators = fields.texts("operators");
  limits.tools = fields.texts("tools");
  limits.models = fields.texts("models");
  limits.steps = static_cast<std::uint64_t>(fields.number("steps", 0, kMaxInt, 0));
  limits.tasks = static_cast<std::uint64_t>(fields.number("tasks", 0, kMaxInt, 0));
  limits.depth = fields.count("depth", 0);
  limits.budget = read_budget(fields, "budget");
  limits.pos = fields.pos("pos");
  fields.done();
  return limits;
}

// The two parts of an item of a list of pairs; null when it is none.
const Value* second_of(const Value& item) {
  bool pair = item.is_array() && item.items().size() == 2 && item.items()[0].is_string();
  return pair ? &item.items()[1] : nullptr;
}

void read_order(FieldReader& fields, Step& step) {
  for (const Value& item : fields.list("after")) {
    const Value* second = second_of(item);
    auto pos = second && second->is_array() ? read_pos(second->items()) : std::nullopt;
    if (!pos) return fields.wrong("after", "not a list of steps");
    step.after.push_back({std::string(item.items()[0].as_string()), *pos});
  }
  for (const Value& item : fields.list("joins")) {
    const Value* rule = second_of(item);
    if (!rule) return fields.wrong("joins", "not a list of steps");
    step.joins.emplace_back(std::string(item.items()[0].as_string()),
                            read_join(*rule, inside(fields, "joins"), fields.damage()));
  }
}

void read_rules(FieldReader& fields, Step& step) {
  read_order(fields, step);
  if (const Value* record = fields.value("repeat")) {
    FieldReader repeat(*record, inside(fields, "repeat"), fields.damage());
    step.repeat.emplace();
    step.repeat->max_rounds = repeat.count("max", 0);
    step.repeat->delay_ms = repeat.number("delay_ms", 0, kMaxInt, 0);
    step.repeat->pos = repeat.pos("pos");
    repeat.done();
  }
  if (const Value* record = fields.value("retry")) {
    step.retry = read_retry(*record, inside(fields, "retry"), fields.damage());
  }
  if (const Value* record = fields.value("on_error")) {
    FieldReader on_error(*record, inside(fields, "on_error"), fields.damage());
    step.on_error.emplace();
    step.on_error->kind = on_error.name<OnErrorRule::Kind>("do", recorded::kOnError);
    step.on_error->step = on_error.text("step");
    step.on_error->pos = on_error.pos("pos");
    on_error.done();
  }
  if (fields.has("concurrency")) step.concurrency = fields.count("concurrency", 0);
  if (fields.has("timeout_ms")) step.timeout_ms = fields.number("timeout_ms", 0, kMaxInt, 0);
  if (fields.has("cache_ttl_ms")) step.cache_ttl_ms = fields.number("cache_ttl_ms", 0, kMaxInt, 0);
  step.cache_pos = fields.pos("cache_pos");
  step.budget = read_budget(fields, "budget");
  if (const Value* record = fields.value("limits")) {
    step.limits = read_limits(*record, inside(fields, "limits"), fields.damage());
  }
}

std::optional<Binding> read_part(FieldReader& fields, std::string_view key) {
  const Value* record = fields.value(key);
  if (!record) return std::nullopt;
  return read_binding(*record, inside(fields, key), fields.damage());
}

std::shared_ptr<const TableQuery> read_table(const Value& record, const std::string& where,
                                             Damage& damage) {
  auto query = std::make_shared<TableQuery>();
  FieldReader fields(record, where, damage);
  query->pos = fields.pos("pos");
  bool keep_all = fields.flag("keep_all");
  if (auto on = read_part(fields, "on")) query->match = TableMatch{*std::move(on), keep_all};
  query->where = read_part(fields, "where");
  query->select = read_part(fields, "select");
  auto by = read_part(fields, "by");
  auto give = read_part(fields, "give");
  if (by.has_value() != give.has_value())
    fields.wrong("by", "without give, or the other way round");
  if (by && give) {
    bool maps = by->kind == Binding::Kind::kMap && give->kind == Binding::Kind::kMap;
    if (!maps) fields.wrong("by", "no map");
    query->group = TableGroup{*std::move(by), *std::move(give)};
  }
  bool reverse = fields.flag("reverse");
  bool case_sensitive = fields.flag("case_sensitive");
  if (auto order = read_part(fields, "order")) {
    query->order = TableOrder{*std::move(order), reverse, case_sensitive};
  }
  fields.done();
  return query;
}

void read_logical(FieldReader& fields, Step& step) {
  step.id = fields.text("id");
  step.pos = fields.pos("pos");
  step.op = fields.name<OperatorKind>("op", recorded::kOperators);
  step.op_pos = fields.pos("op_pos");
  step.target = fields.text("target");
  step.function = fields.text("function");
  step.target_pos = fields.pos("target_pos");
  step.with.kind = Binding::Kind::kMap;
  if (const Value* table = fields.value("table")) {
    step.table = read_table(*table, inside(fields, "table"), fields.damage());
  }
  if (const Value* schema = fields.value("output")) {
    step.output = Schema::compile(*schema).schema;
    if (!step.output) fields.wrong("output", "a schema that does not compile");
  }
  step.output_pos = fields.pos("output_pos");
  read_rules(fields, step);
}

// The trees, and from them the bindings that the step was written with.
void read_trees(FieldReader& fields, PhysicalStep& into) {
  Step& step = into.logical;
  into.for_each = read_tree(fields, "for_each", into.inputs);
  if (into.for_each) step.for_each = into.for_each->binding;
  if (const Value* flows = fields.value("flows_over")) {
    step.for_each = read_binding(*flows, inside(fields, "flows_over"), fields.damage());
  }
  into.when = read_tree(fields, "when", into.inputs);
  if (into.when) step.when = into.when->binding;
  auto body = read_tree(fields, "body", into.inputs);
  if (!body) fields.wrong("body", "missing");
  into.body = body ? *std::move(body) : BoundTree();
  if (step.op == OperatorKind::kValue) {
    step.value = into.body.binding;
  } else if (step.op == OperatorKind::kWait) {
    step.wait = into.body.binding;
  } else {
    step.with = into.body.binding;
  }
  into.produced_plan = read_tree(fields, "produced_plan", into.inputs);
  if (into.produced_plan) step.produced_plan = into.produced_plan->binding;
  into.until = read_tree(fields, "until", into.inputs);
  if (into.until && step.repeat) step.repeat->until = into.until->binding;
  into.on_error_value = read_tree(fields, "on_error_value", into.inputs);
  if (into.on_error_value && step.on_error) step.on_error->value = into.on_error_value->binding;
}

// Plans of a time without passes have none.
StepAdvice read_advice(FieldReader& from) {
  StepAdvice advice;
  const Value* record = from.value("advice");
  if (!record) return advice;
  FieldReader fields(*record, inside(from, "advice"), from.damage());
  advice.share_equal = fields.flag("share_equal");
  advice.prefix_returns = fields.flag("prefix_returns");
  if (fields.has("remaining_s")) advice.remaining_s = fields.real("remaining_s", 0);
  if (fields.has("expected_tokens")) advice.expected_tokens = fields.count("expected_tokens", 0);
  advice.order = fields.text("order");
  advice.bulk = fields.count("bulk", 0);
  advice.reuse_results = fields.flag("reuse_results");
  advice.most_at_once = fields.count("most_at_once", 0);
  advice.group_bytes = fields.count("group_bytes", 0);
  if (fields.has("hedge_after_s")) advice.hedge_after_s = fields.real("hedge_after_s", 0);
  advice.first_model = fields.text("first_model");
  advice.least_logprob = fields.real("least_logprob", 0);
  fields.done();
  return advice;
}

// What belongs together is there together.
void check_step(FieldReader& fields, const PhysicalStep& step, std::uint32_t plan) {
  const Step& logical = step.logical;
  const auto& on_error = logical.on_error;
  bool value = on_error && on_error->kind == OnErrorRule::Kind::kValue;
  bool fallback = on_error && on_error->kind == OnErrorRule::Kind::kStep;
  bool calls_plan = logical.op == OperatorKind::kPlan;
  bool flows = step.items_edge != kNoIndex;
  if ((logical.table != nullptr) != (logical.op == OperatorKind::kTable)) {
    fields.wrong("table", "missing, or too much");
  }
  if (step.until.has_value() != logical.repeat.has_value()) fields.wrong("until", "alone");
  if (step.on_error_value.has_value() != value) fields.wrong("on_error", "without its value");
  if ((step.fallback != kNoIndex) != fallback) fields.wrong("fallback", "without its on_error");
  if ((plan != kNoIndex) != (calls_plan && !step.produced_plan)) fields.wrong("plan", "missing");
  if (step.produced_plan && (!calls_plan || !logical.limits)) {
    fields.wrong("produced_plan", "without limits");
  }
  if (step.mapped != logical.for_each.has_value() || (flows && step.for_each) ||
      (step.mapped && !flows && !step.for_each)) {
    fields.wrong("for_each", "missing, or too much");
  }
  bool slots = flows && step.items_edge < step.edges.size() &&
               step.edges[step.items_edge].mode == EdgeMode::kSlot;
  if (flows && (!step.mapped || !slots)) fields.wrong("items_edge", "no edge of slots");
  if (step.logical_ids.empty() || step.logical_ids[0].empty()) fields.wrong("id", "missing");
}

}  // namespace

Budget read_budget(FieldReader& from, std::string_view key) {
  Budget budget;
  const Value* record = from.value(key);
  if (!record) return budget;
  FieldReader fields(*record, inside(from, key), from.damage());
  if (fields.has("tokens")) budget.tokens = fields.number("tokens", 0, kMaxInt, 0);
  if (fields.has("calls")) budget.calls = fields.number("calls", 0, kMaxInt, 0);
  if (fields.has("seconds")) budget.seconds = fields.real("seconds", 0);
  if (fields.has("usd")) budget.usd = fields.real("usd", 0);
  fields.done();
  return budget;
}

std::vector<Edge> read_edges(FieldReader& from, std::string_view key, std::uint32_t end,
                             std::span<const StepInput> inputs) {
  std::vector<Edge> edges;
  for (const Value& record : from.list(key)) {
    edges.push_back(read_edge(record, inside(from, key), end, inputs, from.damage()));
    if (from.damage().found()) break;
  }
  return edges;
}

std::vector<StepInput> read_inputs(FieldReader& from, std::string_view key, std::size_t edges) {
  std::vector<StepInput> inputs;
  for (const Value& record : from.list(key)) {
    StepInput input;
    FieldReader fields(record, inside(from, key), from.damage());
    input.source = fields.name<InputSource>("source", recorded::kSources);
    input.param = fields.text("param");
    input.edge = fields.count("edge", kNoIndex);
    input.index_into = fields.flag("index_into");
    bool of_edge = input.source == InputSource::kEdge || input.source == InputSource::kStatus;
    if (of_edge ? input.edge >= edges : input.edge != kNoIndex) fields.wrong("edge", "no edge");
    fields.done();
    inputs.push_back(std::move(input));
  }
  return inputs;
}

PhysicalStep read_step(const Value& record, std::uint32_t self, std::uint32_t& plan,
                       Damage& damage) {
  PhysicalStep step;
  const Value* id = record.find("id");
  bool named = id && id->is_string();
  FieldReader fields(record,
                     named ? fmt::format("step {}", id->as_string()) : fmt::format("step {}", self),
                     damage);
  read_logical(fields, step.logical);
  step.logical_ids = fields.has("logical_ids") ? fields.texts("logical_ids")
                                               : std::vector<std::string>{step.logical.id};
  step.inputs = read_inputs(fields, "inputs", fields.size_of("edges"));
  step.edges = read_edges(fields, "edges", self, step.inputs);
  step.items_edge = fields.count("items_edge", kNoIndex);
  read_trees(fields, step);
  step.consumers = fields.counts("consumers");
  step.fallback = fields.count("fallback", kNoIndex);
  step.fallback_of = fields.count("fallback_of", kNoIndex);
  plan = fields.count("plan", kNoIndex);
  step.effect = fields.name<Effect>("effect", recorded::kEffects);
  step.resource = fields.text("resource");
  step.resource_limit = fields.count("resource_limit", 0);
  step.mapped = fields.flag("mapped");
  step.streams = fields.flag("streams");
  step.has_undo = fields.flag("has_undo");
  step.batch_safe = fields.flag("batch_safe");
  step.rank = fields.count("rank", 0);
  step.step_hash = fields.hash("step_hash");
  step.advice = read_advice(fields);
  fields.done();
  check_step(fields, step, plan);
  return step;
}

}  // namespace sluice
