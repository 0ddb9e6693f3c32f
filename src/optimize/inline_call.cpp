#include "optimize/inline_call.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/early_ends.h"
#include "optimize/fits_schema.h"
#include "optimize/input_use.h"

namespace sluice {
namespace {

constexpr std::size_t kMostSteps = 32;  // of a sub-plan
constexpr std::size_t kMostLiteral =
    512;  // bytes of a constant that is written out where it is read
constexpr std::size_t kMostIdBytes = 56;  // of a new id, before a number

using Ids = std::set<std::string, std::less<>>;
using Names = std::map<std::string, std::string, std::less<>>;

bool states_rule(const Step& call) {
  return call.retry || call.repeat || call.timeout_ms || call.cache_ttl_ms || call.concurrency ||
         call.limits || !call.budget.none();
}

class InlineCall {
 public:
  InlineCall(const InlineSurroundings& around, std::uint32_t call)
      : around_(around), index_(call), call_(around.draft.steps()[call]) {}

  std::expected<InlinedCall, std::string> run() {
    using Part = std::string (InlineCall::*)();
    for (const Part part :
         {&InlineCall::find_plan, &InlineCall::call_obstacle, &InlineCall::plan_obstacle,
          &InlineCall::take_arguments, &InlineCall::make_steps, &InlineCall::make_result,
          &InlineCall::keep_order, &InlineCall::keep_failures, &InlineCall::keep_skips}) {
      std::string why = (this->*part)();
      if (why.empty()) continue;
      for (const auto& [step, from] : made_.steps) around_.taken.erase(step.id);
      return std::unexpected(std::move(why));
    }
    state_joins();
    return std::move(made_);
  }

 private:
  bool mapped() const { return call_.for_each.has_value(); }

  // ---- the call and the plan ----
  std::string find_plan() {
    const PlanPtr* found = around_.draft.plan().find_plan(call_.target);
    if (found == nullptr || *found == nullptr || (*found)->broken) return "its plan is not known";
    sub_ = *found;
    return "";
  }

  std::string call_obstacle() {
    if (call_.on_error && call_.on_error->kind != OnErrorRule::Kind::kFail) {
      return "it states what becomes of its failure";
    }
    if (around_.draft.is_fallback(index_)) return "it stands in for a step that fails";
    if (states_rule(call_)) return "it has rules for the whole of the plan";
    if (call_.output) return "its output is checked";
    if (call_.when) return "it has a condition";
    if (!call_.after.empty()) return "it comes after other steps";
    for (const Reference& read : around_.draft.reads(index_)) {
      if (!reads_output(read)) return fmt::format("it reads the status of {}", read.step);
      if (!plain_join(call_, read.step)) {
        return fmt::format("it states what it does without {}", read.step);
      }
      if (read.use != EdgeUse::kItems) inputs_.insert(read.step);
      const std::uint32_t from = around_.draft.index_of(read.step);
      const bool slot = around_.draft.reads_slot({index_, read});
      const bool skips = slot ? around_.skips.slot(from) : around_.skips.whole(from);
      if (read.use != EdgeUse::kItems && skips) skipped_inputs_.insert(read.step);
    }
    return "";
  }

  std::string plan_obstacle() {
    if (sub_->undo || around_.draft.plan().undo)
      return "what the plan does is undone when it fails";
    std::optional<std::string>& known = mapped() ? called().in_rows : called().alone;
    if (!known) known = any_call_obstacle();
    return *known;
  }

  CalledPlan& called() const {
    CalledPlan& known = around_.called[sub_.get()];
    if (!known.tools) known.tools = catalog_within(*sub_, around_.tools);
    return known;
  }

  // Of this call as of any other one that is made alike, once or item by item.
  std::string any_call_obstacle() const {
    if (!sub_->budget.none()) return "its plan has a budget";
    if (sub_->concurrency != Plan().concurrency) return "its plan says how much is done at once";
    if (!sub_->allow.empty()) return "its plan allows passes of its own";
    if (sub_->steps.size() > kMostSteps) {
      return fmt::format("its plan has more than {} steps", kMostSteps);
    }
    for (const Step& step : sub_->steps) {
      std::string why = step_obstacle(step, *called().tools);
      if (why.empty() && mapped()) why = row_obstacle(step);
      if (!why.empty()) return fmt::format("its step {} {}", step.id, why);
    }
    for (const Reference& read : references_of(sub_->result, EdgeUse::kBody)) {
      if (mapped() && !reads_output(read)) return "its plan's result reads a status";
    }
    return "";
  }

