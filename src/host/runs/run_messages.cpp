#include "host/runs/run_messages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "data/json.h"
#include "plan/names.h"
#include "plan/task_id.h"

namespace sluice {
namespace {

void add_signal_steps(const PhysicalPlan& plan, std::vector<SignalStep>& out) {
  for (const PhysicalStep& step : plan.steps) {
    if (step.plan != nullptr) add_signal_steps(*step.plan, out);
    if (step.logical.op != OperatorKind::kWait) continue;
    const Binding* signal = step.logical.wait.find("signal");
    if (signal == nullptr) continue;
    const std::optional<Value> name = signal->as_constant();
    if (!name || !name->is_string()) continue;
    out.push_back({step.logical.id, std::string(name->as_string()), step.logical.output});
  }
}

std::set<std::string> names_of(const std::vector<SignalStep>& steps) {
  std::set<std::string> names;
  for (const SignalStep& step : steps) names.insert(step.signal);
  return names;
}

// The steps that such a signal may reach: of the task that it names, or of all.
Result<std::vector<const SignalStep*>> reached(const std::vector<SignalStep>& steps,
                                               const SignalMessage& message) {
  std::vector<const SignalStep*> found;
  for (const SignalStep& step : steps) {
    if (step.signal == message.name) found.push_back(&step);
  }
  if (found.empty()) {
    const std::set<std::string> names = names_of(steps);
    if (names.empty()) return fail(ErrorCode::kSignalUnknown, "the run's plan waits for no signal");
    return fail(ErrorCode::kSignalUnknown,
                fmt::format("no step of the run waits for a signal {}{}; there are: {}",
                            shown(message.name), did_you_mean(message.name, names),
                            fmt::join(names, ", ")));
  }
  if (message.task.empty()) return found;
  auto task = TaskId::parse(message.task);
  const std::string step = task && !task->parts.empty() ? task->parts.back().step : "";
  std::erase_if(found, [&](const SignalStep* each) { return each->step != step; });
  if (!found.empty()) return found;
  return fail(ErrorCode::kTaskUnknown, fmt::format("{} is no task that waits for a signal {}",
                                                   shown(message.task), message.name));
}

Result<void> check_open(const PastRun& run) {
  if (!run.ended()) return {};
  return fail(ErrorCode::kRunEnded,
              fmt::format("run {} has ended ({}) and hears nothing", run.header().run_id,
                          run_status_name(run.ended()->status)));
}

}  // namespace

std::vector<SignalStep> signal_steps(const PastRun& run) {
  std::vector<SignalStep> steps;
  add_signal_steps(*run.plan().physical, steps);
  for (const PhysicalPlanPtr& plan : run.adopted()) add_signal_steps(*plan, steps);
  return steps;
}

Result<void> check_signal(PastRun& run, const SignalMessage& message) {
  if (auto open = check_open(run); !open) return open;
  const std::vector<SignalStep> steps = signal_steps(run);
  auto found = reached(steps, message);
  if (!found) return std::unexpected(found.error());
  std::string misfit;
  for (const SignalStep* step : *found) {
    if (!step->output || step->output->valid(message.value)) return {};
    misfit = fmt::format("step {} does not take it: {}", step->step,
                         describe(step->output->validate(message.value)));
  }
  return fail(ErrorCode::kSignalInvalid, fmt::format("{} is not what signal {} brings: {}",
                                                     preview(message.value), message.name, misfit));
}

Result<void> check_resolve(PastRun& run, const ResolveMessage& message) {
  if (auto open = check_open(run); !open) return open;
  const auto doubts = run.state().doubts();
  auto found = std::ranges::find(doubts, message.task, &RunState::Doubt::task_id);
  if (found == doubts.end()) {
    std::vector<std::string> names;
    for (const RunState::Doubt& doubt : doubts) names.push_back(doubt.task_id);
    const std::string there_are =
        names.empty() ? "nothing of it is in doubt. If its process died, sluice resume asks first"
                      : fmt::format("in doubt are: {}", fmt::join(names, ", "));
    return fail(ErrorCode::kTaskUnknown,
                fmt::format("run {} has no call {} in doubt{}; {}", run.header().run_id,
                            shown(message.task), did_you_mean(message.task, names), there_are));
  }
  const bool own_call = found->call.call == 0;
  if (message.verdict != ResolveMessage::Verdict::kDone || !own_call) return {};
  const PhysicalStep* step = run.state().find_step(found->call.task);
  if (step == nullptr || step->streams) return {};
  const SchemaPtr& output = step->logical.output;
  if (!output || output->valid(message.output)) return {};
  return fail(ErrorCode::kOutputInvalid,
              fmt::format("{} is not what step {} gives: {}", preview(message.output),
                          step->logical.id, describe(output->validate(message.output))));
}

Result<std::uint64_t> send_message(Journal& journal, const std::string& run_id,
                                   const RunMessage& message) {
  const auto [kind, body] = encode_message(message);
  return journal.send(run_id, kind, body, system_clock().wall_ns());
}

}  // namespace sluice
