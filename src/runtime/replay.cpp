#include "runtime/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "base/ids.h"
#include "data/json.h"
#include "plan/lower.h"
#include "runtime/recovery_impl.h"

namespace sluice {
namespace {

// Steps whose calls may have had `once` effects that no result tells of.
bool may_be_once(const PhysicalStep& step) {
  if (step.effect == Effect::kOnce || step.logical.produced_plan) return true;
  if (step.logical.op == OperatorKind::kLlm && step.logical.with.find("tools") != nullptr) {
    return true;
  }
  return step.plan != nullptr && std::ranges::any_of(step.plan->steps, may_be_once);
}

// "per_row[3]/ask#2" is of the step per_row.
std::string root_step(std::string_view task_id) {
  return std::string(task_id.substr(0, task_id.find_first_of("[/#")));
}

void compare_ends(const Recovery::Impl& found, JournalSeq last, ReplayReport& report) {
  if (!found.ended || report.difference) return;
  const RunEndedRecord& was = *found.ended;
  const std::optional<RunOutcome>& now = found.core->open.end;
  auto told = [](RunStatus status, const Value& result) {
    return fmt::format("{}: {}", run_status_name(status), preview(result));
  };
  Result<Value> result = found.values.load(was.result);
  if (!result) result = was.result;
  if (now && now->status == was.status && now->result == *result) return;
  report.difference =
      ReplayDifference{last, told(was.status, *result),
                       now ? told(now->status, now->result) : std::string("the run goes on")};
}

}  // namespace

Result<ReplayReport> replay_run(Journal& journal, std::string_view run_id, PhysicalPlanPtr plan,
                                ValueStore& values, TraceSink* trace, AdoptPlan adopt) {
  Recovery recovery(std::move(plan), values, trace, std::move(adopt), true);
  JournalSeq last = 0;
  auto read = read_records(journal, run_id, [&](JournalSeq seq, const JournalRecord& record) {
    last = seq;
    return recovery.take(seq, record);
  });
  if (!read) return std::unexpected(read.error());
  ReplayReport report;
  report.events = recovery.events();
  report.difference = recovery.difference();
  report.ended = recovery.ended().has_value();
  compare_ends(recovery.inside(), last, report);
  return report;
}

Result<std::set<std::string>> steps_from(const PhysicalPlan& plan, const std::string& from_step) {
  std::set<std::string> names;
  if (from_step.empty()) return names;
  std::vector<std::uint32_t> open;
  std::vector<std::string> known;
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    const auto& ids = plan.steps[i].logical_ids;
    known.insert(known.end(), ids.begin(), ids.end());
    if (std::ranges::find(ids, from_step) != ids.end()) open.push_back(i);
  }
  if (open.empty()) {
    const std::string close = closest_name(from_step, known);
    return fail(ErrorCode::kStepUnknown,
                fmt::format("the plan has no step {}{}", from_step,
                            close.empty() ? "" : "; did you mean " + close + "?"));
  }
  std::vector<bool> seen(plan.steps.size());
  while (!open.empty()) {
    const std::uint32_t step = open.back();
    open.pop_back();
    if (seen[step]) continue;
    seen[step] = true;
    const PhysicalStep& physical = plan.steps[step];
    names.insert(physical.logical_ids.front());
    open.insert(open.end(), physical.consumers.begin(), physical.consumers.end());
    // A stand-in and the step that it stands in for are one in what they give.
    if (physical.fallback != kNoIndex) open.push_back(physical.fallback);
    if (physical.fallback_of != kNoIndex) open.push_back(physical.fallback_of);
  }
  return names;
}

namespace {

// Goes through a run's calls and finds what a fork can take over, and what it would repeat.
class ReuseFill {
 public:
  ReuseFill(const ForkPoint& point, std::string_view run_id, ValueStore& values)
      : point_(point), run_id_(run_id), values_(values) {}