  std::string step_obstacle(const Step& step, const ToolCatalog& tools) const {
    const bool known = step.op == OperatorKind::kLlm || step.op == OperatorKind::kTool ||
                       step.op == OperatorKind::kCode || step.op == OperatorKind::kValue;
    if (!known) return fmt::format("is a {}", operator_name(step.op));
    const Effect effect = effect_of(step, *sub_, tools);
    if (effect > Effect::kRead) return fmt::format("has the effect {}", effect_name(effect));
    if (can_be_undone(step, *sub_, tools)) return "can be undone";
    if (step_streams(step, tools)) return "gives its items one by one";
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      return "has another one that stands in for it";
    }
    if (!step.budget.none()) return "has a budget";
    for (const auto& [id, rule] : step.joins) {
      for (const JoinAction* action : {&rule.skipped, &rule.failed}) {
        if (action->kind != JoinAction::Kind::kValue || action->value.as_constant()) continue;
        return "puts what it reads in the place of an input";
      }
    }
    return own_name(step);
  }

  // Names of tools and models are looked up in the plan around from now on.
  std::string own_name(const Step& step) const {
    const bool llm = step.op == OperatorKind::kLlm;
    if (llm) {
      const NamedSettings* model = sub_->find_model(step.target);
      if (model != nullptr && !model->inherited) return "asks a model of the plan's own";
    }
    std::vector<std::string> names;
    if (step.op == OperatorKind::kTool) names.push_back(step.target);
    const Binding* offered = llm ? step.with.find("tools") : nullptr;
    if (offered != nullptr) {
      const std::optional<Value> list = offered->as_constant();
      if (!list || !list->is_array()) return "offers tools that are not known yet";
      for (const Value& each : list->items()) {
        const std::string_view name = each.is_string() ? each.as_string() : std::string_view();
        names.emplace_back(name.substr(0, name.find('.')));
      }
    }
    for (const std::string& name : names) {
      const NamedSettings* tool = sub_->find_tool(name);
      if (tool == nullptr || !tool->inherited) return "calls a tool of the plan's own";
    }
    return "";
  }

  // What means something else where the plan is called for each item.
  static std::string row_obstacle(const Step& step) {
    if (step.for_each) return "goes over a list of its own";
    if (!step.after.empty()) return "comes after another one";
    if (step.concurrency) return "says how much is done at once";
    for (const Reference& read : references_of(step)) {
      if (!reads_output(read)) return "reads a status";
    }
    return "";
  }

  // ---- what stands for its parameters ----
  std::string take_arguments() {
    for (const ParamSpec& param : sub_->params) {
      const Binding* given = call_.with.find(param.id);
      if (failpoint(Failpoint::kInlineForgetsArgument) && param.has_default) given = nullptr;
      if (given == nullptr && !param.has_default) {
        return fmt::format("it does not give the parameter {}", param.id);
      }
      Binding value;
      if (given != nullptr) {
        if (!surely_fits(*given, param)) {
          return fmt::format("what it gives for {} is checked when it is called", param.id);
        }
        value = *given;
      } else {
        value.expr = Expr::constant(param.default_value);
        value.pos = value.text_pos = call_.pos;
      }
      std::optional<std::string> text = text_of(value, param.id);
      arguments_[param.id] = text ? *std::move(text) : add_value(param.id, std::move(value));
    }
    return "";
  }

  bool surely_fits(const Binding& given, const ParamSpec& param) const {
    if (!param.schema) return true;
    if (const auto constant = given.as_constant()) return param.schema->valid(*constant);
    const auto exact = given.kind == Binding::Kind::kExpr ? given.expr.as_input() : std::nullopt;
    if (exact && given.expr.inputs()[*exact].root == "params") {
      const ExprInput& input = given.expr.inputs()[*exact];
      const ParamSpec* ours =
          input.path.empty() ? nullptr : around_.draft.plan().find_param(input.path[0]);
      if (ours != nullptr && ours->schema && same_demands(*ours->schema, *param.schema))
        return true;
    }
    const PlanFacts& facts = around_.facts();
    const Step& as_found = facts.plan.steps[index_];
    const Binding* leaf = as_found.with.find(param.id);
    return leaf != nullptr &&
           certainly_fits(facts.type_of(*leaf, Place::kTask, &as_found), *param.schema);
  }

