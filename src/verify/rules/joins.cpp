// JOIN_UNSTATED: an input that may be skipped while another is not: the plan says what then. And
// the values of joins read no steps: they stand in for what such a read would wait for.
#include <algorithm>

#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

struct Input {
  const Reference* read = nullptr;
  const CauseSet* causes = nullptr;
};

// One for each step and way of reading it, at the place where it is read first.
std::vector<Input> inputs_of(const Step& step, const PlanFacts& facts, std::uint32_t index) {
  std::vector<Input> inputs;
  for (const Reference& read : facts.steps[index].reads) {
    if (read.mode == EdgeMode::kStatus || read.mode == EdgeMode::kOrder) continue;
    const StepFacts& from = facts.steps[facts.index_of(read.step)];
    const CauseSet* causes = facts.reads_slot(step, read) ? &from.skips_slot : &from.skips_whole;
    bool repeated = std::ranges::any_of(inputs, [&](const Input& input) {
      return input.read->step == read.step && input.causes == causes;
    });
    if (!repeated) inputs.push_back({&read, causes});
  }
  return inputs;
}

void values_read_no_steps(const Step& step, Diagnostics& out) {
  for (const auto& [id, join] : step.joins) {
    for (const JoinAction* action : {&join.skipped, &join.failed}) {
      if (action->kind != JoinAction::Kind::kValue) continue;
      for (const Reference& read : references_of(action->value, EdgeUse::kBody)) {
        out.error(ErrorCode::kExprName, read.pos,
                  "the value of a join reads no steps; it may use params, item and index");
      }
    }
  }
}

}  // namespace

void rule_joins(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (std::uint32_t i = 0; i < context.plan.steps.size(); ++i) {
    const Step& step = context.plan.steps[i];
    values_read_no_steps(step, out);
    std::vector<Input> inputs = inputs_of(step, facts, i);
    for (const Input& input : inputs) {
      const JoinRule* join = step.find_join(input.read->step);
      if ((join && join->states_skipped) || input.causes->empty()) continue;
      auto other = std::ranges::find_if(inputs, [&](const Input& candidate) {
        return candidate.read->step != input.read->step && !input.causes->within(*candidate.causes);
      });
      if (other == inputs.end()) continue;
      out.error(ErrorCode::kJoinUnstated, input.read->pos,
                fmt::format("{0} may be skipped while {1} is not; add join: {{{0}: {{skipped: "
                            "skip}}}} (or fail, or {{value: V}})",
                            input.read->step, other->read->step));
    }
  }
}

}  // namespace sluice
