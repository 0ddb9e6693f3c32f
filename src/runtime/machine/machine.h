// The inside of RunState: one class, its parts in one file each.
//   advance.cpp   opening tasks, readiness of edges, joins
//   bounds.cpp    what evaluated expressions lead to
//   dispatch.cpp  ready tasks, limits, starting calls
//   calls.cpp     ends of calls: retry, repeat, on_error
//   agent.cpp     tool calls of an llm step
//   frames.cpp    sub-plans, produced plans, the end of a plan
//   finish.cpp    ends of slots and relations, and who is told
//   input.cpp     what expressions read
// Nothing recurses over the plan: what a change touches goes through `work_`.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "runtime/effect.h"
#include "runtime/event.h"
#include "runtime/machine/frame.h"
#include "runtime/run_state.h"
#include "runtime/trace.h"

namespace sluice {

class RunMachine {
 public:
  RunMachine(PhysicalPlanPtr plan, TraceSink* trace);

  void apply(std::span<const Event> events, EffectSink& sink);
  void apply_bound(SteadyNs at, std::span<Bound> bounds, EffectSink& sink);
  bool ended() const { return ended_; }

  Result<Value> input(const TaskRef& task, const StepInput& input) const;
  EdgeFill item_fill(const TaskRef& task) const;
  EdgeFill edge_fill(const TaskRef& task, std::uint32_t edge) const;
  Value filled_input(const TaskRef& task, std::uint32_t edge, const Value& fill) const;
  Value result_input(std::uint32_t frame, const StepInput& input) const;
  bool has_spilled(const TaskRef& task, const StepInput& input) const;
  const PhysicalStep& step(const TaskRef& task) const;
  const PhysicalPlan& plan(std::uint32_t frame) const { return *frames_.at(frame)->plan; }
  std::string task_id(const TaskRef& task) const;
  // False for a frame that has gone: its binds are dropped.
  bool alive(std::uint32_t frame) const { return frames_.contains(frame); }

  // Counters for tests and progress.
  std::uint32_t running_calls() const { return running_calls_; }
  std::uint32_t run_slots_used() const { return slots_used_; }

 private:
  // ---- what a change touches, worked off in order ----
  enum class WorkKind : std::uint8_t {
    kConsider,    // a pending step: can its tasks be known?
    kOpen,        // may more tasks be opened?
    kAdvance,     // one waiting task: are its inputs there?
    kAdvanceAll,  // every waiting task of the step
    kFrameEnd,    // all steps of the frame have ended
  };
  struct Work {
    WorkKind kind;
    std::uint32_t frame;
    std::uint32_t step;
    std::uint32_t item;
  };
  void push(WorkKind kind, std::uint32_t frame, std::uint32_t step = 0, std::uint32_t item = 0) {
    work_.push_back({kind, frame, step, item});
  }
  void settle();  // works everything off, starts what may start, ends the run if idle
  void do_work(const Work& work);

  // ---- apply ----
  void on_event(const Event& event);
  void on_run_started(const RunStarted& started);
  void on_call_ended(const CallEnded& ended);
  void on_item(const ItemEmitted& emitted);
  void on_timer(std::uint64_t timer);
  void on_plan_admitted(const PlanAdmitted& admitted);
  void on_plan_refused(const PlanRefused& refused);
  void on_interrupt();
  void on_cancel(const std::string& reason);
  void on_bound(Bound& bound);
  void on_items_bound(Frame& frame, std::uint32_t step, Bound& bound);
  void on_body_bound(Frame& frame, std::uint32_t step, Bound& bound);
  void on_result_bound(Frame& frame, Bound& bound);

  // ---- advance ----
  enum class Ready : std::uint8_t { kNotYet, kGo, kSkip, kFail };
  struct Joined {
    Ready ready = Ready::kGo;
    std::unique_ptr<Error> error;  // kFail
  };
  void consider(Frame& frame, std::uint32_t step);
  void open_more(Frame& frame, std::uint32_t step);
  void advance(Frame& frame, std::uint32_t step, std::uint32_t item);
  void bind_body(Frame& frame, std::uint32_t step, std::uint32_t item);
  bool wholes_ready(Frame& frame, std::uint32_t step, EdgeUse use) const;
  Joined join_edges(Frame& frame, std::uint32_t step, std::uint32_t item, EdgeUse use) const;
  Joined join_edge(const Frame& frame, const PhysicalStep& step, const Edge& edge,
                   std::uint32_t item) const;
  std::uint32_t open_limit(const Frame& frame, std::uint32_t step) const;
  PathPtr latest_input_path(const Frame& frame, std::uint32_t step, std::uint32_t item) const;

  // ---- dispatch ----
  void make_ready(Frame& frame, Task& task);
  void enqueue(const ReadyKey& key);
  void dispatch();
  bool may_start(const ReadyKey& key);
  void start_task(Frame& frame, Task& task);
  void start_call(Frame& frame, Task& task);
  void release_slot(Frame& frame, Task& task);
  std::string budget_words(const Frame& frame, std::uint32_t step);
  std::string round_id(const Task& task) const;
  std::string call_key(const std::string& id, const Task& task, std::uint16_t call = 0) const;
  void charge(Frame& frame, std::uint32_t step, const Usage& usage, std::uint64_t calls);

