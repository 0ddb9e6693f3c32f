#include "runtime/summary.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/wire.h"

namespace sluice {

namespace {
// 1: without the plans' hashes. 2: without what earlier runs have answered, and without second
// attempts. 3: without what equal calls have answered.
constexpr std::uint8_t kFormat = 4;
}  // namespace

// Steps are told apart by the meaning of their plan and their place in it: all frames of one
// sub-plan, and all produced plans that are equal, fold into the same rows.
struct SummaryFold::Impl {
  RunSummary summary;
  // Per frame and step: how many items it has told of so far, to add up what is known.
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint64_t> told_items;

  // Rows stand in plan order, those of a sub-plan behind the plans seen before. In a summary of
  // format 1 a plan is known by its number alone, until its steps come again.
  using RowOrder = std::pair<std::uint32_t, std::uint32_t>;  // plan of first sight, step
  std::vector<RowOrder> orders;                              // of summary.steps
  static constexpr std::size_t kNoRow = SIZE_MAX;
  struct KnownPlan {
    std::uint32_t number = 0;
    std::vector<std::size_t> rows;  // by step; kNoRow before its first event

    std::size_t row(std::uint32_t index) const {
      return index < rows.size() ? rows[index] : kNoRow;
    }
    void set_row(std::uint32_t index, std::size_t at) {
      if (index >= rows.size()) rows.resize(index + 1, kNoRow);
      rows[index] = at;
    }
  };
  std::map<Hash256, KnownPlan> plans;
  std::uint32_t next_plan = 0;
  std::vector<bool> orphans;  // of summary.steps: restored from format 1, and not seen since
  std::size_t orphan_count = 0;

  StepSummary& row(const TraceEvent& event) {
    const std::uint32_t index = event.call.task.step;
    auto plan = plans.find(event.plan->plan_hash);
    if (plan != plans.end()) {
      const std::size_t known = plan->second.row(index);
      if (known != kNoRow) return summary.steps[known];
    }
    const std::optional<std::size_t> orphan = find_orphan(event, plan);
    if (plan == plans.end()) {
      const std::uint32_t number = orphan ? orders[*orphan].first : next_plan++;
      plan = plans.emplace(event.plan->plan_hash, KnownPlan{number, {}}).first;
    }
    if (orphan) {
      orphans[*orphan] = false;
      --orphan_count;
      plan->second.set_row(index, *orphan);
      return summary.steps[*orphan];
    }
    return add_row(event, plan->second);
  }

  // The steps of another form of a plan go on with the rows that they have. It keeps a number of
  // its own: one that a snapshot restores finds its rows when the run tells of the form again.
  void take_form(const PhysicalPlan& own, const PhysicalPlan& form) {
    if (own.plan_hash == form.plan_hash) return;
    KnownPlan known{next_plan++, {}};
    const auto base = plans.find(own.plan_hash);
    for (std::uint32_t i = 0; i < form.steps.size(); ++i) {
      const PhysicalStep& step = form.steps[i];
      for (std::uint32_t j = 0; j < own.steps.size(); ++j) {
        if (own.steps[j].logical_ids.front() != step.logical_ids.front()) continue;
        const std::size_t row = base == plans.end() ? kNoRow : base->second.row(j);
        if (row != kNoRow) known.set_row(i, row);
        if (own.steps[j].plan && step.plan) take_form(*own.steps[j].plan, *step.plan);
        break;
      }
    }
    plans.insert_or_assign(form.plan_hash, std::move(known));
  }

  StepSummary& add_row(const TraceEvent& event, KnownPlan& plan) {
    const RowOrder order{plan.number, event.call.task.step};
    const auto place = std::upper_bound(orders.begin(), orders.end(), order) - orders.begin();
    const auto row = static_cast<std::size_t>(place);
    if (row != orders.size()) {
      for (auto& [hash, known] : plans) {
        for (std::size_t& at : known.rows) at += at != kNoRow && at >= row ? 1 : 0;
      }
    }
    plan.set_row(order.second, row);
    orders.insert(orders.begin() + place, order);
    orphans.insert(orphans.begin() + place, false);
    StepSummary step;
    step.id = event.step->logical_ids.front();
    step.operator_name = std::string(operator_name(event.step->logical.op));
    return *summary.steps.insert(summary.steps.begin() + place, std::move(step));
  }

  // The restored row of this step: of its plan, where one is known, else the first that fits.
  std::optional<std::size_t> find_orphan(const TraceEvent& event,
                                         std::map<Hash256, KnownPlan>::const_iterator plan) const {
    if (orphan_count == 0) return std::nullopt;  // a search per step would be quadratic
    for (std::size_t i = 0; i < orphans.size(); ++i) {
      if (!orphans[i] || orders[i].second != event.call.task.step) continue;
      if (plan != plans.end() && plan->second.number != orders[i].first) continue;
      if (summary.steps[i].id == event.step->logical_ids.front()) return i;
    }
    return std::nullopt;
  }