  // What can be written wherever the parameter is read: it costs nothing and cannot fail.
  std::optional<std::string> text_of(const Binding& value, const std::string& param) const {
    if (const auto constant = value.as_constant()) return literal_text(*constant, kMostLiteral);
    const auto exact = value.kind == Binding::Kind::kExpr ? value.expr.as_input() : std::nullopt;
    if (!exact) return std::nullopt;
    const ExprInput& input = value.expr.inputs()[*exact];
    if (input.root == "steps") {
      const std::uint32_t from = around_.draft.index_of(input.path[0]);
      const bool slots = from != kNoIndex && around_.draft.slots(from);
      if (input.slot && !slots) return std::nullopt;
      // The list is one value here; over the step itself the skipped tasks were no items.
      if (!input.slot && slots && is_gone_over(param)) return std::nullopt;
    }
    return input.dotted();
  }

  bool is_gone_over(const std::string& param) const {
    return std::ranges::any_of(sub_->steps, [&](const Step& step) {
      if (!step.for_each || step.for_each->kind != Binding::Kind::kExpr) return false;
      const auto exact = step.for_each->expr.as_input();
      return exact && step.for_each->expr.inputs()[*exact].dotted() == "params." + param;
    });
  }

  // A value of the plan around in its place; the text that reads it.
  std::string add_value(const std::string& param, Binding value) {
    Step step;
    std::string name = "with_" + param;
    while (sub_->find_step(name) != nullptr) name += "_";
    step.id = new_id(name);
    step.pos = call_.pos;
    step.op_pos = call_.op_pos;
    step.target_pos = call_.target_pos;
    step.op = OperatorKind::kValue;
    step.with.kind = Binding::Kind::kMap;
    step.value = std::move(value);
    step.for_each = call_.for_each;
    std::string text = output_of(step.id);
    InlinedStep from{step.id, call_.id, call_.target, "", std::move(name), mapped()};
    made_.steps.emplace_back(std::move(step), std::move(from));
    return text;
  }

  std::string output_of(const std::string& id) const {
    const bool slot = mapped() && !failpoint(Failpoint::kInlineWholeLists);
    return fmt::format("steps.{}.output{}", id, slot ? "[index]" : "");
  }

  std::string new_id(const std::string& name) {
    std::string base = fmt::format("{}_{}", call_.id, name);
    if (base.size() > kMostIdBytes) base.resize(kMostIdBytes);
    std::string id = base;
    for (int number = 2; !around_.taken.insert(id).second; ++number) {
      id = fmt::format("{}_{}", base, number);
    }
    return id;
  }

  // ---- the steps ----
  std::optional<std::string> replacement(const ExprInput& input) const {
    if (input.root == "params" && !input.path.empty()) {
      const auto argument = arguments_.find(input.path[0]);
      return argument == arguments_.end() ? std::nullopt : std::optional(argument->second);
    }
    if (input.root != "steps" || input.path.size() < 2) return std::nullopt;
    const auto name = names_.find(input.path[0]);
    if (name == names_.end()) return std::nullopt;
    if (input.path[1] == "status") return fmt::format("steps.{}.status", name->second);
    if (input.slot) return fmt::format("steps.{}.output[index]", name->second);
    return output_of(name->second);
  }

  // Those that the result hangs on: nobody needs what others do, and they change nothing.
  Ids needed_steps() const {
    Ids needed;
    std::vector<std::string> open;
    auto need = [&](const std::vector<Reference>& reads) {
      for (const Reference& read : reads) {
        if (needed.insert(read.step).second) open.push_back(read.step);
      }
    };
    need(references_of(sub_->result, EdgeUse::kBody));
    while (!open.empty()) {
      const Step* step = sub_->find_step(open.back());
      open.pop_back();
      if (step != nullptr) need(references_of(*step));
    }
    return needed;
  }

  std::string make_steps() {
    const Ids needed = needed_steps();
    for (const Step& step : sub_->steps) {
      if (needed.contains(step.id)) names_.emplace(step.id, new_id(step.id));
    }
    const InputReplacement replace = [this](const ExprInput& input) { return replacement(input); };
    for (const Step& step : sub_->steps) {
      if (!needed.contains(step.id)) continue;
      Step made = step;
      made.id = names_.at(step.id);
      if (auto done = rewrite_step(made, replace); !done) {
        forget_names();
        return fmt::format("its step {}: {}", step.id, done.error().message());
      }
      for (auto& after : made.after) after.value = names_.at(after.value);
      for (auto& [id, rule] : made.joins) id = names_.at(id);
      if (mapped()) made.for_each = call_.for_each;
      InlinedStep from{made.id, call_.id, call_.target, step.id, step.id, mapped()};
      made_.steps.emplace_back(std::move(made), std::move(from));
    }
    return "";
  }

