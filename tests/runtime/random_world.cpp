#include "tests/runtime/random_world.h"

#include <fmt/format.h>

#include <cstdlib>

#include "tests/runtime/random_plan.h"

namespace sluice::testing {

namespace {

constexpr std::uint64_t kMaxEvents = 200'000;

class World final : public TraceSink {
 public:
  World(const PhysicalPlanPtr& plan, Random random, const WorldOptions& options)
      : plan_(plan), random_(random), options_(options), state_(plan, this) {}

  WorldReport run() {
    deliver(Event{tick(), RunStarted{"run", "run", Value(), 7}});
    for (std::uint64_t events = 0; !report_.ended && events < kMaxEvents; ++events) step();
    if (!report_.ended) violate("the run never ended");
    if (report_.ended && !open_calls_.empty() && !cut_) violate("calls are open after the end");
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
      case TraceKind::kTaskInDoubt:
        // A stand-in's end is told too, but its task is the one that it stands in for.
        if (event.step->fallback_of != kNoIndex) return;
        ++report_.tasks;
        if (!ended_tasks_.insert(task).second) violate("a task ended twice", task);
        if (task.item == kNoIndex) ended_whole_.insert({task.frame, task.step});
        return;
      case TraceKind::kItemsKnown:
        if (event.closed) known_[{task.frame, task.step}] = event.count;
        return;
      case TraceKind::kItemEmitted:
        ended_tasks_.insert({task.frame, task.step, static_cast<std::uint32_t>(event.count - 1)});
        return;
      default:
        return;
    }
  }

 private:
  SteadyNs tick() { return now_ += 1 + static_cast<SteadyNs>(random_.below(5)) * kNsPerMs; }

  void violate(const std::string& what, TaskRef task = {}) {
    if (report_.violations.size() < 5) {
      report_.violations.push_back(
          fmt::format("{} (frame {}, step {}, item {})", what, task.frame, task.step, task.item));
    }
  }

  void print(const TraceEvent& event) {
    fmt::print(stderr, "{} {} frame {} step {} item {} attempt {} count {}{}\n", event.at,
               trace_kind_name(event.kind), event.call.task.frame, event.call.task.step,
               event.call.task.item, event.call.attempt, event.count,
               event.error ? " " + event.error->to_string() : "");
  }

  void fingerprint(const TraceEvent& event) {
    auto mix = [&](std::uint64_t number) {
      report_.fingerprint = (report_.fingerprint ^ number) * 0x9E3779B97F4A7C15ull;
    };
    mix(static_cast<std::uint64_t>(event.kind));
    mix(static_cast<std::uint64_t>(event.at));
    mix(event.call.task.frame);
    mix(event.call.task.step);
    mix(event.call.task.item);
  }

  // One thing happens: a call ends or emits, a timer fires, somebody interrupts.
  void step() {
    if (options_.interrupts && random_.below(60) == 0) {
      ++interrupts_;
      if (interrupts_ >= 2) cut_ = true;
      return deliver({tick(), Interrupted{}});
    }
    std::size_t choices = open_calls_.size() + timers_.size();
    if (choices == 0) {
      violate("nothing is under way and the run has not ended");
      report_.ended = true;
      return;
    }
    std::size_t choice = random_.below(choices);
    if (choice < open_calls_.size()) return advance_call(choice);
    choice -= open_calls_.size();
    if (choice < timers_.size()) {
      std::uint64_t timer = *std::next(timers_.begin(), static_cast<long>(choice));
      timers_.erase(timer);
      return deliver({tick(), TimerFired{timer}});
    }
  }

  void advance_call(std::size_t index) {
    OpenCall& call = open_calls_[index];
    if (call.streaming && !call.paused && !call.cancelled && call.emitted < call.to_emit) {
      ++call.emitted;
      if (call.emitted % kStreamCredit == 0) call.paused = true;
      return deliver({tick(), ItemEmitted{call.ref, Value::integer(1)}});
    }
    if (call.paused) {
      // A stream may wait as long as others are under way.
      bool others = !timers_.empty();
      for (const OpenCall& open : open_calls_) others = others || !open.paused;
      if (others) return;
      violate("a paused stream was never resumed", call.ref.task);
      call.paused = false;
    }
    CallEnded ended{call.ref, CallReturned{Value::integer(1)}, Usage{1, 0, 1, 0}};
    if (random_.unit() < options_.failure || call.cancelled) {
      bool doubt = random_.unit() < options_.doubt;
      ended.outcome = CallFailed{Error(ErrorCode::kToolFailed, "it failed"), doubt};
    }
    open_calls_.erase(open_calls_.begin() + static_cast<long>(index));
    bool twice = options_.duplicates && random_.below(10) == 0;
    deliver({tick(), ended});
    if (twice && !report_.ended) deliver({tick(), ended});
  }

