#include "runtime/run_fork.h"

#include <fmt/format.h>

#include <charconv>
#include <set>
#include <utility>

#include "base/failpoint.h"
#include "plan/lower.h"
#include "plan/tool_catalog.h"
#include "runtime/recorded_plan.h"
#include "runtime/replay.h"

namespace sluice {
namespace {

constexpr std::string_view kFirst = "fork_first";
constexpr std::string_view kLast = "fork_last";

void read_number(const Value& value, std::string_view key, JournalSeq& number) {
  const Value* member = value.find(key);
  if (member == nullptr || !member->is_string()) return;
  const std::string_view digits = member->as_string();
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
}

// What runs again: by the old plan's edges and by the new one's, where a step may be new.
std::set<std::string> again_from(const PhysicalPlan& old, const PhysicalPlan& now,
                                 const std::string& from) {
  std::set<std::string> again;
  for (const PhysicalPlan* plan : {&old, &now}) {
    if (auto steps = steps_from(*plan, from)) again.insert(steps->begin(), steps->end());
  }
  return again;
}

// The run that a fork comes from, as far as its journal goes.
Result<ReuseReport> ask_old_run(Journal& journal, const RunHeader& header, const RecordedPlan& plan,
                                const std::set<std::string>& again, JournalSeq upto,
                                const PastReading& reading) {
  auto older = reuse_of_fork(journal, header, *plan.physical, reading);
  if (!older) return std::unexpected(older.error());
  auto report =
      build_reuse_table(journal, header.run_id, plan.physical, reading.values, reading.adopt,
                        {.again = again, .upto = upto, .taken_over = older->get()});
  if (!report) return report;
  auto params = reading.values.load(report->params);
  if (!params) return std::unexpected(params.error());
  report->params = std::move(*params);
  return report;
}

}  // namespace

std::vector<Value::Member> encode_fork_bounds(const ForkBounds& bounds) {
  return {{std::string(kFirst), Value::string(std::to_string(bounds.first))},
          {std::string(kLast), Value::string(std::to_string(bounds.last))}};
}

Result<ForkBounds> read_fork_bounds(const Value& settings) {
  if (!settings.is_object()) {
    return fail(ErrorCode::kJournalDamaged, "the run's header has no settings");
  }
  ForkBounds bounds;
  read_number(settings, kFirst, bounds.first);
  read_number(settings, kLast, bounds.last);
  return bounds;
}

Result<std::shared_ptr<const ReuseTable>> reuse_of_fork(Journal& journal, const RunHeader& fork,
                                                        const PhysicalPlan& plan,
                                                        const PastReading& reading) {
  if (fork.forked_from.empty() || failpoint(Failpoint::kForkForgetsOnResume)) return nullptr;
  auto changed = [&fork](std::string_view what) {
    return fail(ErrorCode::kRunChanged,
                fmt::format("run {} was forked from run {}, which {}: with what keys its calls "
                            "went out, and what it took over, cannot be known any more; fork or "
                            "run anew",
                            fork.run_id, fork.forked_from, what));
  };
  auto known = read_fork_bounds(fork.settings);
  if (!known) return std::unexpected(known.error());
  auto old_run = journal.find_run(fork.forked_from);
  if (!old_run && old_run.error().code() == ErrorCode::kRunUnknown) {
    return changed("the journal no longer has");
  }
  if (!old_run) return std::unexpected(old_run.error());
  if (old_run->first_seq != known->first || old_run->last_seq < known->last) {
    return changed("was compacted since");
  }
  auto header = read_run_header(journal, fork.forked_from);
  if (!header) return std::unexpected(header.error());
  auto old = read_recorded_plan(*header);
  if (!old) return std::unexpected(old.error());
  auto report = ask_old_run(journal, *header, *old,
                            again_from(*old->physical, plan, fork.fork_step), known->last, reading);
  if (!report) return std::unexpected(report.error());
  return report->table;
}

Result<ForkPreparation> prepare_fork(Journal& journal, const std::string& run_id,
                                     const std::string& from, const PlanPtr& plan,
                                     const PastReading& reading) {
  auto header = read_run_header(journal, run_id);
  if (!header) return std::unexpected(header.error());
  auto old = read_recorded_plan(*header);
  if (!old) return std::unexpected(old.error());
  // Only for its edges: what tool servers offer does not change them.
  auto lowered = lower_plan(plan, *catalog_of(*plan));
  if (!lowered) return std::unexpected(lowered.error());
  if (auto known = steps_from(**lowered, from); !known) return std::unexpected(known.error());
  const auto again = again_from(*old->physical, **lowered, from);
  auto report = ask_old_run(journal, *header, *old, again, UINT64_MAX, reading);
  if (!report) return std::unexpected(report.error());

  ForkPreparation prepared;
  prepared.params = std::move(report->params);
  prepared.forked = {run_id, from, report->table, report->first, report->last};
  for (const PhysicalStep& step : (*lowered)->steps) {
    const std::string& id = step.logical_ids.front();
    if (again.contains(id) || report->repeated.contains(id)) {
      prepared.again.push_back(id);
    } else if (step.logical.op == OperatorKind::kWait) {
      prepared.waits.push_back(id);
    }
    if (auto taken = report->taken.find(id); taken != report->taken.end()) {
      prepared.reusable.emplace_back(id, taken->second);
    }
  }
  return prepared;
}

}  // namespace sluice