  void forget_names() {
    for (const auto& [id, name] : names_) around_.taken.erase(name);
  }

  // The call itself: a value that is what the sub-plan's result is.
  std::string make_result() {
    Step& result = made_.result;
    result.id = call_.id;
    result.pos = call_.pos;
    result.op_pos = call_.op_pos;
    result.target_pos = call_.target_pos;
    result.op = OperatorKind::kValue;
    result.with.kind = Binding::Kind::kMap;
    result.for_each = call_.for_each;
    auto value = rewrite_binding(sub_->result,
                                 [this](const ExprInput& input) { return replacement(input); });
    if (!value) return "its result: " + value.error().message();
    result.value = *std::move(value);
    find_inner_skips();
    if (failpoint(Failpoint::kInlineReadsSkipped)) return "";
    // A result reads what was skipped as null.
    std::set<std::string> seen;
    for (const Reference& read : references_of(result)) {
      if (!reads_output(read) || !inner_skips_.contains(read.step)) continue;
      if (!seen.insert(read.step).second) continue;
      JoinRule rule;
      rule.skipped = {JoinAction::Kind::kValue, Binding()};
      rule.states_skipped = true;
      rule.pos = call_.pos;
      result.joins.emplace_back(read.step, std::move(rule));
    }
    return "";
  }

  // The steps that may be skipped although the call is not.
  void find_inner_skips() {
    for (std::size_t before = SIZE_MAX; before != inner_skips_.size();) {
      before = inner_skips_.size();
      for (const auto& [step, from] : made_.steps) {
        if (skips_itself(step)) inner_skips_.insert(step.id);
        for (const Reference& read : references_of(step)) {
          if (!reads_output(read) || !inner_skips_.contains(read.step)) continue;
          const JoinRule* rule = step.find_join(read.step);
          const bool passes = rule == nullptr || rule->skipped.kind == JoinAction::Kind::kSkip;
          if (passes) inner_skips_.insert(step.id);
        }
      }
    }
  }

  // ---- that it looks at the world when the call did ----
  // Something with an effect is done before the step has ended.
  bool acts_before(std::uint32_t step) const {
    const PlanDraft& draft = around_.draft;
    std::set<std::uint32_t> seen;
    std::vector<std::uint32_t> open = {step};
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      if (at == kNoIndex || !seen.insert(at).second) continue;
      if (acts(draft, at) >= Effect::kIdempotent) return true;
      for (const Reference& read : draft.reads(at)) open.push_back(draft.index_of(read.step));
      const auto& on_error = draft.steps()[at].on_error;
      const bool lent = on_error && on_error->kind == OnErrorRule::Kind::kStep;
      if (lent) open.push_back(draft.index_of(on_error->step));
    }
    return false;
  }

  // What the step waits for: "w" all of it, "w[]" its slot. `ended`: what it has waited for when it
  // has ended in whatever way, else what it waits for before it is done.
  void waited_for(const Step& step, bool ended, Ids& found) const {
    for (const Reference& read : references_of(step)) {
      if (ended && step.for_each && !mapped() && read.use != EdgeUse::kItems) continue;
      if (ended && step.when && read.use == EdgeUse::kBody) continue;
      const bool slot = read.mode == EdgeMode::kSlot || read.exact_items;
      if (!found.insert(read.step + (slot && mapped() ? "[]" : "")).second) continue;
      const auto inner =
          std::ranges::find(made_.steps, read.step, [](const auto& made) { return made.first.id; });
      if (inner != made_.steps.end()) waited_for(inner->first, true, found);
    }
  }

  // Steps that read see what was done before the call: they wait for it, too.
  std::string keep_order() {
    std::vector<const Reference*> inputs;
    for (const Reference& read : around_.draft.reads(index_)) {
      if (read.use == EdgeUse::kItems || failpoint(Failpoint::kInlineReadsEarly)) continue;
      if (acts_before(around_.draft.index_of(read.step))) inputs.push_back(&read);
    }
    if (inputs.empty()) return "";
    for (auto& [step, from] : made_.steps) {
      const bool asks = step.op == OperatorKind::kLlm && step.with.find("tools") == nullptr;
      const Step* known = sub_->find_step(from.step);
      if (asks || known == nullptr || effect_of(*known, *sub_, *called().tools) < Effect::kRead)
        continue;
      Ids waited;
      waited_for(step, false, waited);
      for (const Reference* input : inputs) {
        const bool slot = mapped() && input->mode == EdgeMode::kSlot;
        if (waited.contains(input->step) || (slot && waited.contains(input->step + "[]"))) continue;
        if (mapped()) {
          return fmt::format("its step {} would read before {} is done", from.step, input->step);
        }
        step.after.push_back({input->step, call_.pos});
        waited.insert(input->step);
      }
    }
    return "";
  }