  void ended(const StartCall& start, const CallEnded& end, bool intent) {
    const auto* returned = std::get_if<CallReturned>(&end.outcome);
    // A `once` call that failed is known not to have happened; others may have.
    if (start.undo)
      return undone(start, returned ? Undo::kDone : intent ? Undo::kNot : Undo::kMaybe);
    CallsOfTask& task = task_of(start);
    const bool own = start.call.call == 0;
    // A step's own call that failed is known not to have happened.
    if (intent && (!own || start.streaming || returned != nullptr)) task.once.insert(start.call);
    if (own) enter(start, task, returned, end.usage);
  }

  // Known not to have happened; maybe its turn never comes again.
  void resumed(const StartCall& start) {
    if (start.undo) return undone(start, Undo::kNot);
    CallsOfTask& task = task_of(start);
    task.once.erase(start.call);
    if (start.call.call == 0) enter(start, task, nullptr, {});
  }

  void open(const OpenCallEffect& call) {
    const StartCall& start = call.start;
    if (start.undo) return undone(start, Undo::kMaybe);
    CallsOfTask& task = task_of(start);
    if (call.intent) task.once.insert(start.call);
    if (start.call.call == 0) enter(start, task, nullptr, {});
  }

  // The journal begins with a snapshot: what was called before it is not known.
  Result<void> compacted(const PhysicalPlan& plan, ReuseReport& report) const {
    for (const PhysicalStep& step : plan.steps) {
      const std::string name = root_step(step.logical_ids.front());
      if (point_.again.contains(name)) continue;
      if (may_be_once(step)) {
        return refuse(
            fmt::format("the journal was compacted: what {} had called before, and may "
                        "call only once, is not in it any more",
                        name));
      }
      const OperatorKind op = step.logical.op;
      if (op != OperatorKind::kValue && op != OperatorKind::kWait) report.repeated.insert(name);
    }
    return {};
  }

  Result<void> give(ReuseReport& report) {
    if (problem_) return std::unexpected(*problem_);
    for (const auto& [key, task] : tasks_) {
      const std::string step = root_step(task.name);
      if (task.taken) {
        ++report.reusable;
        ++report.taken[step];
        if (task.name == step) report.repeated.erase(step);
        continue;
      }
      if (point_.again.contains(step)) continue;
      if (task.maybe_undone) {
        return refuse(fmt::format("{} is being undone, or may have been", task.name));
      }
      if (!task.once.empty() && !failpoint(Failpoint::kForkRepeatsOnce)) {
        return refuse(
            fmt::format("{} has called what may be called only once, and has no result "
                        "that could be taken over",
                        task.name));
      }
      report.repeated.insert(step);
    }
    report.table = std::move(table_);
    return {};
  }

 private:
  struct CallsOfTask {
    std::string name;
    bool taken = false;
    bool maybe_undone = false;
    std::set<CallRef> once;  // that left, and were not undone
  };

  std::unexpected<Error> refuse(const std::string& why) const {
    return fail(ErrorCode::kRunChanged,
                fmt::format("run {} cannot be forked there: {}; fork from that step or one before "
                            "it, or run the plan anew",
                            run_id_, why));
  }

  CallsOfTask& task_of(const StartCall& start) {
    CallsOfTask& task = tasks_[{start.call.task, start.call.round}];
    if (start.call.call == 0 || task.name.empty()) task.name = start.task_id;
    return task;
  }

  // Keys are kept for what runs again, results only for what does not.
  void enter(const StartCall& start, CallsOfTask& task, const CallReturned* returned,
             const Usage& usage) {
    if (start.step == nullptr) return;
    auto args = values_.load(start.args);
    if (!args) {
      if (!problem_) problem_ = args.error();
      return;
    }
    ReuseTable::Entry entry;
    entry.result_key = result_key(*start.step, *args);
    entry.idempotency_key = start.idempotency_key;
    if (point_.taken_over != nullptr) {
      const auto* older = point_.taken_over->find(start.task_id, entry.result_key);
      if (older != nullptr) entry.idempotency_key = older->idempotency_key;
    }
    const bool again =
        point_.again.contains(root_step(start.task_id)) && !failpoint(Failpoint::kForkTakesAgain);
    task.taken = returned != nullptr && !again && !start.streaming;
    if (task.taken) {
      entry.returned = CallReturned{returned->output, true};
      entry.usage = usage;
    }
    table_->add(start.task_id, std::move(entry));
  }

