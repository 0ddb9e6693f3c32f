#include "runtime/trace.h"

#include "runtime/event.h"

namespace sluice {

Usage& Usage::operator+=(const Usage& more) {
  prompt_tokens += more.prompt_tokens;
  cached_tokens += more.cached_tokens;
  completion_tokens += more.completion_tokens;
  usd += more.usd;
  return *this;
}

std::string_view trace_kind_name(TraceKind kind) {
  switch (kind) {
    case TraceKind::kRunStarted:
      return "run_started";
    case TraceKind::kItemsKnown:
      return "items_known";
    case TraceKind::kCallStarted:
      return "call_started";
    case TraceKind::kCallEnded:
      return "call_ended";
    case TraceKind::kItemEmitted:
      return "item_emitted";
    case TraceKind::kRetryScheduled:
      return "retry_scheduled";
    case TraceKind::kTaskDone:
      return "task_done";
    case TraceKind::kTaskSkipped:
      return "task_skipped";
    case TraceKind::kTaskFailed:
      return "task_failed";
    case TraceKind::kTaskInDoubt:
      return "task_in_doubt";
    case TraceKind::kPlanAdmitted:
      return "plan_admitted";
    case TraceKind::kRunEnded:
      return "run_ended";
    case TraceKind::kWaiting:
      return "waiting";
    case TraceKind::kSignal:
      return "signal";
    case TraceKind::kDoubtEnded:
      return "doubt_ended";
    case TraceKind::kTaskUndone:
      return "task_undone";
    case TraceKind::kRecoveryBegan:
      return "recovery_began";
    case TraceKind::kRecovered:
      return "recovered";
    case TraceKind::kReplanned:
      return "replanned";
  }
  return "unknown";
}

std::string_view run_status_name(RunStatus status) {
  switch (status) {
    case RunStatus::kSucceeded:
      return "succeeded";
    case RunStatus::kFailed:
      return "failed";
    case RunStatus::kInterrupted:
      return "interrupted";
    case RunStatus::kCancelled:
      return "cancelled";
    case RunStatus::kInDoubt:
      return "in_doubt";
    case RunStatus::kBudgetSpent:
      return "budget_spent";
  }
  return "unknown";
}

}  // namespace sluice