  // ---- that it fails and is skipped as the call was ----
  // Whether a task of the step surely ends as its input does, where that failed or was skipped.
  bool ends_like(const Step& step, const std::string& input, bool skipped) const {
    const bool own_items = step.for_each && !mapped();  // there may be none
    return std::ranges::any_of(references_of(step), [&](const Reference& read) {
      if (read.step != input || read.mode == EdgeMode::kStatus) return false;
      if (own_items && read.use != EdgeUse::kItems) return false;
      if (step.when && read.use == EdgeUse::kBody) return false;
      if (read.mode == EdgeMode::kOrder) return !skipped;
      const JoinRule* rule = step.find_join(input);
      if (rule == nullptr) return true;
      return skipped ? rule->skipped.kind == JoinAction::Kind::kSkip
                     : rule->failed.kind == JoinAction::Kind::kFail;
    });
  }

  std::vector<const Step*> all_steps() const {
    std::vector<const Step*> all = {&made_.result};
    for (const auto& [step, from] : made_.steps) all.push_back(&step);
    return all;
  }

  // A call fails where anything inside of it does, or what it was given; so must its result.
  std::string keep_failures() {
    std::set<std::string> sure = {made_.result.id};
    const std::vector<const Step*> all = all_steps();
    for (std::size_t before = 0; before != sure.size();) {
      before = sure.size();
      for (const Step* step : all) {
        if (!sure.contains(step->id)) continue;
        for (const Reference& read : references_of(*step)) {
          if (ends_like(*step, read.step, false)) sure.insert(read.step);
        }
      }
    }
    std::vector<std::string> inside(inputs_.begin(), inputs_.end());
    for (const auto& [step, from] : made_.steps) inside.push_back(step.id);
    for (const std::string& id : inside) {
      if (sure.contains(id)) continue;
      if (mapped()) return fmt::format("it would not fail where {} does", id);
      made_.result.after.push_back({id, call_.pos});
    }
    return "";
  }

  // Where one of its inputs is skipped nothing inside of it runs.
  std::string keep_skips() {
    if (skipped_inputs_.empty() || failpoint(Failpoint::kInlineIgnoresSkip)) return "";
    if (!inner_skips_.empty()) {
      return fmt::format("{} may be skipped, and so may steps of its plan",
                         fmt::join(skipped_inputs_, ", "));
    }
    const std::vector<const Step*> all = all_steps();
    for (const std::string& input : skipped_inputs_) {
      std::set<std::string> ends = {input};
      for (std::size_t before = 0; before != ends.size();) {
        before = ends.size();
        for (const Step* step : all) {
          const bool ended = std::ranges::any_of(
              ends, [&](const std::string& id) { return ends_like(*step, id, true); });
          if (ended) ends.insert(step->id);
        }
      }
      for (const Step* step : all) {
        if (ends.contains(step->id)) continue;
        return fmt::format("{} may be skipped, and not all of its plan reads it", input);
      }
    }
    return "";
  }

  // In a call whose inputs may be skipped all steps may be, for no other reason.
  void state_joins() {
    const auto may_skip = [&](std::string_view id) {
      if (skipped_inputs_.contains(id) || inner_skips_.contains(id)) return true;
      return !skipped_inputs_.empty() && !inputs_.contains(id);
    };
    state_skips(made_.result, may_skip);
    for (auto& [step, from] : made_.steps) state_skips(step, may_skip);
  }

  const InlineSurroundings& around_;
  std::uint32_t index_;
  const Step call_;
  PlanPtr sub_;
  Ids inputs_;          // steps that `with` reads
  Ids skipped_inputs_;  // of them, those that may be skipped
  Ids inner_skips_;     // steps that may be skipped for reasons inside of the plan
  Names arguments_;     // by parameter: the text that stands for it
  Names names_;         // new ids
  InlinedCall made_;
};

}  // namespace

std::expected<InlinedCall, std::string> inline_call(const InlineSurroundings& around,
                                                    std::uint32_t call) {
  return InlineCall(around, call).run();
}

}  // namespace sluice