  // Adds what is new; only frames that will hear more are remembered.
  void items_known(const TraceEvent& event, StepSummary& step) {
    auto key = std::pair(event.call.task.frame, event.call.task.step);
    auto told = told_items.find(key);
    std::uint64_t before = told == told_items.end() ? 0 : told->second;
    step.known += event.count - std::min(before, event.count);
    step.closed = event.closed;
    if (!event.closed) {
      told_items.insert_or_assign(key, event.count);
    } else if (told != told_items.end()) {
      told_items.erase(told);
    }
  }

  void call_ended(const TraceEvent& event, StepSummary& step) {
    step.usage += event.usage;
    summary.usage += event.usage;
    if (step.running > 0) --step.running;
    if (event.cached) ++step.cached;
    if (event.from == CallReturned::From::kEqual) ++step.equal;
    if (event.from == CallReturned::From::kEarlierRun) ++step.earlier;
    if (event.from == CallReturned::From::kHedged) ++step.hedged;
    auto begun = starts.find(key_of(event.call));
    if (begun == starts.end()) return;
    step.busy_ns += event.at - begun->second;
    starts.erase(begun);
  }

  void doubt_ended(const TraceEvent& event, StepSummary& step) {
    if (step.in_doubt > 0) --step.in_doubt;
    step.usage += event.usage;
    summary.usage += event.usage;
  }

  // However a wait ends, its task ends with it.
  void wait_ended(const TraceEvent& event, StepSummary& step) {
    if (step.waiting == 0) return;
    if (waiting.erase(event.call.task) > 0) --step.waiting;
  }

  // A run that is over waits for nothing any more.
  void stop_waiting() {
    for (StepSummary& step : summary.steps) step.waiting = 0;
    waiting.clear();
  }

