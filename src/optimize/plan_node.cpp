#include "optimize/plan_node.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/ensure.h"
#include "base/failpoint.h"
#include "data/hash.h"
#include "fmt/format.h"

namespace sluice {
std::unique_ptr<PlanNode> node_of(const PlanPtr& plan, const ToolCatalog& tools, std::string path,
                                  std::set<std::string, std::less<>> allowed) {
  auto node = std::make_unique<PlanNode>();
  node->written = node->now = plan;
  for (const auto& name : plan->allow) allowed.insert(name.value);
  node->allowed = std::move(allowed);
  node->tools = &tools;
  node->outermost = path.empty();
  std::map<std::string_view, std::string_view> callers;  // of each plan, the first one
  for (const Step& step : plan->steps) {
    if (step.op == OperatorKind::kPlan && !step.produced_plan) {
      callers.emplace(step.target, step.id);
    }
  }
  for (std::size_t i = 0; i < plan->plans.size(); ++i) {
    const auto& [id, sub_plan] = plan->plans[i];
    auto caller = callers.find(id);
    if (!sub_plan || caller == callers.end()) continue;
    auto inner = catalog_within(*sub_plan, tools);
    auto made =
        node_of(sub_plan, *inner, fmt::format("{}{}/", path, caller->second), node->allowed);
    made->own_tools = std::move(inner);
    node->inside.emplace_back(i, std::move(made));
  }
  node->path = std::move(path);
  return node;
}

void keep_nodes(PlanNode& node, std::vector<KeptNode>& into) {
  into.push_back({&node, node.now, node.stands_for});
  for (auto& [at, inner] : node.inside) keep_nodes(*inner, into);
}

void take_back(const std::vector<KeptNode>& kept) {
  for (const KeptNode& each : kept) {
    each.node->now = each.now;
    each.node->stands_for = each.stands_for;
    each.node->inlined.clear();
    each.node->reworded.clear();
  }
}

void remember_merged(const PlanDraft& draft, PlanNode& node) {
  for (const auto& [from, to] : draft.redirected()) {
    if (draft.index_of(from) != kNoIndex) continue;
    std::vector<std::string> more = {from};
    if (auto old = node.stands_for.find(from); old != node.stands_for.end()) {
      more.insert(more.end(), old->second.begin(), old->second.end());
      node.stands_for.erase(old);
    }
    std::vector<std::string>& all = node.stands_for[to];
    all.insert(all.end(), more.begin(), more.end());
  }
}

void remember_inlined(const PlanDraft& draft, PlanNode& node) {
  for (const InlinedStep& each : draft.inlined()) {
    PlanNode::Inlined made;
    const PlanNode* from = nullptr;
    for (const auto& [at, inner] : node.inside) {
      if (node.now->plans[at].first == each.plan) from = inner.get();
    }
    if (from != nullptr && !each.step.empty()) {
      made = {from->written.get(), each.step, each.step};
      const auto deeper = from->inlined.find(each.step);
      if (deeper != from->inlined.end()) made = deeper->second;
    } else {
      made.name = each.name;
    }
    made.name = fmt::format("{}{}/{}", each.call, each.mapped ? "[]" : "", made.name);
    if (failpoint(Failpoint::kInlineNewNames)) made.name = each.id;
    node.inlined.emplace(each.id, std::move(made));
  }
  if (draft.inlined().empty()) return;
  for (auto& [at, inner] : node.inside) {
    const std::string& id = node.now->plans[at].first;
    inner->called = std::ranges::any_of(draft.steps(), [&](const Step& step) {
      return step.op == OperatorKind::kPlan && !step.produced_plan && step.target == id;
    });
  }
}

void remember_reworded(const PlanDraft& draft, PlanNode& node) {
  std::map<std::string_view, const Step*> before;
  for (const Step& step : node.now->steps) before.emplace(step.id, &step);
  for (const Step& step : draft.steps()) {
    const auto old = before.find(step.id);
    const bool same = old != before.end() && old->second->target == step.target &&
                      old->second->output == step.output &&
                      same_binding(body_of(*old->second), body_of(step));
    if (!same) node.reworded.insert(step.id);
  }
}

void index_physical(const PhysicalPlan& plan, PhysicalIndex& into) {
  if (!into.emplace(plan.logical.get(), &plan).second) return;
  for (const PhysicalStep& step : plan.steps) {
    if (step.plan) index_physical(*step.plan, into);
  }
}

WrittenMeanings::WrittenMeanings(const PhysicalPlan& written, PlanNode& root) {
  PhysicalIndex physical;
  index_physical(written, physical);
  add(root, physical);
}

void WrittenMeanings::add(PlanNode& node, const PhysicalIndex& physical) {
  const auto [at, is_new] = plans_.try_emplace(node.written.get());
  if (!is_new) return;
  Written& made = at->second;
  made.node = &node;
  if (const auto found = physical.find(node.written.get()); found != physical.end()) {
    made.plan = found->second;
    for (const PhysicalStep& step : made.plan->steps) {
      made.steps.emplace(step.logical.id, &step.step_hash);
    }
  }
  for (auto& [place, inner] : node.inside) add(*inner, physical);
}

const WrittenMeanings::Written* WrittenMeanings::written(const Plan& plan) const {
  const auto found = plans_.find(plan.written ? plan.written.get() : &plan);
  return found == plans_.end() ? nullptr : &found->second;
}

PlanNode& WrittenMeanings::node_of(const Plan& plan) const {
  const Written* found = written(plan);
  SLUICE_ENSURE(found != nullptr, "a plan that is rewritten is one of the user's");
  return *found->node;
}

const Hash256* WrittenMeanings::of(const Plan& plan) const {
  const Written* found = written(plan);
  return found == nullptr || found->plan == nullptr ? nullptr : &found->plan->plan_hash;
}

const Hash256* WrittenMeanings::of(const Plan& plan, std::string_view step) const {
  const Written* found = written(plan);
  if (found == nullptr) return nullptr;
  const PlanNode& node = *found->node;
  if (node.reworded.contains(step)) return nullptr;
  const auto inlined = node.inlined.find(step);
  if (inlined == node.inlined.end()) return hash_of(node.written.get(), step);
  return hash_of(inlined->second.plan, inlined->second.step);
}

const Hash256* WrittenMeanings::hash_of(const Plan* plan, std::string_view step) const {
  const auto known = plans_.find(plan);
  if (known == plans_.end()) return nullptr;
  const auto hash = known->second.steps.find(step);
  return hash == known->second.steps.end() ? nullptr : hash->second;
}

void identify(PhysicalPlan& plan, const WrittenMeanings& meanings) {
  const PlanNode& node = meanings.node_of(*plan.logical);
  auto name_of = [&node](const std::string& id) {
    const auto inlined = node.inlined.find(id);
    return inlined == node.inlined.end() ? id : inlined->second.name;
  };
  for (PhysicalStep& step : plan.steps) {
    const std::string& id = step.logical.id;
    step.logical_ids = {name_of(id)};
    const auto merged = node.stands_for.find(id);
    if (merged == node.stands_for.end()) continue;
    for (const std::string& other : merged->second) step.logical_ids.push_back(name_of(other));
  }
}

void tell_apart(const std::vector<PhysicalPlan*>& plans, const WrittenMeanings& meanings) {
  std::set<const PhysicalPlan*> changed;
  for (PhysicalPlan* plan : plans) {
    const PlanNode& node = meanings.node_of(*plan->logical);
    for (PhysicalStep& step : plan->steps) {
      const bool inner = step.plan && changed.contains(step.plan.get());
      const bool asks_first = !step.advice.first_model.empty();
      Hasher hasher;
      hasher.field(step.step_hash);
      if (asks_first) {
        hasher.field(fmt::format("{} {}", step.advice.first_model, step.advice.least_logprob));
      }
      for (std::size_t i = 0; inner && i < step.plan->steps.size(); ++i) {
        hasher.field(step.plan->steps[i].step_hash);
      }
      if (inner || asks_first) step.step_hash = hasher.finish();
      if (inner || asks_first || node.reworded.contains(step.logical.id)) changed.insert(plan);
    }
  }
}

}  // namespace sluice