  enum class Undo : std::uint8_t { kDone, kNot, kMaybe };

  // What was taken back, or may have been, has no result any more, and its key stands for something
  // that is over: undone under that key, the tool would take the new call's undoing for the old
  // one.
  void undone(const StartCall& start, Undo how) {
    CallRef call = start.call;
    call.call &= static_cast<std::uint16_t>(~kUndoCall);
    call.attempt &= (1u << kUndoAttemptBit) - 1;
    CallsOfTask& task = task_of(start);
    task.maybe_undone = how == Undo::kMaybe;
    if (how == Undo::kNot || failpoint(Failpoint::kForkTakesUndone)) return;
    if (how == Undo::kDone) task.once.erase(call);
    task.taken = false;
    table_->remove(task.name);
  }

  const ForkPoint& point_;
  std::string_view run_id_;
  ValueStore& values_;
  std::shared_ptr<ReuseTable> table_ = std::make_shared<ReuseTable>();
  std::map<std::pair<TaskRef, std::uint32_t>, CallsOfTask> tasks_;
  std::optional<Error> problem_;  // what a call was asked cannot be read
};

// What the root frame of a restored run was given.
Value params_of(const PhysicalPlan& plan, const RunState& state) {
  std::vector<Value::Member> members;
  if (!state.alive(0)) return Value::object({});
  for (const ParamSpec& param : plan.logical->params) {
    StepInput input;
    input.param = param.id;
    members.emplace_back(param.id, state.result_input(0, input));
  }
  return Value::object(std::move(members));
}

}  // namespace

Result<ReuseReport> build_reuse_table(Journal& journal, std::string_view run_id,
                                      PhysicalPlanPtr plan, ValueStore& values, AdoptPlan adopt,
                                      const ForkPoint& point) {
  ReuseReport report;
  report.from = point.again;
  ReuseFill fill(point, run_id, values);
  Recovery recovery(plan, values, nullptr, std::move(adopt), false);
  Recovery::Impl& found = recovery.inside();
  recovery.on_call_end([&](const StartCall& start, const CallEnded& end) {
    const OpenCallEffect* call = found.core->open.find(end.call);
    fill.ended(start, end, call != nullptr && call->intent);
  });
  recovery.on_call_resumed([&](const StartCall& start) { fill.resumed(start); });
  auto read = read_records(journal, run_id, [&](JournalSeq seq, const JournalRecord& record) {
    if (seq > point.upto) return Result<void>();
    if (auto taken = recovery.take(seq, record); !taken) return taken;
    const auto type = static_cast<RecordType>(record.type);
    if (type == RecordType::kSnapshot) {
      report.params = params_of(*plan, *found.core->state);
      if (auto good = fill.compacted(*plan, report); !good) return good;
    }
    if (type == RecordType::kRunStarted) report.params = params_of(*plan, *found.core->state);
    if (report.first == 0) report.first = seq;
    report.last = seq;
    return Result<void>();
  });
  if (!read) return std::unexpected(read.error());
  (void)recovery.state();  // works out what the last event led to
  for (const OpenCallEffect* call : found.core->open.calls()) fill.open(*call);
  if (auto good = fill.give(report); !good) return std::unexpected(good.error());
  return report;
}

Result<ReuseReport> build_reuse_table(Journal& journal, std::string_view run_id,
                                      PhysicalPlanPtr plan, ValueStore& values, AdoptPlan adopt,
                                      const std::string& from_step) {
  auto from = steps_from(*plan, from_step);
  if (!from) return std::unexpected(from.error());
  return build_reuse_table(journal, run_id, std::move(plan), values, std::move(adopt),
                           ForkPoint{.again = std::move(*from)});
}

}  // namespace sluice
