// drop_dead_steps: a step that changes nothing and that nothing reads is not done.
//
//   a: {llm: default, with: {prompt: "..."}}   # gone: neither the result nor a kept step reads it
//   b: {value: 1}
//   result: "{{ steps.b.output }}"
//
// Exact because a pure or a reading call leaves nothing behind but its output; that it might have
// failed the run is a failure avoided. Only where the plan states its `result`: one without is run
// for all that it does. A plan that a step calls always has its result for its reader.
//
// Kept: `once` and `idempotent` steps and all that they need (`after` counts as reading), the
// steps that stand in for kept ones, waits (they hold the run up, also for people), produced plans,
// and what can be undone.
#include "base/failpoint.h"
#include "optimize/passes/passes.h"
#include "optimize/step_skips.h"

namespace sluice {
namespace {

// What happens for its own sake, read or not.
bool matters(const PlanDraft& draft, std::uint32_t index, const ToolCatalog& tools) {
  const Step& step = draft.steps()[index];
  if (step.produced_plan || waits(step, draft.plan())) return true;
  const Effect most = failpoint(Failpoint::kDropEffects)      ? Effect::kOnce
                      : failpoint(Failpoint::kDropIdempotent) ? Effect::kIdempotent
                                                              : Effect::kRead;
  return draft.effect(index) > most || can_be_undone(step, draft.plan(), tools);
}

std::vector<char> find_kept(const PlanDraft& draft, const ToolCatalog& tools) {
  std::vector<char> kept(draft.steps().size(), 0);
  std::vector<std::uint32_t> open;
  auto keep = [&](std::uint32_t step) {
    if (step == kNoIndex || kept[step] != 0) return;
    kept[step] = 1;
    open.push_back(step);
  };
  for (const Reference& read : references_of(draft.plan().result, EdgeUse::kBody)) {
    keep(draft.index_of(read.step));
  }
  for (std::uint32_t step = 0; step < kept.size(); ++step) {
    // One that stands in runs for the step that it stands in for, or not at all.
    if (draft.is_fallback(step)) continue;
    const auto& on_error = draft.steps()[step].on_error;
    bool lent = on_error && on_error->kind == OnErrorRule::Kind::kStep;
    std::uint32_t other = lent ? draft.index_of(on_error->step) : kNoIndex;
    if (matters(draft, step, tools) || (other != kNoIndex && matters(draft, other, tools))) {
      keep(step);
    }
  }
  while (!open.empty()) {
    std::uint32_t step = open.back();
    open.pop_back();
    for (const Reference& read : draft.reads(step)) {
      const bool order = read.mode == EdgeMode::kOrder && failpoint(Failpoint::kDropForgetsOrder);
      const bool status =
          read.mode == EdgeMode::kStatus && failpoint(Failpoint::kDropForgetsStatus);
      if (!order && !status) keep(draft.index_of(read.step));
    }
    const auto& on_error = draft.steps()[step].on_error;
    bool stands_in = on_error && on_error->kind == OnErrorRule::Kind::kStep;
    if (stands_in && !failpoint(Failpoint::kDropForgetsFallback))
      keep(draft.index_of(on_error->step));
  }
  return kept;
}

// Without a result nobody can say what the plan is run for.
void refuse_unread(LogicalPassContext& context) {
  const PlanDraft& draft = context.draft;
  for (std::uint32_t step = 0; step < draft.steps().size(); ++step) {
    bool unread = draft.readers(step).empty() && !draft.is_fallback(step);
    if (!unread || matters(draft, step, context.tools)) continue;
    context.notes.refused(draft.steps()[step].id,
                          "nothing reads it, but the plan states no result: it is run for all "
                          "that it does");
  }
}

}  // namespace

void rewrite_drop_dead_steps(LogicalPassContext& context) {
  PlanDraft& draft = context.draft;
  if (!context.sub_plan && !draft.plan().source.find("result")) return refuse_unread(context);
  std::vector<char> kept = find_kept(draft, context.tools);
  std::vector<std::uint32_t> gone;
  for (std::uint32_t step = 0; step < kept.size(); ++step) {
    if (kept[step] != 0) continue;
    gone.push_back(step);
    const std::string& id = draft.steps()[step].id;
    PassNote& note = context.notes.did(id, "nothing reads it, and it changes nothing: not done");
    if (const StepEstimate* cost = context.estimate.find(id)) {
      note.saved_calls = cost->calls.middle;
      note.saved_tokens =
          cost->calls.middle * (cost->prompt_tokens.middle + cost->completion_tokens.middle);
      note.saved_s = cost->busy_s.middle;
    }
  }
  draft.remove(std::move(gone));
}

}  // namespace sluice
