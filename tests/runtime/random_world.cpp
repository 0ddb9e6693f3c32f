#include "tests/runtime/random_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <utility>

#include "plan/physical_codec.h"
#include "tests/runtime/world_ledger.h"

namespace sluice::testing {

namespace {

constexpr std::uint64_t kMaxEvents = 200'000;
constexpr std::uint64_t kMaxSignals = 100;

// What is decided by chance, but by names alone.
enum Salt : std::uint64_t { kEnd = 1, kStream, kBind, kAdmit, kWait, kSettle };

class World final : public TraceSink {
 public:
  World(PhysicalPlanPtr plan, std::uint64_t seed, const WorldOptions& options)
      : plan_(std::move(plan)),
        seed_(seed),
        random_(seed ^ options.order * 0x9E37'79B9'7F4A'7C15 ^ 0x5555),
        options_(options),
        ledger_(plan_->undo,
                [this](const std::string& what, const TaskRef& task) { violate(what, task); }),
        state_(std::make_unique<RunState>(plan_, this)) {}

  WorldReport run() {
    deliver(Event{tick(), RunStarted{"run", Value(), 7}});
    for (; !report_.ended && report_.events < kMaxEvents; ++report_.events) {
      step();
      const std::uint64_t every = options_.snapshot_every;
      if (every > 0 && report_.events % every == 0 && !report_.ended) change_body();
    }
    if (!report_.ended) violate("the run never ended");
    if (!open_calls_.empty()) violate("calls are open after the end");
    report_.undone = ledger_.undone();
    return std::move(report_);
  }

  void on_trace(const TraceEvent& event) override {
    fingerprint(event);
    if (std::getenv("SLUICE_TEST_TRACE")) print(event);
    const TaskRef& task = event.call.task;
    switch (event.kind) {
      case TraceKind::kTaskDone:
      case TraceKind::kTaskSkipped:
      case TraceKind::kTaskFailed:
        return task_ended(event);
      case TraceKind::kItemsKnown:
        if (event.closed) known_[{task.frame, task.step}] = event.count;
        return;
      case TraceKind::kItemEmitted:
        ended_tasks_.insert({task.frame, task.step, static_cast<std::uint32_t>(event.count - 1)});
        return;
      case TraceKind::kTaskInDoubt:
        ++report_.doubts;
        if (!in_doubt_.insert(event.call).second) violate("doubt was told twice", task);
        return;
      case TraceKind::kDoubtEnded:
        if (in_doubt_.erase(event.call) == 0) violate("doubt ended that never began", task);
        return;
      case TraceKind::kSignal:
        ledger_.signal_taken(event.count, task);
        taken_value_[task] = event.value->as_int();
        return;
      default:
        return;
    }
  }

 private:
  struct OpenCall {
    StartCall start;
    bool paused = false;
    bool cancelled = false;
    std::uint64_t emitted = 0;
    std::uint64_t to_emit = 0;
    std::uint64_t times = 0;  // performed before
  };

  SteadyNs tick() { return now_ += 1 + static_cast<SteadyNs>(random_.below(5)) * kNsPerMs; }
  Random named(const CallRef& call, std::uint64_t salt) const {
    return Random(call_hash(call, seed_ * 64 + salt));
  }

  void violate(const std::string& what, TaskRef task = {}) {
    if (report_.violations.size() < 5) {
      report_.violations.push_back(
          fmt::format("{} (frame {:x}, step {}, item {})", what, task.frame, task.step, task.item));
    }
  }

  void print(const TraceEvent& event) {
    fmt::print(stderr, "{} {} frame {:x} step {} item {} attempt {} call {} count {}{}\n", event.at,
               trace_kind_name(event.kind), event.call.task.frame, event.call.task.step,
               event.call.task.item, event.call.attempt, event.call.call, event.count,
               event.error ? " " + event.error->to_string() : "");
  }

  void mix(std::uint64_t number) {
    report_.fingerprint = (report_.fingerprint ^ number) * 0x9E3779B97F4A7C15ull;
  }
  void fingerprint(const TraceEvent& event) {
    mix(static_cast<std::uint64_t>(event.kind));
    mix(static_cast<std::uint64_t>(event.at));
    mix(call_hash(event.call));
    if (event.outcome) mix(event.outcome->critical_path.size() + event.outcome->errors.size());
  }

  void task_ended(const TraceEvent& event) {
    // A stand-in's end is told too, but its task is the one that it stands in for.
    if (event.step->fallback_of != kNoIndex) return;
    const TaskRef& task = event.call.task;
    ++report_.tasks;
    report_.ends[task] = event.kind;
    if (!ended_tasks_.insert(task).second) violate("a task ended twice", task);
    if (task.item == kNoIndex) ended_whole_.insert({task.frame, task.step});
    auto taken = taken_value_.find(task);
    if (taken == taken_value_.end() || event.step->logical.repeat) return;
    const bool same =
        event.value && event.value->is_int() && event.value->as_int() == taken->second;
    if (event.kind == TraceKind::kTaskDone && !same) violate("a signal's value was lost", task);
  }

  // The state in other memory must go on as if nothing had been.
  void change_body() {
    ++report_.snapshots;
    std::string bytes = state_->snapshot();
    auto find = [&](const AdmissionRef& admission, const PhysicalStep&,
                    const Value& recorded) -> Result<PhysicalPlanPtr> {
      auto found = admitted_.find(admission);
      if (found == admitted_.end() || found->second.second != recorded) {
        return fail(ErrorCode::kInternal, "a plan that nobody admitted");
      }
      return found->second.first;
    };
    auto restored = RunState::restore(bytes, plan_, find, this);
    if (!restored) return violate("not restored: " + restored.error().to_string());
    if ((*restored)->snapshot() != bytes) violate("another snapshot after restoring");
    state_ = std::move(*restored);
  }

  // One thing happens.
  void step() {
    if (options_.cancels && random_.below(40) == 0) {
      return deliver({tick(), CancelRequested{0, "enough"}});
    }
    if (options_.signals_race && random_.below(30) == 0) {
      if (signals_ < kMaxSignals || !state_->waits().empty()) return send_signal();
    }
    const std::size_t busy =
        open_calls_.size() + timers_.size() + admits_.size() + begins_.size() + targeted_.size();
    const std::size_t settled = options_.settles ? doubtful_.size() : 0;
    if (busy == 0 && !doubtful_.empty() && state_->waits().empty()) check_doubt_told();
    if (busy + settled == 0) return nothing_left();
    std::size_t choice = random_.below(busy + settled);
    if (choice < open_calls_.size()) return advance_call(choice);
    choice -= open_calls_.size();
    if (choice < timers_.size()) return fire_timer(choice);
    choice -= timers_.size();
    if (choice < admits_.size()) return admit(choice);
    choice -= admits_.size();
    if (choice < begins_.size()) return begin_wait(choice);
    choice -= begins_.size();
    if (choice < targeted_.size()) {
      SignalReceived signal = targeted_[choice];
      targeted_.erase(targeted_.begin() + static_cast<long>(choice));
      ledger_.signal_sent(signal);
      return deliver({tick(), signal});
    }
    settle(choice - targeted_.size());
  }

  void nothing_left() {
    std::vector<RunState::Waiting> waits = state_->waits();
    auto wait = std::ranges::find_if(
        waits, [](const RunState::Waiting& one) { return !one.wait.signal.empty(); });
    if (wait != waits.end() && options_.signals_race) {
      SignalReceived signal{++signals_, wait->wait.signal, "", {}};
      signal.value = Value::integer(static_cast<std::int64_t>(signals_));
      ledger_.signal_sent(signal);
      return deliver({tick(), signal});
    }
    if (!doubtful_.empty()) {
      report_.ended = true;  // in doubt for good
      report_.status = RunStatus::kInDoubt;
      return;
    }
    violate("nothing is under way and the run has not ended");
    report_.ended = true;
  }

  void check_doubt_told() {
    if (!doubt_told_) violate("nothing but doubt is left, and it was not told");
  }

  void fire_timer(std::size_t choice) {
    std::uint64_t timer = *std::next(timers_.begin(), static_cast<long>(choice));
    timers_.erase(timer);
    deliver({tick(), TimerFired{timer}});
    if (options_.duplicates && random_.below(10) == 0) deliver({tick(), TimerFired{timer}});
  }

  void send_signal() {
    SignalReceived signal{++signals_, random_.below(2) == 0 ? "a" : "b", "", {}};
    signal.value = Value::integer(static_cast<std::int64_t>(signals_));
    std::vector<RunState::Waiting> waits = state_->waits();
    if (!waits.empty() && random_.below(3) == 0) {
      signal.task = waits[random_.below(waits.size())].task_id;
    }
    ledger_.signal_sent(signal);
    deliver({tick(), signal});
  }

  void admit(std::size_t index) {
    TaskRef task = admits_[index].first;
    std::uint32_t depth = admits_[index].second;
    admits_.erase(admits_.begin() + static_cast<long>(index));
    Random random = named({.task = task}, kAdmit);
    if (random.below(5) == 0) {
      return deliver({tick(), PlanRefused{task, Error(ErrorCode::kPlanRejected, "not allowed")}});
    }
    PlanShape shape = options_.shape;
    shape.max_steps = 3;
    shape.depth = std::min(depth, 1u);
    auto produced = std::make_shared<PhysicalPlan>(*random_plan(random, shape));
    // Tells it apart from one of the same steps.
    produced->plan_hash.bytes[0] = static_cast<std::uint8_t>(kept_.size());
    produced->plan_hash.bytes[1] = static_cast<std::uint8_t>(kept_.size() >> 8);
    PhysicalPlanPtr plan = std::move(produced);
    if (options_.snapshot_every > 0) {
      // An answer that comes late is taken for the attempt that asked last, and its own then for
      // nothing.
      const AdmissionRef admission{task, asked_last_.at(task)};
      admitted_.try_emplace(admission, plan, encode_physical(*plan));
    }
    kept_.push_back(plan);
    deliver({tick(), PlanAdmitted{task, plan}});
  }

  void begin_wait(std::size_t index) {
    BeginWait begin = begins_[index];
    begins_.erase(begins_.begin() + static_cast<long>(index));
    ++report_.waits;
    Random random = named(begin.call, kWait);
    WaitBegan began;
    began.call = begin.call;
    began.has_value = true;
    began.value = Value::integer(-1);
    const std::uint64_t kind = random.below(12);
    if (kind == 0) {
      began.error = Error(ErrorCode::kWaitInvalid, "no such day");
    } else if (kind < 4) {
      began.until_wall_ns = 1;
    } else {
      began.signal = random.below(2) == 0 ? "a" : "b";
      began.has_value = random.below(2) == 0;
      if (options_.signals_race && kind < 8) began.until_wall_ns = 1;
      if (!options_.signals_race) {
        SignalReceived signal{++signals_, began.signal, begin.task_id, {}};
        signal.value = Value::integer(static_cast<std::int64_t>(signals_));
        targeted_.push_back(signal);
      }
    }
    deliver({tick(), began});
  }

  void advance_call(std::size_t index) {
    OpenCall& call = open_calls_[index];
    if (call.start.streaming && !call.paused && !call.cancelled && call.emitted < call.to_emit) {
      ++call.emitted;
      if (call.emitted % kStreamCredit == 0) call.paused = true;
      return deliver({tick(), ItemEmitted{call.start.call, Value::integer(1)}});
    }
    if (call.paused) {
      // A stream may wait as long as others are under way.
      bool others = !timers_.empty() || !admits_.empty() || !begins_.empty() ||
                    !targeted_.empty() || !state_->waits().empty();
      for (const OpenCall& open : open_calls_) others = others || !open.paused;
      if (others) return;
      violate("a paused stream was never resumed", call.start.call.task);
      call.paused = false;
    }
    OpenCall over = std::move(call);
    open_calls_.erase(open_calls_.begin() + static_cast<long>(index));
    end_call(std::move(over), end_of(over));
  }

  CallEnded end_of(const OpenCall& call) const {
    const CallRef& ref = call.start.call;
    Random random = named(ref, kEnd + 16 * call.times);
    auto output = Value::integer(static_cast<std::int64_t>(call_hash(ref) >> 40));
    CallEnded ended{ref, CallReturned{output, random.below(30) == 0}, Usage{1, 0, 1, 0}};
    if (random.unit() < options_.failure || (call.cancelled && random.below(5) > 0)) {
      const bool doubt = random.unit() < options_.doubt;
      ended.outcome = CallFailed{Error(ErrorCode::kToolFailed, "it failed"), doubt};
      return ended;
    }
    const bool model = call.start.step->logical.op == OperatorKind::kLlm;
    if (!model || call.start.undo || ref.call > 0 || ref.turn > 2 || random.below(2) == 0) {
      return ended;
    }
    ended.outcome = ToolsWanted{Value(), Value::array(std::vector<Value>(1 + random.below(3)))};
    return ended;
  }

  void end_call(OpenCall call, const CallEnded& ended) {
    const auto* failed = std::get_if<CallFailed>(&ended.outcome);
    ledger_.ended(call.start, ended);
    emitted_[call.start.call] = call.emitted;
    if (failed && failed->doubt) doubtful_.push_back(std::move(call));
    deliver({tick(), ended});
    if (!options_.duplicates || report_.ended) return;
    if (random_.below(10) == 0) deliver_again(ended);
    if (random_.below(20) == 0) echoes_.push_back(ended);
    if (!echoes_.empty() && random_.below(10) == 0) {
      CallEnded echo = std::move(echoes_.back());
      echoes_.pop_back();
      deliver_again(echo);
    }
  }

  // A reply that comes once more, unless its call has been made again meanwhile.
  void deliver_again(const CallEnded& ended) {
    auto same = [&](const OpenCall& call) { return call.start.call == ended.call; };
    if (report_.ended || std::ranges::any_of(open_calls_, same)) return;
    const auto* failed = std::get_if<CallFailed>(&ended.outcome);
    if (std::ranges::any_of(doubtful_, same) && !(failed && failed->doubt)) return;
    deliver({tick(), ended});
  }

  // Somebody finds out what became of a call in doubt, or has it made again.
  void settle(std::size_t index) {
    if (random_.below(3) != 0) return;
    OpenCall call = doubtful_[index];
    doubtful_.erase(doubtful_.begin() + static_cast<long>(index));
    doubt_told_ = false;
    const CallRef& ref = call.start.call;
    Random random = named(ref, kSettle + 16 * call.times);
    const std::uint64_t verdict = random.below(3);
    if (verdict == 0) {
      ++performed_[ref];
      ledger_.resumed(ref);
      return deliver({tick(), CallResumed{ref}});
    }
    CallEnded ended{ref, CallReturned{Value::integer(5), false}, Usage{}};
    if (verdict == 1)
      ended.outcome = CallFailed{Error(ErrorCode::kToolFailed, "it did not"), false};
    end_call(std::move(call), ended);
  }

  void deliver(Event event) {
    SteadyNs at = event.at;
    if (report_.ended) return;
    state_->apply(std::span<const Event>(&event, 1), sink_);
    while (!sink_.binds.empty()) {
      std::vector<BindRequest> binds;
      binds.swap(sink_.binds);
      std::vector<Bound> bounds;
      for (const BindRequest& bind : binds) bounds.push_back(answer(bind));
      state_->apply_bound(at, bounds, sink_);
    }
    std::vector<RunEffect> effects;
    effects.swap(sink_.effects);
    for (RunEffect& effect : effects) carry_out(effect);
  }

  Bound answer(const BindRequest& request) {
    Bound bound;
    bound.task = request.task;
    bound.purpose = request.purpose;
    bound.value = Value::integer(1);
    if (!state_->alive(request.task.frame)) return bound;
    const bool result = request.purpose == BindPurpose::kResult;
    if (!result && request.purpose != BindPurpose::kItems) check_inputs(request);
    Result<Value> round = Value::integer(1);
    if (!result) {
      StepInput input;
      input.source = InputSource::kRound;
      round = state_->input(request.task, input);
    }
    Random random = named({.task = request.task,
                           .round = static_cast<std::uint32_t>(round->as_int()),
                           .call = static_cast<std::uint16_t>(request.purpose)},
                          kBind);
    switch (request.purpose) {
      case BindPurpose::kItems: {
        // Sub-plans under maps multiply: small ones keep a seed within its bound of events.
        bound.count = static_cast<std::uint32_t>(random.below(request.task.frame == 0 ? 12 : 3));
        bound.value = Value::array(std::vector<Value>(bound.count, Value::integer(1)));
        break;
      }
      case BindPurpose::kWhen:
        bound.holds = random.below(3) != 0;
        break;
      case BindPurpose::kUntil:
        bound.holds = random.below(2) == 0;
        break;
      case BindPurpose::kProducedPlan:
        bound.value = Value::array({Value(), Value()});
        break;
      default:
        if (random.below(20) == 0) bound.error = Error(ErrorCode::kExprUndefined, "no such thing");
    }
    if (random.below(40) == 0) bound.error = Error(ErrorCode::kExprType, "of the wrong type");
    if (random.below(2) == 0) bound.group = 1 + random.below(3);
    return bound;
  }

  // Nothing is evaluated before what it reads has ended.
  void check_inputs(const BindRequest& request) {
    const PhysicalStep& step = state_->step(request.task);
    for (std::size_t index = 0; index < step.edges.size(); ++index) {
      const Edge& edge = step.edges[index];
      bool needed = request.purpose != BindPurpose::kWhen || edge.use == EdgeUse::kWhen;
      if (!needed || edge.use == EdgeUse::kItems) continue;
      std::pair<std::uint64_t, std::uint32_t> producer{request.task.frame, edge.from};
      if (ended_whole_.contains(producer)) continue;
      auto closed = known_.find(producer);
      if (edge.mode == EdgeMode::kSlot) {
        // A list that failed before its items were known has no such slot: it failed for all.
        if (closed != known_.end() && request.task.item >= closed->second) continue;
        TaskRef slot{request.task.frame, edge.from, request.task.item};
        if (!ended_tasks_.contains(slot)) violate("evaluated before its slot", request.task);
        continue;
      }
      if (closed == known_.end()) {
        violate("evaluated before its input was known", request.task);
        continue;
      }
      for (std::uint32_t item = 0; item < closed->second; ++item) {
        if (!ended_tasks_.contains({request.task.frame, edge.from, item})) {
          violate("evaluated before all of its input ended", request.task);
          break;
        }
      }
    }
  }

  void carry_out(RunEffect& effect) {
    mix(effect.body.index());
    if (report_.ended) violate("an effect after the end");
    if (auto* start = std::get_if<StartCall>(&effect.body)) return enter(*start);
    if (auto* cancel = std::get_if<CancelCall>(&effect.body)) {
      mix(call_hash(cancel->call));
      for (OpenCall& call : open_calls_) {
        if (call.start.call == cancel->call) call.cancelled = true, call.paused = false;
      }
    } else if (auto* resume = std::get_if<ResumeCall>(&effect.body)) {
      mix(call_hash(resume->call));
      for (OpenCall& call : open_calls_) {
        if (call.start.call == resume->call) call.paused = false;
      }
    } else if (auto* timer = std::get_if<SetTimer>(&effect.body)) {
      mix(timer->timer + static_cast<std::uint64_t>(timer->delay_ns));
      if (!timers_.insert(timer->timer).second) violate("two timers of one name");
    } else if (auto* cleared = std::get_if<ClearTimer>(&effect.body)) {
      mix(cleared->timer);
      timers_.erase(cleared->timer);
    } else if (auto* wanted = std::get_if<AdmitPlan>(&effect.body)) {
      asked_last_[wanted->task] = wanted->frame;
      admits_.emplace_back(wanted->task, wanted->task.frame == 0 ? 1 : 0);
    } else if (auto* begin = std::get_if<BeginWait>(&effect.body)) {
      mix(call_hash(begin->call));
      begins_.push_back(*begin);
    } else if (auto* end = std::get_if<EndRun>(&effect.body)) {
      run_ended(end->outcome);
    }
  }

  void run_ended(const RunOutcome& outcome) {
    const bool final = outcome.status != RunStatus::kInDoubt;
    if (final != state_->ended()) violate("an end that is not one");
    ledger_.run_ended(outcome.status);
    report_.status = outcome.status;
    report_.ended = final;
    if (final) return;
    if (doubt_told_) violate("doubt was told twice with nothing between");
    doubt_told_ = true;
    if (doubtful_.empty() || !open_calls_.empty() || !state_->waits().empty()) {
      violate("more than doubt is left");
    }
    if (state_->doubts().size() != doubtful_.size()) violate("doubts are missing in the list");
  }

  void enter(const StartCall& start) {
    ++report_.calls;
    doubt_told_ = false;
    mix(call_hash(start.call));
    ledger_.started(start);
    OpenCall call{start};
    call.times = performed_[start.call];
    call.to_emit = named(start.call, kStream).below(start.call.task.frame == 0 ? 600 : 8);
    // What a stream gave before it was in doubt is not given again.
    call.emitted = emitted_[start.call];
    open_calls_.push_back(call);
    if (!start.undo && start.call.call == 0) check_limits(start);
  }

  void check_limits(const StartCall& start) {
    std::uint32_t in_step = 0, in_resource = 0, in_run = 0;
    for (const OpenCall& open : open_calls_) {
      if (open.start.call.call > 0) continue;
      bool same_frame_step =
          open.start.step == start.step && open.start.call.task.frame == start.call.task.frame;
      in_step += same_frame_step;
      in_run += !open.start.streaming;
      in_resource += open.start.step->resource == start.step->resource;
      const bool same = open.start.call.task == start.call.task;
      if (same && open.start.call != start.call) violate("two calls of one task", start.call.task);
    }
    if (in_run > plan_->concurrency) violate("over the run's limit", start.call.task);
    if (start.step->logical.concurrency && in_step > *start.step->logical.concurrency) {
      violate("over the step's limit", start.call.task);
    }
    if (start.step->resource_limit && in_resource > start.step->resource_limit) {
      violate("over the callee's limit", start.call.task);
    }
    const auto calls = static_cast<std::int64_t>(report_.calls);
    if (plan_->budget.calls && calls > *plan_->budget.calls) {
      violate("over the run's budget", start.call.task);
    }
  }

  PhysicalPlanPtr plan_;
  std::uint64_t seed_;
  Random random_;
  WorldOptions options_;
  WorldReport report_;
  WorldLedger ledger_;
  std::unique_ptr<RunState> state_;
  EffectSink sink_;
  SteadyNs now_ = 0;
  std::vector<OpenCall> open_calls_;
  std::vector<OpenCall> doubtful_;
  std::map<CallRef, std::uint64_t> performed_;
  std::map<CallRef, std::uint64_t> emitted_;
  std::vector<CallEnded> echoes_;
  std::set<std::uint64_t> timers_;
  std::vector<std::pair<TaskRef, std::uint32_t>> admits_;
  std::map<TaskRef, std::uint64_t> asked_last_;  // the frame of its last AdmitPlan
  std::map<AdmissionRef, std::pair<PhysicalPlanPtr, Value>> admitted_;
  std::vector<PhysicalPlanPtr> kept_;
  std::vector<BeginWait> begins_;
  std::vector<SignalReceived> targeted_;  // on their way to one task
  std::uint64_t signals_ = 0;
  std::map<TaskRef, std::int64_t> taken_value_;
  std::set<CallRef> in_doubt_;
  std::set<TaskRef> ended_tasks_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> ended_whole_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint64_t> known_;
  bool doubt_told_ = false;
};

}  // namespace

WorldReport run_random_world(std::uint64_t seed, const WorldOptions& options) {
  Random random(seed);
  PhysicalPlanPtr plan = random_plan(random, options.shape);
  return World(plan, seed, options).run();
}

}  // namespace sluice::testing
