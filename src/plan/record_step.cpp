// Writes a step.
#include "plan/recorded_binding.h"
#include "plan/recorded_step.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

Value record_action(const JoinAction& action) {
  FieldWriter record;
  record.name("do", action.kind, recorded::kJoins);
  if (action.kind == JoinAction::Kind::kValue) {
    record.value("value", record_binding(action.value));
  }
  return record.take();
}

void write_join(const JoinRule& rule, FieldWriter& record) {
  if (rule.skipped.kind != JoinAction::Kind::kSkip) {
    record.value("skipped", record_action(rule.skipped));
  }
  if (rule.failed.kind != JoinAction::Kind::kFail) {
    record.value("failed", record_action(rule.failed));
  }
  record.flag("states_skipped", rule.states_skipped);
  record.flag("states_failed", rule.states_failed);
  record.pos("pos", rule.pos);
}

Value record_join(const JoinRule& rule) {
  FieldWriter record;
  write_join(rule, record);
  return record.take();
}

Value record_edge(const Edge& edge) {
  FieldWriter record;
  record.value("from", Value::integer(edge.from));
  record.name("mode", edge.mode, recorded::kEdgeModes);
  record.name("use", edge.use, recorded::kEdgeUses);
  record.flag("windowed", edge.windowed);
  Value join = record_join(edge.join);
  if (!join.members().empty()) record.value("join", std::move(join));
  write_tree(record, "skipped_value", edge.skipped_value);
  write_tree(record, "failed_value", edge.failed_value);
  return record.take();
}

Value record_retry(const RetryRule& rule) {
  FieldWriter record;
  record.number("attempts", rule.attempts, 1);
  record.texts("on", rule.on);
  record.number("delay_ms", rule.delay_ms, 0);
  record.real("factor", rule.factor, 1);
  record.number("max_delay_ms", rule.max_delay_ms, 0);
  record.real("jitter", rule.jitter, 0);
  record.pos("pos", rule.pos);
  return record.take();
}

Value record_limits(const Limits& limits) {
  FieldWriter record;
  record.texts("operators", limits.operators);
  record.texts("tools", limits.tools);
  record.texts("models", limits.models);
  record.number("steps", static_cast<std::int64_t>(limits.steps), 0);
  record.number("tasks", static_cast<std::int64_t>(limits.tasks), 0);
  record.number("depth", limits.depth, 0);
  if (!limits.budget.none()) record.value("budget", record_budget(limits.budget));
  record.pos("pos", limits.pos);
  return record.take();
}

void write_rules(const Step& step, FieldWriter& record) {
  std::vector<Value> after;
  after.reserve(step.after.size());
  for (const auto& each : step.after) {
    after.push_back(Value::array({Value::string(each.value), recorded_pos(each.pos)}));
  }
  record.list("after", std::move(after));
  std::vector<Value> joins;
  joins.reserve(step.joins.size());
  for (const auto& [id, rule] : step.joins) {
    joins.push_back(Value::array({Value::string(id), record_join(rule)}));
  }
  record.list("joins", std::move(joins));
  if (step.repeat) {
    FieldWriter repeat;
    repeat.number("max", step.repeat->max_rounds, 0);
    repeat.number("delay_ms", step.repeat->delay_ms, 0);
    repeat.pos("pos", step.repeat->pos);
    record.value("repeat", repeat.take());
  }
  if (step.retry) record.value("retry", record_retry(*step.retry));
  if (step.on_error) {
    FieldWriter on_error;
    on_error.name("do", step.on_error->kind, recorded::kOnError);
    on_error.text("step", step.on_error->step);
    on_error.pos("pos", step.on_error->pos);
    record.value("on_error", on_error.take());
  }
  if (step.concurrency) record.value("concurrency", Value::integer(*step.concurrency));
  if (step.timeout_ms) record.value("timeout_ms", Value::integer(*step.timeout_ms));
  if (step.cache_ttl_ms) record.value("cache_ttl_ms", Value::integer(*step.cache_ttl_ms));
  record.pos("cache_pos", step.cache_pos);
  if (!step.budget.none()) record.value("budget", record_budget(step.budget));
  if (step.limits) record.value("limits", record_limits(*step.limits));
}

Value record_table(const TableQuery& query) {
  FieldWriter record;
  record.pos("pos", query.pos);
  if (query.match) {
    record.value("on", record_binding(query.match->on));
    record.flag("keep_all", query.match->keep_all);
  }
  if (query.where) record.value("where", record_binding(*query.where));
  if (query.select) record.value("select", record_binding(*query.select));
  if (query.group) {
    record.value("by", record_binding(query.group->by));
    record.value("give", record_binding(query.group->give));
  }
  if (query.order) {
    record.value("order", record_binding(query.order->by));
    record.flag("reverse", query.order->reverse);
    record.flag("case_sensitive", query.order->case_sensitive);
  }
  return record.take();
}