  void deliver(Event event) {
    SteadyNs at = event.at;
    state_.apply(std::span<const Event>(&event, 1), sink_);
    while (!sink_.binds.empty()) {
      std::vector<BindRequest> binds;
      binds.swap(sink_.binds);
      std::vector<Bound> bounds;
      for (const BindRequest& bind : binds) bounds.push_back(answer(bind));
      state_.apply_bound(at, bounds, sink_);
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
    if (!state_.alive(request.task.frame)) return bound;
    if (request.purpose != BindPurpose::kResult && request.purpose != BindPurpose::kItems) {
      check_inputs(request);
    }
    switch (request.purpose) {
      case BindPurpose::kItems: {
        // Sub-plans under maps multiply: small ones keep a seed within its bound of events.
        bound.count = static_cast<std::uint32_t>(random_.below(request.task.frame == 0 ? 12 : 3));
        bound.value = Value::array(std::vector<Value>(bound.count, Value::integer(1)));
        break;
      }
      case BindPurpose::kWhen:
        bound.holds = random_.below(3) != 0;
        break;
      case BindPurpose::kUntil:
        bound.holds = random_.below(2) == 0;
        break;
      default:
        if (random_.below(20) == 0) bound.error = Error(ErrorCode::kExprUndefined, "no such thing");
    }
    if (random_.below(40) == 0) bound.error = Error(ErrorCode::kExprType, "of the wrong type");
    return bound;
  }

  // Nothing is evaluated before what it reads has ended.
  void check_inputs(const BindRequest& request) {
    const PhysicalStep& step = state_.step(request.task);
    for (std::size_t index = 0; index < step.edges.size(); ++index) {
      const Edge& edge = step.edges[index];
      bool needed = request.purpose != BindPurpose::kWhen || edge.use == EdgeUse::kWhen;
      if (!needed || edge.use == EdgeUse::kItems) continue;
      std::pair<std::uint32_t, std::uint32_t> producer{request.task.frame, edge.from};
      if (ended_whole_.contains(producer)) continue;
      if (edge.mode == EdgeMode::kSlot) {
        TaskRef slot{request.task.frame, edge.from, request.task.item};
        if (!ended_tasks_.contains(slot)) violate("evaluated before its slot", request.task);
        continue;
      }
      auto known = known_.find(producer);
      if (known == known_.end()) {
        violate("evaluated before its input was known", request.task);
        continue;
      }
      for (std::uint32_t item = 0; item < known->second; ++item) {
        if (!ended_tasks_.contains({request.task.frame, edge.from, item})) {
          violate("evaluated before all of its input ended", request.task);
          break;
        }
      }
    }
  }

  void carry_out(RunEffect& effect) {
    if (report_.ended) violate("an effect after the end");
    if (auto* start = std::get_if<StartCall>(&effect.body)) return enter(*start);
    if (auto* cancel = std::get_if<CancelCall>(&effect.body)) {
      for (OpenCall& call : open_calls_) {
        if (call.ref == cancel->call) call.cancelled = true, call.paused = false;
      }
      return;
    }
    if (auto* resume = std::get_if<ResumeCall>(&effect.body)) {
      for (OpenCall& call : open_calls_) {
        if (call.ref == resume->call) call.paused = false;
      }
      return;
    }
    if (auto* timer = std::get_if<SetTimer>(&effect.body)) {
      timers_.insert(timer->timer);
      return;
    }
    if (auto* timer = std::get_if<ClearTimer>(&effect.body)) {
      timers_.erase(timer->timer);
      return;
    }
    if (auto* end = std::get_if<EndRun>(&effect.body)) {
      report_.ended = true;
      report_.status = end->outcome.status;
    }
  }

  void enter(const StartCall& start) {
    ++report_.calls;
    if (interrupts_ > 0) violate("a call started after the interrupt", start.call.task);
    std::uint64_t to_emit = random_.below(start.call.task.frame == 0 ? 600 : 8);
    OpenCall call{start.call, start.step, start.streaming, false, false, 0, to_emit};
    open_calls_.push_back(call);
    std::uint32_t in_step = 0, in_resource = 0, in_run = 0;
    for (const OpenCall& open : open_calls_) {
      bool same_frame_step =
          open.step == start.step && open.ref.task.frame == start.call.task.frame;
      in_step += same_frame_step;
      in_run += !open.streaming;
      in_resource += open.step->resource == start.step->resource;
    }
    if (in_run > plan_->concurrency) violate("over the run's limit", start.call.task);
    if (start.step->logical.concurrency && in_step > *start.step->logical.concurrency) {
      violate("over the step's limit", start.call.task);
    }
    if (start.step->resource_limit && in_resource > start.step->resource_limit) {
      violate("over the callee's limit", start.call.task);
    }
    for (std::size_t other = 0; other + 1 < open_calls_.size(); ++other) {
      if (open_calls_[other].ref.task == start.call.task)
        violate("two calls of one task", start.call.task);
    }
  }

  struct OpenCall {
    CallRef ref;
    const PhysicalStep* step;
    bool streaming;
    bool paused;
    bool cancelled;
    std::uint64_t emitted;
    std::uint64_t to_emit;
  };

  PhysicalPlanPtr plan_;
  Random random_;
  WorldOptions options_;
  WorldReport report_;
  RunState state_;
  EffectSink sink_;
  SteadyNs now_ = 0;
  std::vector<OpenCall> open_calls_;
  std::set<std::uint64_t> timers_;
  std::set<TaskRef> ended_tasks_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> ended_whole_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> known_;
  int interrupts_ = 0;
  bool cut_ = false;
};

}  // namespace

WorldReport run_world(const PhysicalPlanPtr& plan, Random random, const WorldOptions& options) {
  return World(plan, random, options).run();
}

WorldReport run_random_world(std::uint64_t seed, const WorldOptions& options) {
  Random random(seed);
  PhysicalPlanPtr plan = random_plan(random, {});
  return run_world(plan, random, options);
}

}  // namespace sluice::testing
