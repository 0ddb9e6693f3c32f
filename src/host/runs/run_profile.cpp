#include "host/runs/run_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "host/runs/run_profile_impl.h"
#include "plan/task_id.h"

namespace sluice {
namespace {

// A flow tells of its items now and then; its tasks may be further.
constexpr std::uint32_t kUntoldItems = 64;

TracedStep shape_of_step(const PhysicalPlan& plan, std::uint32_t index) {
  const PhysicalStep& step = plan.steps[index];
  TracedStep shape;
  shape.id = step.logical.id;
  shape.name = step.logical_ids.empty() ? step.logical.id : step.logical_ids.front();
  shape.operator_name = std::string(operator_name(step.logical.op));
  shape.resource = step.resource;
  shape.resource_limit = step.resource_limit;
  shape.concurrency = step.logical.concurrency.value_or(0);
  shape.step_hash = step.step_hash;
  shape.op = step.logical.op;
  shape.mapped = step.mapped;
  shape.repeats = step.logical.repeat.has_value();
  shape.fallback = step.fallback;
  shape.fallback_of = step.fallback_of;
  for (const Edge& edge : step.edges) {
    shape.inputs.push_back({edge.from, edge.mode == EdgeMode::kSlot});
  }
  return shape;
}

// kNoIndex: none.
std::uint32_t step_called(const TracedPlan& plan, std::string_view id) {
  const auto found = std::ranges::find(plan.steps, id, &TracedStep::id);
  return found == plan.steps.end() ? kNoIndex
                                   : static_cast<std::uint32_t>(found - plan.steps.begin());
}

std::string task_label(const ProfileFrame& frame, const TracedStep& shape, const CallRef& call) {
  std::optional<std::uint64_t> item;
  if (shape.mapped) item = call.task.item;
  std::string label = frame.label + task_name(shape.name, item);
  if (call.round > 0) label += fmt::format("#{}", call.round);
  return label;
}

}  // namespace

// ---- plans, places, frames

const TracedPlan* RunProfileFold::Impl::shape_of(const PhysicalPlan& plan) {
  std::unique_ptr<TracedPlan>& shape = shapes[plan.plan_hash];
  if (shape != nullptr) return shape.get();
  shape = std::make_unique<TracedPlan>();
  shape->hash = plan.plan_hash;
  shape->concurrency = plan.concurrency;
  shape->window = plan.window;
  for (std::uint32_t step = 0; step < plan.steps.size(); ++step) {
    shape->steps.push_back(shape_of_step(plan, step));
  }
  for (const TracedStep& reader : shape->steps) {
    for (const TracedStep::Input& input : reader.inputs) {
      const PhysicalStep& producer = plan.steps[input.from];
      if (input.slot && producer.streams && !producer.mapped) {
        shape->steps[input.from].emits = true;
      }
    }
  }
  return shape.get();
}

std::unique_ptr<ProfilePlace> RunProfileFold::Impl::make_place(const TracedPlan* shape,
                                                               std::string prefix,
                                                               ProfilePlace* first) {
  auto place = std::make_unique<ProfilePlace>();
  place->shape = shape;
  place->prefix = std::move(prefix);
  place->first = first;
  for (const TracedStep& step : shape->steps) {
    const std::uint32_t same = first == nullptr ? kNoIndex : step_called(*first->shape, step.id);
    if (same != kNoIndex) {
      place->rows.push_back(first->rows[same]);
      continue;
    }
    auto row = std::make_unique<StepProfile>();
    row->id = place->prefix + step.id;
    row->operator_name = step.operator_name;
    row->resource = step.resource;
    row->step_hash = step.step_hash;
    place->rows.push_back(row.get());
    place->own.push_back(std::move(row));
  }
  return place;
}

// ---- forms of a plan

void RunProfileFold::Impl::on_replanned(const TraceEvent& event) {
  replans.on_trace(event);
  if (event.replanned == nullptr || !event.step->plan) return;
  take_form(*event.step->plan, *event.replanned);
}

void RunProfileFold::Impl::take_form(const PhysicalPlan& own, const PhysicalPlan& form) {
  if (own.plan_hash == form.plan_hash || forms.contains(form.plan_hash)) return;
  forms.emplace(form.plan_hash, shape_of(own));
  for (const PhysicalStep& step : form.steps) {
    const auto same = std::ranges::find_if(own.steps, [&step](const PhysicalStep& other) {
      return other.logical.id == step.logical.id;
    });
    if (same != own.steps.end() && same->plan && step.plan) take_form(*same->plan, *step.plan);
  }
}

const TracedPlan* RunProfileFold::Impl::own_shape(const TracedPlan* shape) const {
  const auto found = forms.find(shape->hash);
  return found == forms.end() ? shape : found->second;
}

ProfilePlace* RunProfileFold::Impl::form_place(ProfilePlace& first, const TracedPlan* shape) {
  if (first.shape == shape) return &first;
  std::unique_ptr<ProfilePlace>& place = first.forms[shape->hash];
  if (place == nullptr) place = make_place(shape, first.prefix, &first);
  return place.get();
}

// Of the plan that a step runs: below the plan's own place, whichever form of it has the step.
ProfilePlace* RunProfileFold::Impl::inner_place(ProfilePlace& outer, std::uint32_t step,
                                                const TracedPlan* shape) {
  const std::string& id = outer.shape->steps[step].id;
  if (outer.first != nullptr) {
    const std::uint32_t same = step_called(*outer.first->shape, id);
    if (same != kNoIndex) return inner_place(*outer.first, same, shape);
  }
  const TracedPlan* own = own_shape(shape);
  std::unique_ptr<ProfilePlace>& place = outer.inner[{step, own->hash}];
  if (place == nullptr) place = make_place(own, outer.prefix + id + "/");
  return form_place(*place, shape);
}

ProfileFrame& RunProfileFold::Impl::frame_of(const TraceEvent& event) {
  auto found = frames.find(event.call.task.frame);
  return found != frames.end() ? found->second : add_frame(event);
}

ProfilePlace* RunProfileFold::Impl::known_place(ProfilePlace* at, const TracedPlan* shape) const {
  if (at == nullptr || at->shape == shape) return at;
  for (const auto& [key, inner] : at->inner) {
    if (ProfilePlace* found = known_place(inner.get(), shape)) return found;
  }
  for (const auto& [hash, form] : at->forms) {
    if (ProfilePlace* found = known_place(form.get(), shape)) return found;
  }
  return nullptr;
}

// A frame that had ended, or whose caller was compacted away.
ProfilePlace* RunProfileFold::Impl::lost_place(const TracedPlan* shape) {
  const TracedPlan* own = own_shape(shape);
  if (ProfilePlace* known = known_place(root.get(), own)) return form_place(*known, shape);
  std::unique_ptr<ProfilePlace>& place = lost[own->hash];
  if (place == nullptr) place = make_place(own, "");
  return form_place(*place, shape);
}

ProfileFrame& RunProfileFold::Impl::add_frame(const TraceEvent& event) {
  const TracedPlan* shape = shape_of(*event.plan);
  ProfileFrame frame;
  frame.id = event.call.task.frame;
  frame.order = next_order++;
  auto caller = callers.find(frame.id);
  auto above = caller == callers.end() ? frames.end() : frames.find(caller->second.task.frame);
  if (frame.id == 0) {
    if (root == nullptr) root = make_place(shape, "");
    frame.place = root.get();
  } else if (above == frames.end()) {
    frame.place = lost_place(shape);
    frame.kept = false;
    frame.ended = true;
  } else {
    const CallRef call = caller->second;
    ProfileFrame& outer = above->second;
    const TracedStep& step = outer.place->shape->steps[call.task.step];
    frame.place = inner_place(*outer.place, call.task.step, shape);
    frame.caller = call;
    frame.origin = outer.origin == kNoIndex && step.mapped ? call.task.item : outer.origin;
    frame.kept = outer.kept && sampled(frame.origin);
    frame.label = task_label(outer, step, call) + "/";
    callers.erase(caller);
    inner_frames[call.task].push_back(frame.id);
    if (frame.kept && no_graph.empty()) started(call.task, event.at);
    if (step.repeats) {
      CallRef next = call;
      ++next.round;
      next.attempt = 1;
      expect_call(next);
    }
    expect_more(outer, call.task.step, call.task.item);
  }
  const std::uint64_t id = frame.id;
  return frames.insert_or_assign(id, std::move(frame)).first->second;
}

void RunProfileFold::Impl::expect_call(const CallRef& call) {
  const std::uint64_t id = frame_id(call);
  if (!frames.contains(id)) callers.emplace(id, call);
}

void RunProfileFold::Impl::expect_frames(ProfileFrame& frame, std::uint32_t step,
                                         std::uint32_t known) {
  if (step == kNoIndex || frame.place->shape->steps[step].op != OperatorKind::kPlan) return;
  ProfileFrame::Inner& inner = frame.inner[step];
  inner.known = std::max(inner.known, known);
  expect_more(frame, step, 0);
}

// No task is opened further ahead than a window: so far ahead are the frames of items known.
void RunProfileFold::Impl::expect_more(ProfileFrame& frame, std::uint32_t step,
                                       std::uint32_t item) {
  auto found = frame.inner.find(step);
  if (found == frame.inner.end()) return;
  ProfileFrame::Inner& inner = found->second;
  const TracedStep& shape = frame.place->shape->steps[step];
  const std::uint64_t ahead = item + std::uint64_t{2} * frame.place->shape->window + kUntoldItems;
  const auto upto = static_cast<std::uint32_t>(std::min<std::uint64_t>(inner.known, ahead));
  for (; inner.registered < upto; ++inner.registered) {
    CallRef call{.task = {frame.id, step, inner.registered}};
    call.round = shape.repeats ? 1 : 0;
    expect_call(call);
  }
}

// ---- events

bool RunProfileFold::Impl::keeps(const ProfileFrame& frame, const TracedStep& shape,
                                 std::uint32_t item) const {
  if (!frame.kept || !no_graph.empty()) return false;
  if (frame.origin != kNoIndex || !(shape.mapped || shape.emits)) return true;
  return sampled(item);
}

void RunProfileFold::Impl::started(const TaskRef& task, SteadyNs at) {
  TaskRecord& record = tasks[task];
  if (record.start_ns == 0) record.start_ns = at;
  record.started = true;
}

void RunProfileFold::Impl::on_step(const TraceEvent& event) {
  if (event.call.undoes()) return;  // after the fact
  ProfileFrame& frame = frame_of(event);
  const std::uint32_t step = event.call.task.step;
  const TracedStep& shape = frame.place->shape->steps[step];
  StepProfile& row = *frame.place->rows[step];
  if (row.first_ns == 0) row.first_ns = event.at;
  row.last_ns = event.at;
  switch (event.kind) {
    case TraceKind::kItemsKnown: {
      const auto known =
          static_cast<std::uint32_t>(event.count) + (event.closed ? 0 : kUntoldItems);
      expect_frames(frame, step, known);
      return expect_frames(frame, shape.fallback, known);
    }
    case TraceKind::kCallStarted:
      return call_started(event, frame, row);
    case TraceKind::kCallEnded:
      return call_ended(event, frame, row);
    case TraceKind::kItemEmitted:
      return item_emitted(event, frame, row);
    case TraceKind::kRetryScheduled:
      ++row.retries;
      if (shape.op == OperatorKind::kPlan) expect_call(event.call);
      return;
    case TraceKind::kPlanAdmitted:
      return expect_call(event.call);
    case TraceKind::kWaiting:
      if (keeps(frame, shape, event.call.task.item)) started(event.call.task, event.at);
      return;
    case TraceKind::kDoubtEnded:
      row.usage += event.usage;
      return;
    case TraceKind::kTaskDone:
    case TraceKind::kTaskSkipped:
    case TraceKind::kTaskFailed:
      return task_ended(event, frame, row);
    default:
      return;
  }
}

void RunProfileFold::Impl::call_started(const TraceEvent& event, ProfileFrame& frame,
                                        StepProfile& row) {
  ++row.calls;
  const CallRef& call = event.call;
  open_calls.insert_or_assign({call.task, call.turn, call.call}, event.at);
  const TracedStep& shape = frame.place->shape->steps[call.task.step];
  if (!keeps(frame, shape, call.task.item)) return;
  if (!shape.emits) {
    started(call.task, event.at);
    return thin_out();
  }
  StreamRecord& stream = streams[{frame.id, call.task.step}];
  if (stream.begin_ns == 0) stream.begin_ns = event.at;
}

void RunProfileFold::Impl::call_ended(const TraceEvent& event, ProfileFrame& frame,
                                      StepProfile& row) {
  row.usage += event.usage;
  if (event.cached) ++row.cached;
  if (event.from == CallReturned::From::kEarlierRun) ++row.earlier;
  if (event.from == CallReturned::From::kHedged) ++row.hedged;
  const CallRef& call = event.call;
  auto begun = open_calls.find({call.task, call.turn, call.call});
  if (begun != open_calls.end()) {
    row.busy_ns += event.at - begun->second;
    open_calls.erase(begun);
  }
  if (!frame.place->shape->steps[call.task.step].emits) return;
  auto stream = streams.find({frame.id, call.task.step});
  if (stream == streams.end()) return;
  row.working_ns += event.at - stream->second.begin_ns;
  stream->second.end_ns = event.at;
}

void RunProfileFold::Impl::item_emitted(const TraceEvent& event, ProfileFrame& frame,
                                        StepProfile& row) {
  ++row.tasks;
  ++row.done;
  const std::uint32_t step = event.call.task.step;
  const auto item = static_cast<std::uint32_t>(event.count - 1);
  if (!keeps(frame, frame.place->shape->steps[step], item)) return;
  streams[{frame.id, step}].items.emplace_back(item, event.at);
  ++stream_items;
  thin_out();
}

void RunProfileFold::Impl::task_ended(const TraceEvent& event, ProfileFrame& frame,
                                      StepProfile& row) {
  const TaskRef& task = event.call.task;
  const TracedStep& shape = frame.place->shape->steps[task.step];
  const bool whole = task.item == kNoIndex;
  ++(event.kind == TraceKind::kTaskDone      ? row.done
     : event.kind == TraceKind::kTaskSkipped ? row.skipped
                                             : row.failed);
  if (event.condition != ConditionOutcome::kNone) {
    ++row.conditions;
    if (event.condition == ConditionOutcome::kHeld) ++row.held;
  }
  if (whole) {
    if (frame.kept) whole_ends[{frame.id, task.step}] = event.at;
    return;
  }
  ++row.tasks;
  if (keeps(frame, shape, task.item)) {
    TaskRecord& record = tasks[task];
    if (record.start_ns == 0) record.start_ns = event.at;
    record.end_ns = event.at;
  }
  if (shape.op == OperatorKind::kPlan) {
    expect_more(frame, task.step, task.item);
    frames_ended(task);
  }
  thin_out();
}

// Frames that are in the graph stay until it is made.
void RunProfileFold::Impl::frames_ended(const TaskRef& caller) {
  auto found = inner_frames.find(caller);
  if (found == inner_frames.end()) return;
  std::erase_if(found->second, [this](std::uint64_t id) {
    auto frame = frames.find(id);
    if (frame == frames.end()) return true;
    frame->second.ended = true;
    if (frame->second.kept) return false;
    frames.erase(frame);
    return true;
  });
  if (found->second.empty()) inner_frames.erase(found);
}

// ---- sampling

void RunProfileFold::Impl::thin_out() {
  constexpr std::uint32_t kMostThin = 1U << 20;
  while (no_graph.empty() && tasks.size() + stream_items > most_tasks) {
    if (one_of >= kMostThin) {
      no_graph = fmt::format("the run has more than {} tasks that belong to no item", most_tasks);
      one_of = 1;
      tasks.clear();
      streams.clear();
      whole_ends.clear();
      return;
    }
    one_of *= 2;
    drop_what_is_not_sampled();
  }
}

void RunProfileFold::Impl::drop_what_is_not_sampled() {
  for (auto& [id, frame] : frames) frame.kept = frame.kept && sampled(frame.origin);
  auto gone = [this](std::uint64_t id) {
    auto frame = frames.find(id);
    return frame == frames.end() || !frame->second.kept;
  };
  std::erase_if(tasks, [&](const auto& entry) {
    if (gone(entry.first.frame)) return true;
    const ProfileFrame& frame = frames.at(entry.first.frame);
    return !keeps(frame, frame.place->shape->steps[entry.first.step], entry.first.item);
  });
  std::erase_if(streams, [&](const auto& entry) { return gone(entry.first.first); });
  stream_items = 0;
  for (auto& [key, stream] : streams) {
    if (frames.at(key.first).origin == kNoIndex) {
      std::erase_if(stream.items, [this](const auto& item) { return !sampled(item.first); });
    }
    stream_items += stream.items.size();
  }
  std::erase_if(whole_ends, [&](const auto& entry) { return gone(entry.first.first); });
  for (auto& [caller, ids] : inner_frames) {
    std::erase_if(ids, [this](std::uint64_t id) {
      auto frame = frames.find(id);
      return frame == frames.end() || (frame->second.ended && !frame->second.kept);
    });
  }
  std::erase_if(inner_frames, [](const auto& entry) { return entry.second.empty(); });
  std::erase_if(frames, [](const auto& entry) { return entry.second.ended && !entry.second.kept; });
}

// ---- the result

void collect_rows(const ProfilePlace& place, std::vector<const StepProfile*>& into) {
  for (std::uint32_t step = 0; step < place.rows.size(); ++step) {
    const bool own = std::ranges::find(place.own, place.rows[step],
                                       &std::unique_ptr<StepProfile>::get) != place.own.end();
    if (own) into.push_back(place.rows[step]);
    for (const auto& [key, inner] : place.inner) {
      if (key.first == step) collect_rows(*inner, into);
    }
  }
  for (const auto& [hash, form] : place.forms) collect_rows(*form, into);
}

RunProfile RunProfileFold::Impl::profile() const {
  RunProfile made;
  made.start_ns = start_ns;
  made.end_ns = end_ns;
  made.one_of = one_of;
  made.no_graph = no_graph;
  made.replans = replans.replans();
  std::vector<const StepProfile*> rows;
  if (root != nullptr) collect_rows(*root, rows);
  for (const auto& [hash, place] : lost) collect_rows(*place, rows);
  for (const StepProfile* row : rows) {
    made.steps.push_back(*row);
    made.tasks += row->tasks;
  }
  if (made.no_graph.empty() && root != nullptr) build_realized_graph(*this, made);
  return made;
}

RunProfileFold::RunProfileFold(std::size_t most_tasks)
    : impl_(std::make_unique<Impl>(most_tasks)) {}
RunProfileFold::~RunProfileFold() = default;

void RunProfileFold::on_trace(const TraceEvent& event) {
  impl_->end_ns = std::max(impl_->end_ns, event.at);
  if (event.kind == TraceKind::kRunStarted) impl_->start_ns = event.at;
  if (event.step == nullptr || event.plan == nullptr) return;
  if (event.kind == TraceKind::kReplanned) return impl_->on_replanned(event);
  impl_->replans.on_trace(event);
  impl_->on_step(event);
}

void RunProfileFold::restored(std::string_view folded) {
  const std::size_t most = impl_->most_tasks;
  impl_ = std::make_unique<Impl>(most);
  impl_->replans.restored(folded);
  impl_->no_graph = "the run's first part was compacted, and with it what its tasks waited for";
}

RunProfile RunProfileFold::profile() const { return impl_->profile(); }

Result<ProfiledRun> profile_run(Journal& journal, const std::string& run_id,
                                std::size_t most_tasks) {
  ProfiledRun made;
  made.fold = std::make_unique<RunProfileFold>(most_tasks);
  auto params = std::make_shared<Value>();
  PastRunOptions options;
  options.trace = made.fold.get();
  options.on_record = [params](JournalSeq, const Record& record) {
    const auto* fact = std::get_if<EventRecord>(&record.body);
    if (fact == nullptr) return;
    if (const auto* started = std::get_if<RunStarted>(&fact->event.body)) {
      *params = started->params;
    }
  };
  auto run = PastRun::read(journal, run_id, options);
  if (!run) return std::unexpected(run.error());
  made.run = std::move(*run);
  made.run->state();  // the last event's decisions are traced as well
  made.profile = made.fold->profile();
  if (auto whole = made.run->load(*params)) made.params = std::move(*whole);
  return made;
}

}  // namespace sluice