void write_logical(const Step& step, FieldWriter& record) {
  record.text("id", step.id);
  record.pos("pos", step.pos);
  record.name("op", step.op, recorded::kOperators);
  record.pos("op_pos", step.op_pos);
  record.text("target", step.target);
  record.text("function", step.function);
  record.pos("target_pos", step.target_pos);
  if (step.table) record.value("table", record_table(*step.table));
  if (step.output) record.value("output", step.output->source());
  record.pos("output_pos", step.output_pos);
  write_rules(step, record);
}

Value record_advice(const StepAdvice& advice) {
  FieldWriter record;
  record.flag("share_equal", advice.share_equal);
  record.flag("prefix_returns", advice.prefix_returns);
  if (advice.remaining_s) record.value("remaining_s", Value::number(*advice.remaining_s));
  if (advice.expected_tokens) {
    record.value("expected_tokens", Value::integer(*advice.expected_tokens));
  }
  record.text("order", advice.order);
  record.number("bulk", advice.bulk, 0);
  record.flag("reuse_results", advice.reuse_results);
  record.number("most_at_once", advice.most_at_once, 0);
  record.number("group_bytes", advice.group_bytes, 0);
  if (advice.hedge_after_s) record.value("hedge_after_s", Value::number(*advice.hedge_after_s));
  record.text("first_model", advice.first_model);
  record.real("least_logprob", advice.least_logprob, 0);
  return record.take();
}

}  // namespace

Value record_budget(const Budget& budget) {
  FieldWriter record;
  if (budget.tokens) record.value("tokens", Value::integer(*budget.tokens));
  if (budget.calls) record.value("calls", Value::integer(*budget.calls));
  if (budget.seconds) record.value("seconds", Value::number(*budget.seconds));
  if (budget.usd) record.value("usd", Value::number(*budget.usd));
  return record.take();
}

Value record_edges(const std::vector<Edge>& edges) {
  std::vector<Value> items;
  items.reserve(edges.size());
  for (const Edge& edge : edges) items.push_back(record_edge(edge));
  return Value::array(std::move(items));
}

Value record_inputs(const std::vector<StepInput>& inputs) {
  std::vector<Value> items;
  items.reserve(inputs.size());
  for (const StepInput& input : inputs) {
    FieldWriter record;
    record.name("source", input.source, recorded::kSources);
    record.text("param", input.param);
    record.number("edge", input.edge, kNoIndex);
    record.flag("index_into", input.index_into);
    items.push_back(record.take());
  }
  return Value::array(std::move(items));
}

Value record_step(const PhysicalStep& step, std::uint32_t plan) {
  FieldWriter record;
  write_logical(step.logical, record);
  bool own_id = step.logical_ids.size() == 1 && step.logical_ids[0] == step.logical.id;
  if (!own_id) record.texts("logical_ids", step.logical_ids);
  if (!step.inputs.empty()) record.value("inputs", record_inputs(step.inputs));
  if (!step.edges.empty()) record.value("edges", record_edges(step.edges));
  write_tree(record, "for_each", step.for_each);
  if (!step.for_each && step.logical.for_each) {
    record.value("flows_over", record_binding(*step.logical.for_each));
  }
  record.number("items_edge", step.items_edge, kNoIndex);
  write_tree(record, "when", step.when);
  record.value("body", record_tree(step.body));
  write_tree(record, "produced_plan", step.produced_plan);
  write_tree(record, "until", step.until);
  write_tree(record, "on_error_value", step.on_error_value);
  record.counts("consumers", step.consumers);
  record.number("fallback", step.fallback, kNoIndex);
  record.number("fallback_of", step.fallback_of, kNoIndex);
  record.number("plan", plan, kNoIndex);
  record.name("effect", step.effect, recorded::kEffects);
  record.text("resource", step.resource);
  record.number("resource_limit", step.resource_limit, 0);
  record.flag("mapped", step.mapped);
  record.flag("streams", step.streams);
  record.flag("has_undo", step.has_undo);
  record.flag("batch_safe", step.batch_safe);
  record.number("rank", step.rank, 0);
  record.value("step_hash", Value::string(step.step_hash.hex()));
  if (step.advice != StepAdvice()) record.value("advice", record_advice(step.advice));
  return record.take();
}

}  // namespace sluice