  // ---- ends of calls ----
  void task_succeeded(Frame& frame, Task& task, Value output);
  void task_failed(Frame& frame, Task& task, Error error);
  void round_ended(Frame& frame, Task& task, bool holds);
  bool schedule_retry(Frame& frame, Task& task, const Error& error);
  void sub_plan_timed_out(Frame& frame, Task& task, bool doubt);
  void apply_on_error(Frame& frame, Task& task, Error error);
  void start_fallback(Frame& frame, Task& task);
  void advance_standins(Frame& frame, std::uint32_t step);
  void advance_fallback(Frame& frame, Task& standin);
  void restart(Frame& frame, Task& task);
  void begin_turn_tools(Frame& frame, Task& task, const ToolsWanted& wanted);
  void next_turn(Frame& frame, Task& task);
  void tool_call_ended(Frame& frame, Task& task, const CallEnded& ended);
  void end_task(Frame& frame, Task& task, SlotStatus status, Value output,
                std::unique_ptr<Error> error);

  // ---- frames ----
  Frame& add_frame(PhysicalPlanPtr plan, Value params, TaskRef parent, const Frame* above);
  void start_frame(Frame& frame);
  void enter_plan(Frame& frame, Task& task, PhysicalPlanPtr plan, const Limits* limits);
  void frame_ended(Frame& frame);
  void frame_result(Frame& frame, Value value, std::optional<Error> error);
  void kill_frame(Frame& frame);
  void drop_frame(std::uint32_t id);
  void drop_if_over(Frame& frame);
  bool over_task_limit(Frame& frame);
  void drop_task(Frame& frame, Task& task);
  void end_run(RunStatus status, Value result);
  void maybe_end_idle();
  bool only_limits_tick();

  // ---- finish ----
  void finish_slot(Frame& frame, std::uint32_t step, std::uint32_t item, SlotStatus status,
                   Value value, std::unique_ptr<Error> error, PathPtr path);
  void finish_whole(Frame& frame, std::uint32_t step, RelationPhase phase,
                    std::unique_ptr<Error> error);
  void check_relation(Frame& frame, std::uint32_t step);
  void tell_consumers_whole(Frame& frame, std::uint32_t step);
  void grow(Frame& frame, std::uint32_t step, std::uint32_t known, bool closed);
  void finish_stream(Frame& frame, std::uint32_t step, SlotStatus status, Value value,
                     std::unique_ptr<Error> error, PathPtr path);
  SlotStatus task_status(const Frame& frame, std::uint32_t step, std::uint32_t item) const;
  void set_task_status(Frame& frame, std::uint32_t step, std::uint32_t item, SlotStatus status);
  void give_credit(Frame& frame, std::uint32_t step);
  void resume_stream(Frame& frame, std::uint32_t step);
  void note_failure(Frame& frame, const TaskRef& task, const Error& error);
  void note_doubt(Frame& frame, const TaskRef& task, const Error& error);

  // ---- small things ----
  Frame* find_frame(std::uint32_t id);
  Task* find_task(const TaskRef& ref);
  Task& add_task(Frame& frame, std::uint32_t step, std::uint32_t item);
  std::uint64_t set_timer(const TaskRef& task, std::int64_t delay_ns);
  void clear_timer(Task& task);
  void bind(const TaskRef& task, BindPurpose purpose);
  void emit(decltype(RunEffect::body) body);
  void trace_task(TraceKind kind, const Frame& frame, const TaskRef& task, const Value* value,
                  const Error* error);
  void trace_call(TraceKind kind, const Frame& frame, const CallRef& call, const Usage& usage,
                  const Error* error, bool cached);
  CallRef call_ref(const Task& task, std::uint16_t call = 0) const;

  TraceSink* trace_;
  EffectSink* sink_ = nullptr;  // during apply
  SteadyNs now_ = 0;
  std::string run_id_;
  std::string origin_run_;
  Random random_{0};
  PhysicalPlanPtr root_plan_;
  std::unordered_map<std::uint32_t, std::unique_ptr<Frame>> frames_;
  std::unordered_map<const PhysicalPlan*, std::shared_ptr<const PlanIndex>> indexes_;
  std::uint32_t next_frame_ = 0;
  std::deque<Work> work_;
  ReadyHeap ready_;
  std::map<std::string, std::pair<std::uint32_t, ReadyHeap>, std::less<>>
      resources_;  // used, parked
  std::unordered_map<std::uint64_t, TaskRef> timers_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> paused_streams_;  // (frame, step)
  std::uint64_t next_timer_ = 1;
  std::uint64_t next_order_ = 0;
  std::uint32_t running_calls_ = 0;
  std::uint32_t slots_used_ = 0;
  std::uint32_t pending_binds_ = 0;
  std::uint32_t pending_admits_ = 0;
  bool stopping() const { return interrupted_ || cancelled_ || ended_; }

  bool interrupted_ = false;
  bool cutting_ = false;  // interrupted twice
  bool cancelled_ = false;
  bool ended_ = false;
  bool budget_hit_ = false;
  std::uint64_t failed_tasks_ = 0;
  std::vector<Error> errors_;
};

}  // namespace sluice