  using CallKey = std::tuple<TaskRef, std::uint16_t, std::uint16_t>;
  static CallKey key_of(const CallRef& call) { return {call.task, call.turn, call.call}; }
  std::map<CallKey, SteadyNs> starts;  // calls under way only
  std::set<TaskRef> waiting;
};

SummaryFold::SummaryFold() : impl_(std::make_unique<Impl>()) {}
SummaryFold::~SummaryFold() = default;
const RunSummary& SummaryFold::summary() const { return impl_->summary; }

void SummaryFold::on_trace(const TraceEvent& event) {
  RunSummary& summary = impl_->summary;
  summary.end_ns = event.at;
  if (event.kind == TraceKind::kRunStarted) summary.start_ns = event.at;
  if (event.kind == TraceKind::kRunEnded && event.outcome) {
    summary.critical_path = event.outcome->critical_path;
    if (event.outcome->status != RunStatus::kInDoubt) impl_->stop_waiting();
  }
  if (!event.step) return;
  if (event.kind == TraceKind::kReplanned) {
    if (event.replanned != nullptr && event.step->plan) {
      impl_->take_form(*event.step->plan, *event.replanned);
    }
    return;
  }
  StepSummary& step = impl_->row(event);
  if (step.first_ns == 0) step.first_ns = event.at;
  step.last_ns = event.at;
  const bool whole = event.call.task.item == kNoIndex;
  switch (event.kind) {
    case TraceKind::kItemsKnown:
      return impl_->items_known(event, step);
    case TraceKind::kItemEmitted:
      ++step.known;
      ++step.done;
      ++impl_->told_items[{event.call.task.frame, event.call.task.step}];
      return;
    case TraceKind::kCallStarted:
      ++step.calls;
      ++step.running;
      impl_->starts.insert_or_assign(Impl::key_of(event.call), event.at);
      return;
    case TraceKind::kCallEnded:
      return impl_->call_ended(event, step);
    case TraceKind::kRetryScheduled:
      ++step.retries;
      return;
    case TraceKind::kTaskDone:
      ++step.done;
      return impl_->wait_ended(event, step);
    case TraceKind::kTaskSkipped:
      if (whole) step.closed = true;
      ++step.skipped;
      return impl_->wait_ended(event, step);
    case TraceKind::kTaskFailed:
      if (whole) step.closed = true;
      ++step.failed;
      return impl_->wait_ended(event, step);
    case TraceKind::kTaskInDoubt:
      ++step.in_doubt;
      return;
    case TraceKind::kDoubtEnded:
      return impl_->doubt_ended(event, step);
    case TraceKind::kWaiting:
      if (impl_->waiting.insert(event.call.task).second) ++step.waiting;
      return;
    case TraceKind::kTaskUndone:
      if (!event.error) ++step.undone;
      return;
    default:
      return;
  }
}

// ---- bytes ----

namespace {

void put_step(WireWriter& out, const StepSummary& step) {
  out.text(step.id);
  out.text(step.operator_name);
  out.flag(step.closed);
  for (std::uint64_t count : {step.known, step.done, step.skipped, step.failed, step.in_doubt,
                              step.running, step.waiting, step.undone, step.calls, step.retries,
                              step.cached, step.earlier, step.hedged, step.equal}) {
    out.number(count);
  }
  out.usage(step.usage);
  out.whole(step.busy_ns);
  out.whole(step.first_ns);
  out.whole(step.last_ns);
}

StepSummary take_step(WireReader& in, std::uint8_t format) {
  StepSummary step;
  step.id = in.text();
  step.operator_name = in.text();
  step.closed = in.flag();
  for (std::uint64_t* count :
       {&step.known, &step.done, &step.skipped, &step.failed, &step.in_doubt, &step.running,
        &step.waiting, &step.undone, &step.calls, &step.retries, &step.cached}) {
    *count = in.number();
  }
  if (format > 2) {
    step.earlier = in.number();
    step.hedged = in.number();
  }
  if (format > 3) step.equal = in.number();
  step.usage = in.usage();
  step.busy_ns = in.whole();
  step.first_ns = in.whole();
  step.last_ns = in.whole();
  return step;
}

}  // namespace

std::string SummaryFold::save() const {
  const Impl& impl = *impl_;
  WireWriter out;
  out.byte(kFormat);
  out.number(impl.next_plan);
  out.number(impl.summary.steps.size());
  for (std::size_t i = 0; i < impl.summary.steps.size(); ++i) {
    out.number(impl.orders[i].first);
    out.number(impl.orders[i].second);
    put_step(out, impl.summary.steps[i]);
  }
  out.number(impl.plans.size());
  for (const auto& [hash, plan] : impl.plans) {
    out.text({reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()});
    out.number(plan.number);
  }
  out.usage(impl.summary.usage);
  out.whole(impl.summary.start_ns);
  out.whole(impl.summary.end_ns);
  out.number(impl.told_items.size());
  for (const auto& [key, count] : impl.told_items) {
    out.number(key.first);
    out.number(key.second);
    out.number(count);
  }
  out.number(impl.starts.size());
  for (const auto& [key, start] : impl.starts) {
    out.task(std::get<0>(key));
    out.number(std::get<1>(key));
    out.number(std::get<2>(key));
    out.whole(start);
  }
  out.number(impl.waiting.size());
  for (const TaskRef& task : impl.waiting) out.task(task);
  return out.take();
}

// Format 1 has none.
void SummaryFold::take_plans(WireReader& in, std::uint8_t format, Impl& into) {
  std::map<std::uint32_t, Impl::KnownPlan*> by_number;
  for (std::size_t left = format > 1 ? in.count() : 0; left > 0 && !in.bad(); --left) {
    const std::string_view bytes = in.text();
    Hash256 hash;
    if (bytes.size() != hash.bytes.size()) return in.spoil();
    std::ranges::copy(bytes, hash.bytes.begin());
    Impl::KnownPlan& plan = into.plans[hash];
    plan.number = in.number32();
    by_number[plan.number] = &plan;
  }
  constexpr std::uint32_t kMostSteps = 1 << 20;  // no plan is larger
  for (std::size_t row = 0; row < into.orders.size(); ++row) {
    const auto [number, step] = into.orders[row];
    if (step >= kMostSteps) return in.spoil();
    // A row that came from format 1, and whose step has not been seen since, has no plan.
    auto plan = by_number.find(number);
    into.orphans.push_back(plan == by_number.end());
    into.orphan_count += plan == by_number.end() ? 1 : 0;
    if (plan != by_number.end()) plan->second->set_row(step, row);
  }
}

// Bytes that no version wrote leave an empty summary: it is for people, nothing depends on it.
void SummaryFold::restored(std::string_view folded) {
  auto restored = std::make_unique<Impl>();
  WireReader in(folded);
  const std::uint8_t format = in.byte();
  if (format == 0 || format > kFormat) return;
  restored->next_plan = in.number32();
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const std::uint32_t plan = in.number32();
    restored->orders.emplace_back(plan, in.number32());
    restored->summary.steps.push_back(take_step(in, format));
  }
  take_plans(in, format, *restored);
  restored->summary.usage = in.usage();
  restored->summary.start_ns = in.whole();
  restored->summary.end_ns = in.whole();
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const std::uint64_t frame = in.number();
    const std::uint32_t step = in.number32();
    restored->told_items[{frame, step}] = in.number();
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const TaskRef task = in.task();
    const std::uint16_t turn = in.number16();
    const std::uint16_t call = in.number16();
    restored->starts[{task, turn, call}] = in.whole();
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    restored->waiting.insert(in.task());
  }
  if (in.good_end()) impl_ = std::move(restored);
}

}  // namespace sluice
