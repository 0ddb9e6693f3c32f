#include "cli/batch_watcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/numbers_text.h"
#include "host/batch_plan.h"

namespace sluice::cli {
namespace {

bool is_step(const TraceEvent& event, std::string_view id) {
  return event.step->logical_ids.front() == id;
}

// The frame in which the user's plan runs for a row: its first attempt, as a row has no more.
std::uint64_t frame_of_row(const TraceEvent& row_event) {
  CallRef call;
  call.task = row_event.call.task;
  return frame_id(call);
}

const Value* row_error(const TraceEvent& event) {
  if (event.value == nullptr || !event.value->is_object()) return nullptr;
  const Value* error = event.value->find(kRowErrorKey);
  return event.value->members().size() == 1 ? error : nullptr;
}

}  // namespace

Result<BatchBudget> parse_batch_budget(const std::vector<std::string>& texts) {
  BatchBudget budget;
  for (const std::string& text : texts) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string_view key = std::string_view(text).substr(0, equals);
    const std::string_view given = std::string_view(text).substr(std::min(equals + 1, text.size()));
    double number = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
    std::optional<double>* bound = key == "tokens"    ? &budget.tokens
                                   : key == "usd"     ? &budget.usd
                                   : key == "seconds" ? &budget.seconds
                                                      : nullptr;
    const bool whole = error == std::errc() && end == given.data() + given.size() && number > 0;
    if (bound == nullptr || !whole) {
      return fail(
          ErrorCode::kUsage,
          fmt::format("--budget takes usd=5, tokens=200000 or seconds=3600, not '{}'", text));
    }
    *bound = number;
  }
  return budget;
}

void BatchWatcher::on_trace(const TraceEvent& event) {
  inner_.on_trace(event);
  if (event.step == nullptr) return;
  if (event.call.task.frame == 0) {
    root_event(event);
  } else {
    inner_event(event);
  }
}

void BatchWatcher::on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) {
  check_budget(now);
  inner_.on_tick(so_far, engines, now);
}

void BatchWatcher::root_event(const TraceEvent& event) {
  if (event.kind != TraceKind::kTaskDone || event.call.task.item == kNoIndex) return;
  if (is_step(event, kBatchRowStep)) row_ended(event);
  if (is_step(event, kBatchPutStep)) row_kept(event);
}

void BatchWatcher::row_ended(const TraceEvent& event) {
  const Value* error = row_error(event);
  if (error != nullptr) {
    ++rows_failed_;
    if (first_error_.empty() && error->is_string()) {
      first_error_ = fmt::format("row {}: {}", event.call.task.item + 1, error->as_string());
    }
  }
  if (stops_.sample == 0) return;
  auto cost = costs_.extract(frame_of_row(event));
  sample_.rows.push_back(cost.empty() ? RowCost{} : cost.mapped());
  if (first_ns_ != 0) {
    sample_.seconds = static_cast<double>(event.at - first_ns_) / static_cast<double>(kNsPerSecond);
  }
}

void BatchWatcher::row_kept(const TraceEvent&) {
  ++rows_done_;
  if (stops_.sample == 0 || rows_done_ < stops_.sample || stop_) return;
  stop_ = rows_failed_ >= rows_done_ ? Stop::kAllFailed : Stop::kSample;
}

void BatchWatcher::inner_event(const TraceEvent& event) {
  const bool model = event.step->logical.op == OperatorKind::kLlm;
  if (event.kind == TraceKind::kCallStarted) {
    if (first_ns_ == 0) first_ns_ = event.at;
    if (model) ++asking_;
    if (stops_.sample > 0) begun_[call_hash(event.call)] = event.at;
  }
  if (event.kind != TraceKind::kCallEnded) return;
  const auto tokens = static_cast<double>(event.usage.tokens());
  used_tokens_ += tokens;
  used_usd_ += event.usage.usd;
  most_tokens_ = std::max(most_tokens_, tokens);
  most_usd_ = std::max(most_usd_, event.usage.usd);
  if (model && asking_ > 0) --asking_;
  if (stops_.sample > 0) {
    sample_.tokens += tokens;
    sample_.usd += event.usage.usd;
    RowCost& cost = costs_[event.call.task.frame];
    cost.tokens += tokens;
    cost.usd += event.usage.usd;
    if (auto begun = begun_.extract(call_hash(event.call)); !begun.empty()) {
      cost.busy_s +=
          static_cast<double>(event.at - begun.mapped()) / static_cast<double>(kNsPerSecond);
    }
  }
  check_budget(event.at);
}

// What is under way may each cost as much as the most expensive call so far.
void BatchWatcher::check_budget(SteadyNs now) {
  if (stop_) return;
  const auto under_way = static_cast<double>(asking_ + 1);
  const BatchBudget& budget = stops_.budget;
  if (budget.tokens && used_tokens_ + under_way * most_tokens_ > *budget.tokens) {
    budget_words_ =
        fmt::format("{} of {} tokens", count_text(static_cast<std::uint64_t>(used_tokens_)),
                    count_text(static_cast<std::uint64_t>(*budget.tokens)));
  } else if (budget.usd && used_usd_ + under_way * most_usd_ > *budget.usd) {
    budget_words_ = fmt::format("{:.4f} of {:.4f} usd", used_usd_, *budget.usd);
  } else if (budget.seconds && first_ns_ != 0 &&
             static_cast<double>(now - first_ns_) >=
                 *budget.seconds * static_cast<double>(kNsPerSecond)) {
    budget_words_ = fmt::format("{:.0f} seconds", *budget.seconds);
  } else {
    return;
  }
  stop_ = Stop::kBudget;
}

}  // namespace sluice::cli
