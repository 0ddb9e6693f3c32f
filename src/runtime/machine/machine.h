// The inside of RunState: one class, its parts in one file each.
//   advance.cpp   opening tasks, readiness of edges, joins
//   bounds.cpp    what evaluated expressions lead to
//   dispatch.cpp  ready tasks, limits, starting calls
//   calls.cpp     ends of calls: retry, repeat, on_error
//   doubt.cpp     calls of which nobody knows whether they happened
//   agent.cpp     tool calls of an llm step
//   wait.cpp      waits and signals
//   frames.cpp    sub-plans, produced plans, the end of a plan
//   finish.cpp    ends of slots and relations, and who is told
//   ending.cpp    the end of the run
//   undo.cpp      undoing finished calls before it
//   input.cpp     what expressions read
//   snapshot.cpp, restore.cpp  the whole state as bytes, and back
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
  Value result_input(std::uint64_t frame, const StepInput& input) const;
  bool has_spilled(const TaskRef& task, const StepInput& input) const;
  const PhysicalStep& step(const TaskRef& task) const { return *find_step(task); }
  const PhysicalStep* find_step(const TaskRef& task) const;
  PhysicalPlanPtr find_plan(const TaskRef& task) const;
  const PhysicalPlan& plan(std::uint64_t frame) const { return *frames_.at(frame)->plan; }
  std::string task_id(const TaskRef& task) const;
  // False for a frame that has gone: its binds are dropped.
  bool alive(std::uint64_t frame) const { return frames_.contains(frame); }
  RunOutcome outcome(RunStatus status) const;
  std::vector<RunState::Doubt> doubts() const;
  std::vector<RunState::Waiting> waits() const;
  bool may_replan(std::uint32_t step) const;
  std::uint32_t first_not_begun(std::uint32_t step) const;
  const std::vector<StepReplanned>& replanned() const { return replanned_; }
  void tell_replanned() {
    for (const StepReplanned& replanned : replanned_) trace_replanned(replanned);
  }
  std::set<AdmissionRef> admissions() const;
  std::string snapshot(std::vector<Value>* resting) const;
  Result<void> restore(std::string_view snapshot, const RunState::FindPlan& admitted);

  // Counters for tests and progress. Calls in doubt count as running.
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
    std::uint64_t frame;
    std::uint32_t step;
    std::uint32_t item;
  };
  void push(WorkKind kind, std::uint64_t frame, std::uint32_t step = 0, std::uint32_t item = 0) {
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
  void on_call_resumed(const CallResumed& resumed);
  void on_wait_began(const WaitBegan& began);
  void on_signal(const SignalReceived& signal);
  void on_cancel(const std::string& reason);
  void on_step_replanned(const StepReplanned& replanned);
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
  ReadyKey ready_key(const Frame& frame, const Task& task);
  void make_ready(Frame& frame, Task& task, std::uint64_t group = 0);
  void join_group(ReadyKey& key, std::uint64_t group);
  void leave_group(const ReadyKey& key);
  void enqueue(const ReadyKey& key);
  void dispatch();
  bool may_start(const ReadyKey& key);
  std::uint32_t places_of(const PhysicalStep& step) const;
  void start_task(Frame& frame, Task& task);
  void start_call(Frame& frame, Task& task);
  void release_slot(Frame& frame, Task& task);
  std::string budget_words(const Frame& frame, std::uint32_t step);
  std::string round_id(const Task& task) const;
  std::string call_name(const Task& task, std::uint16_t call = 0) const;
  std::string call_key(const std::string& name) const;
  void charge(Frame& frame, std::uint32_t step, const Usage& usage, std::int64_t calls);

  // ---- ends of calls ----
  void task_succeeded(Frame& frame, Task& task, Value output);
  void task_failed(Frame& frame, Task& task, Error error);
  void round_ended(Frame& frame, Task& task, bool holds);
  static bool retry_covers(const RetryRule& rule, const Error& error);
  double retry_delay_ms(const RetryRule& rule, const Error& error, std::uint32_t attempts,
                        const CallRef& call) const;
  bool schedule_retry(Frame& frame, Task& task, const Error& error);
  void sub_plan_timed_out(Frame& frame, Task& task);
  void apply_on_error(Frame& frame, Task& task, Error error);
  void start_fallback(Frame& frame, Task& task);
  void advance_standins(Frame& frame, std::uint32_t step);
  void advance_fallback(Frame& frame, Task& standin);
  void restart(Frame& frame, Task& task);
  void begin_turn_tools(Frame& frame, Task& task, const ToolsWanted& wanted);
  void next_turn(Frame& frame, Task& task);
  void start_tool_call(Frame& frame, Task& task, std::uint16_t number);
  void tool_call_ended(Frame& frame, Task& task, const CallEnded& ended);
  void tool_answered(Frame& frame, Task& task, std::size_t index, Value content);
  void call_over(Frame& frame, Task& task, const CallEnded& ended);
  void end_task(Frame& frame, Task& task, SlotStatus status, Value output,
                std::unique_ptr<Error> error);

  // ---- doubt ----
  struct OpenDoubt {
    std::string task_id;
    Error error;
    const PhysicalStep* step = nullptr;
    PhysicalPlanPtr plan;  // whose step it is
  };
  void call_in_doubt(Frame& frame, Task& task, const CallEnded& ended, const Error& error);
  void end_doubt(const CallRef& call, const Error* error, const Usage& usage);
  void trace_doubt(TraceKind kind, const CallRef& call, const OpenDoubt& doubt, const Error* error,
                   const Usage& usage);

  // ---- waits and signals ----
  struct SignalWaits {
    std::map<std::uint64_t, TaskRef> waiting;                // the longest first
    std::deque<SignalReceived> kept;                         // that nobody has taken
    std::unordered_map<std::string, std::uint64_t> by_task;  // `waiting` by TaskId text
  };
  void ready_to_wait(Frame& frame, Task& task);
  void begin_wait(Frame& frame, Task& task);
  bool take_kept_signal(Frame& frame, Task& task);
  bool signal_fits(Frame& frame, Task& task, const SignalReceived& signal);
  void give_signal(Frame& frame, Task& task, const SignalReceived& signal);
  void wait_over(Frame& frame, Task& task);
  void wait_timed_out(Frame& frame, Task& task);
  void forget_wait(Task& task);

  // ---- frames ----
  Frame& add_frame(PhysicalPlanPtr plan, Value params, const Task* caller, const Frame* above);
  void start_frame(Frame& frame);
  // The form of its sub-plan that an item of a step runs.
  const PhysicalPlanPtr& plan_of_item(const Frame& frame, std::uint32_t step,
                                      std::uint32_t item) const;
  void trace_replanned(const StepReplanned& replanned);
  void enter_plan(Frame& frame, Task& task, PhysicalPlanPtr plan, const Limits* limits);
  void frame_ended(Frame& frame);
  void frame_result(Frame& frame, Value value, std::optional<Error> error);
  void kill_frame(Frame& frame);
  void kill_task(Frame& frame, Task& task);
  void drop_frame(std::uint64_t id);
  void drop_if_over(Frame& frame);
  bool over_task_limit(Frame& frame);
  void drop_task(Frame& frame, Task& task);

  // ---- the end of the run ----
  void finish_run(RunStatus status, Value result);
  void end_run(RunStatus status, Value result);
  void tell_end(RunOutcome outcome);
  void tell_doubt();
  void maybe_end_idle();
  void open_windows();
  bool only_limits_tick() const;

  // ---- undo ----
  struct Finished {  // a call that can be undone
    CallRef call;
    std::string task_id;
    Value args;
    Value output;
    Value wanted;  // a model's tool call
    const PhysicalStep* step = nullptr;
    PhysicalPlanPtr plan;                        // that the step is of
    std::shared_ptr<const Admission> admission;  // of its frame
    SteadyNs started_ns = 0;
  };
  struct Undoing {
    bool active = false;
    bool calling = false;
    std::uint16_t attempt = 0;              // of the last of `finished_`, from 0
    std::uint64_t timer = 0;                // before its next attempt
    RunStatus status = RunStatus::kFailed;  // of the run, afterwards
    Value result;
  };
  void note_finished(const Frame& frame, const Task& task, const CallRef& call,
                     const CallReturned& returned);
  bool doubt_delays_undo() const;
  void undo_next();
  void start_undo();
  CallRef undo_ref() const;
  void undo_call_ended(const CallEnded& ended);
  bool retry_undo(const Error& error);
  void trace_undo(TraceKind kind, const CallRef& call, const Usage& usage, const Error* error);

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

  // ---- snapshots ----
  void write_frame(StateWriter& out, const Frame& frame) const;
  void write_replanned(StateWriter& out) const;
  Result<void> read_replanned(StateReader& in);
  void write_queues(StateWriter& out) const;
  void write_undo(StateWriter& out) const;
  Result<void> read_frame(StateReader& in, const RunState::FindPlan& admitted);
  Result<void> read_frame_plan(StateReader& in, const Frame& parent, Frame& frame,
                               const RunState::FindPlan& admitted);
  void read_step(StateReader& in, Frame& frame, std::uint32_t step);
  void read_queues(StateReader& in);
  Result<void> read_undo(StateReader& in, const RunState::FindPlan& admitted);
  void write_plan_place(StateWriter& out, const PhysicalPlan* plan,
                        const Admission* admission) const;
  // Where a finished call is of, of which nothing else is known.
  Result<Finished> read_plan_place(StateReader& in, const RunState::FindPlan& admitted);
  void read_doubts(StateReader& in);
  void lay_out(Frame& frame);
  bool holds_together() const;

  // ---- small things ----
  Frame* find_frame(std::uint64_t id);
  Task* find_task(const TaskRef& ref);
  Task& add_task(Frame& frame, std::uint32_t step, std::uint32_t item);
  enum class TimerUse : std::uint8_t { kRetry = 1, kRepeat, kLimit, kWait, kUndo };
  struct Timer {
    TaskRef task;
    TimerUse use;
  };
  std::uint64_t set_timer(const CallRef& call, TimerUse use, std::int64_t delay_ns,
                          WallNs until_wall_ns = 0);
  void clear_timer(Task& task);
  void bind(const TaskRef& task, BindPurpose purpose);
  void emit(decltype(RunEffect::body) body);
  void trace_task(TraceKind kind, const Frame& frame, const TaskRef& task, const Value* value,
                  const Error* error, ConditionOutcome condition = ConditionOutcome::kNone);
  ConditionOutcome condition_of(const Frame& frame, std::uint32_t step, std::uint32_t item,
                                SlotStatus end, bool failed) const;
  void trace_call(TraceKind kind, const Frame& frame, const CallRef& call, const Usage& usage,
                  const Error* error, bool cached,
                  CallReturned::From from = CallReturned::From::kCall);
  CallRef call_ref(const Task& task, std::uint16_t call = 0) const;

  TraceSink* trace_;
  EffectSink* sink_ = nullptr;  // during apply
  SteadyNs now_ = 0;
  std::string run_id_;
  std::uint64_t seed_ = 0;
  PhysicalPlanPtr root_plan_;
  std::vector<StepReplanned> replanned_;  // in order: later ones are of later items
  std::unordered_map<std::uint64_t, std::unique_ptr<Frame>> frames_;
  // Of plans that have frames; those hold their indexes, and an index its plan.
  std::unordered_map<const PhysicalPlan*, std::weak_ptr<const PlanIndex>> indexes_;
  std::deque<Work> work_;
  ReadyHeap ready_;
  // Groups that ready tasks are of, parked ones too: where they stand, and how many there are.
  struct StartGroup {
    std::uint32_t origin_item = 0;  // the least of its tasks
    std::uint32_t ready = 0;
  };
  std::map<std::uint64_t, StartGroup> groups_;
  // Of resources of which the optimizer knows beyond how many calls at once none is gained.
  std::map<std::string, std::uint32_t, std::less<>> most_at_once_;
  std::map<std::string, std::pair<std::uint32_t, ReadyHeap>, std::less<>>
      resources_;  // used, parked
  std::unordered_map<std::uint64_t, Timer> timers_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> paused_streams_;  // (frame, step)
  std::map<CallRef, OpenDoubt> doubts_;
  std::map<std::string, SignalWaits, std::less<>> signals_;
  std::set<CallRef> waits_;         // begun or not
  std::uint64_t next_wait_ = 0;     // the last that was given; 0 is none
  std::vector<Finished> finished_;  // in order of completion
  Undoing undoing_;
  std::uint64_t next_order_ = 0;
  std::uint32_t running_calls_ = 0;
  std::uint32_t slots_used_ = 0;
  std::uint32_t pending_binds_ = 0;
  std::set<TaskRef> pending_admits_;
  bool cancelled_ = false;
  bool doubt_told_ = false;  // that nothing but doubt is left
  bool ended_ = false;
  bool budget_hit_ = false;
  std::uint64_t failed_tasks_ = 0;
  std::vector<Error> errors_;
};

}  // namespace sluice
