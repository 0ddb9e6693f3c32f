// The inside of RunProfileFold: what run_profile.cpp collects and run_profile_graph.cpp makes a
// graph of. Plans are kept by what matters of them, since the trace's pointers do not last.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/runs/run_profile.h"

namespace sluice {

struct TracedStep {
  std::string id, operator_name, resource;
  std::string name;                  // of its tasks: an inlined step's are the sub-plan's
  std::uint32_t resource_limit = 0;  // 0: none
  std::uint32_t concurrency = 0;     // 0: none
  Hash256 step_hash;
  OperatorKind op = OperatorKind::kValue;
  bool mapped = false;
  bool emits = false;  // its one call gives the items that others read one by one
  bool repeats = false;
  std::uint32_t fallback = kNoIndex, fallback_of = kNoIndex;
  struct Input {
    std::uint32_t from = 0;
    bool slot = false;
  };
  std::vector<Input> inputs;
};

struct TracedPlan {
  Hash256 hash;
  std::uint32_t concurrency = 0;
  std::uint32_t window = 0;
  std::vector<TracedStep> steps;
};

// The steps of one plan at one place of the tree of plans; all its frames there share it. Another
// form of the plan has a place of its own, whose rows are those of the same steps.
struct ProfilePlace {
  const TracedPlan* shape = nullptr;
  std::string prefix;                             // "rows/"
  std::vector<StepProfile*> rows;                 // by step
  std::vector<std::unique_ptr<StepProfile>> own;  // of `rows`: those that stand nowhere else
  std::map<std::pair<std::uint32_t, Hash256>, std::unique_ptr<ProfilePlace>> inner;
  ProfilePlace* first = nullptr;  // of a form: the plan's own place
  std::map<Hash256, std::unique_ptr<ProfilePlace>> forms;
};

// In the order in which people read them; a caller's are before those of its plan.
void collect_rows(const ProfilePlace& place, std::vector<const StepProfile*>& into);

struct ProfileFrame {
  std::uint64_t id = 0;
  std::uint64_t order = 0;  // of first sight
  ProfilePlace* place = nullptr;
  CallRef caller;
  std::string label;                // of its tasks, before the step: "rows[3]/"
  std::uint32_t origin = kNoIndex;  // the first item on its path; kNoIndex: none
  bool kept = true;                 // its tasks are in the graph
  bool ended = false;
  struct Inner {
    std::uint32_t known = 0, registered = 0;  // items
  };
  std::map<std::uint32_t, Inner> inner;  // by step that runs a plan
};

struct TaskRecord {
  SteadyNs start_ns = 0, end_ns = 0;
  bool started = false;  // a call of it left, it waited, or its plan began
};

struct StreamRecord {
  SteadyNs begin_ns = 0, end_ns = 0;
  std::vector<std::pair<std::uint32_t, SteadyNs>> items;
};

struct TaskRefHash {
  std::size_t operator()(const TaskRef& task) const {
    return static_cast<std::size_t>(call_hash(CallRef{.task = task}));
  }
};

using FrameStepKey = std::pair<std::uint64_t, std::uint32_t>;

struct RunProfileFold::Impl {
  explicit Impl(std::size_t most) : most_tasks(most) {}

  std::size_t most_tasks;
  SteadyNs start_ns = 0, end_ns = 0;
  std::uint32_t one_of = 1;
  std::string no_graph;
  std::map<Hash256, std::unique_ptr<TracedPlan>> shapes;
  std::unique_ptr<ProfilePlace> root;
  std::map<Hash256, std::unique_ptr<ProfilePlace>> lost;  // of frames whose caller is not known
  std::map<Hash256, const TracedPlan*> forms;             // by form: the plan that it is one of
  ReplanFold replans;
  std::unordered_map<std::uint64_t, ProfileFrame> frames;
  std::unordered_map<std::uint64_t, CallRef> callers;  // of frames that may come
  std::unordered_map<TaskRef, std::vector<std::uint64_t>, TaskRefHash> inner_frames;
  std::unordered_map<TaskRef, TaskRecord, TaskRefHash> tasks;
  std::map<FrameStepKey, StreamRecord> streams;
  std::size_t stream_items = 0;
  std::uint64_t next_order = 0;                 // of frames
  std::map<FrameStepKey, SteadyNs> whole_ends;  // of steps that never got tasks
  std::map<std::tuple<TaskRef, std::uint16_t, std::uint16_t>, SteadyNs> open_calls;

  void on_step(const TraceEvent& event);
  void on_replanned(const TraceEvent& event);
  RunProfile profile() const;

 private:
  const TracedPlan* shape_of(const PhysicalPlan& plan);
  static std::unique_ptr<ProfilePlace> make_place(const TracedPlan* shape, std::string prefix,
                                                  ProfilePlace* first = nullptr);
  void take_form(const PhysicalPlan& own, const PhysicalPlan& form);
  const TracedPlan* own_shape(const TracedPlan* shape) const;
  ProfilePlace* form_place(ProfilePlace& first, const TracedPlan* shape);
  ProfilePlace* inner_place(ProfilePlace& outer, std::uint32_t step, const TracedPlan* shape);
  ProfileFrame& frame_of(const TraceEvent& event);
  ProfileFrame& add_frame(const TraceEvent& event);
  ProfilePlace* lost_place(const TracedPlan* shape);
  ProfilePlace* known_place(ProfilePlace* at, const TracedPlan* shape) const;
  void expect_frames(ProfileFrame& frame, std::uint32_t step, std::uint32_t known);
  void expect_more(ProfileFrame& frame, std::uint32_t step, std::uint32_t item);
  void expect_call(const CallRef& call);

  bool keeps(const ProfileFrame& frame, const TracedStep& shape, std::uint32_t item) const;
  bool sampled(std::uint32_t origin) const { return origin == kNoIndex || origin % one_of == 0; }
  void call_started(const TraceEvent& event, ProfileFrame& frame, StepProfile& row);
  void call_ended(const TraceEvent& event, ProfileFrame& frame, StepProfile& row);
  void item_emitted(const TraceEvent& event, ProfileFrame& frame, StepProfile& row);
  void task_ended(const TraceEvent& event, ProfileFrame& frame, StepProfile& row);
  void frames_ended(const TaskRef& caller);
  void started(const TaskRef& task, SteadyNs at);
  void thin_out();
  void drop_what_is_not_sampled();
};

// The realized graph, and what it says of waiting and working per step.
void build_realized_graph(const RunProfileFold::Impl& seen, RunProfile& into);

}  // namespace sluice
