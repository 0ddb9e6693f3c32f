#include "plan/physical_codec.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "plan/names.h"
#include "plan/recorded_binding.h"
#include "plan/recorded_step.h"

namespace sluice {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr int kMaxDepth = 1000;  // of plans inside plans; their text allows less

// The plans inside one another, each once, the innermost first and the outermost last.
class PlanWriter {
 public:
  std::uint32_t add(const PhysicalPlan& plan) {
    if (auto known = places_.find(&plan); known != places_.end()) return known->second;
    std::vector<Value> steps;
    steps.reserve(plan.steps.size());
    for (const PhysicalStep& step : plan.steps) {
      std::uint32_t inner = step.plan ? add(*step.plan) : kNoIndex;
      steps.push_back(record_step(step, inner));
    }
    FieldWriter record;
    record.list("steps", std::move(steps));
    record.value("result", record_tree(plan.result));
    if (!plan.result_inputs.empty()) {
      record.value("result_inputs", record_inputs(plan.result_inputs));
    }
    if (!plan.result_edges.empty()) record.value("result_edges", record_edges(plan.result_edges));
    record.number("concurrency", plan.concurrency, 0);
    if (!plan.budget.none()) record.value("budget", record_budget(plan.budget));
    record.flag("undo", plan.undo);
    record.number("window", plan.window, 0);
    record.value("plan_hash", Value::string(plan.plan_hash.hex()));
    plans_.push_back(record.take());
    auto place = static_cast<std::uint32_t>(plans_.size() - 1);
    places_.emplace(&plan, place);
    return place;
  }
  Value take() { return Value::array(std::move(plans_)); }

 private:
  std::map<const PhysicalPlan*, std::uint32_t> places_;
  std::vector<Value> plans_;
};

// That the links between steps are those that lowering makes.
void check_links(const PhysicalPlan& plan, Damage& damage) {
  std::vector<std::vector<std::uint32_t>> consumers(plan.steps.size());
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    for (const Edge& edge : plan.steps[i].edges) {
      auto& known = consumers[edge.from];
      if (known.empty() || known.back() != i) known.push_back(i);
    }
  }
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    const PhysicalStep& step = plan.steps[i];
    std::string where = fmt::format("step {}", shown(step.logical.id));
    if (step.consumers != consumers[i]) damage.report(where, "its consumers do not read it");
    // A fallback stands before the step that it stands in for.
    bool fallback = step.fallback == kNoIndex ||
                    (step.fallback < i && plan.steps[step.fallback].fallback_of == i);
    bool stands_in = step.fallback_of == kNoIndex ||
                     (step.fallback_of > i && step.fallback_of < plan.steps.size() &&
                      plan.steps[step.fallback_of].fallback == i);
    if (!fallback || !stands_in) damage.report(where, "its fallback is another");
  }
}

class PlanDecoder {
 public:
  PlanDecoder(std::span<const Value> records, Damage& damage)
      : records_(records), damage_(damage), plans_(records.size()) {}

  PhysicalPlanPtr plan(std::uint32_t place, const PlanPtr& logical) {
    if (plans_[place]) return plans_[place];
    auto plan = std::make_shared<PhysicalPlan>();
    plan->logical = logical;
    FieldReader fields(records_[place], fmt::format("plan {}", place), damage_);
    for (const Value& record : fields.list("steps")) {
      std::uint32_t inner = kNoIndex;
      auto self = static_cast<std::uint32_t>(plan->steps.size());
      PhysicalStep step = read_step(record, self, inner, damage_);
      if (damage_.found()) return nullptr;
      if (inner != kNoIndex) step.plan = sub_plan(*logical, step.logical, inner, place);
      if (damage_.found()) return nullptr;
      plan->steps.push_back(std::move(step));
    }
    check_links(*plan, damage_);
    result(fields, *plan);
    plan->concurrency = fields.count("concurrency", 0);
    plan->budget = read_budget(fields, "budget");
    plan->undo = fields.flag("undo");
    plan->window = fields.count("window", 0);
    plan->plan_hash = fields.hash("plan_hash");
    if (plan->concurrency == 0 || plan->window == 0) fields.wrong("concurrency", "nothing may run");
    fields.done();
    if (damage_.found()) return nullptr;
    return plans_[place] = plan;
  }

 private:
  void result(FieldReader& fields, PhysicalPlan& plan) {
    auto steps = static_cast<std::uint32_t>(plan.steps.size());
    plan.result_inputs = read_inputs(fields, "result_inputs", fields.size_of("result_edges"));
    plan.result_edges = read_edges(fields, "result_edges", steps, plan.result_inputs);
    auto tree = read_tree(fields, "result", plan.result_inputs);
    if (!tree) return fields.wrong("result", "missing");
    plan.result = *std::move(tree);
  }

  PhysicalPlanPtr sub_plan(const Plan& outer, const Step& step, std::uint32_t inner,
                           std::uint32_t place) {
    std::string where = fmt::format("step {}", shown(step.id));
    if (inner >= place) {
      damage_.report(where, "its plan lies around it");
      return nullptr;
    }
    const PlanPtr* logical = outer.find_plan(step.target);
    if (++depth_ > kMaxDepth) damage_.report(where, "plans lie too deep in each other");
    if (damage_.found()) return nullptr;
    if (logical && *logical) {
      PhysicalPlanPtr found = plan(inner, *logical);
      --depth_;
      return found;
    }
    damage_.report(where, fmt::format("its plan {} is not in the plan's text", shown(step.target)));
    return nullptr;
  }

  std::span<const Value> records_;
  Damage& damage_;
  std::vector<PhysicalPlanPtr> plans_;
  int depth_ = 0;
};

}  // namespace

Value encode_physical(const PhysicalPlan& plan) {
  PlanWriter writer;
  writer.add(plan);
  FieldWriter record;
  record.value("version", Value::integer(kVersion));
  record.value("plans", writer.take());
  return record.take();
}

Result<PhysicalPlanPtr> decode_physical(const Value& encoded, const PlanPtr& logical) {
  Damage damage;
  FieldReader fields(encoded, "the record", damage);
  std::int64_t version = fields.number("version", 1, kMaxCount, 0);
  if (version == 0) fields.wrong("version", "missing");
  if (damage.found()) return damage.error();
  if (version > kVersion) {
    return fail(ErrorCode::kJournal,
                fmt::format("the recorded plan has version {} and this program reads up to {}; use "
                            "a newer sluice",
                            version, kVersion));
  }
  std::span<const Value> records = fields.list("plans");
  fields.done();
  if (records.empty()) fields.wrong("plans", "missing");
  if (!logical) fields.wrong("plans", "their text is missing");
  if (damage.found()) return damage.error();
  PlanDecoder decoder(records, damage);
  PhysicalPlanPtr plan = decoder.plan(static_cast<std::uint32_t>(records.size() - 1), logical);
  if (damage.found()) return damage.error();
  return plan;
}

}  // namespace sluice
