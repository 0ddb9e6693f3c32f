// The rule, in the order in which it is applied:
//  1. A deterministic request has every batch for itself: while one runs nothing else does, and it
//     is admitted only when nothing runs. Its chunks have always the same shape.
//  2. Requests are admitted in the order of admitted_before() while a sequence is free and the
//     worst case of all that runs (whole prompt, all tokens it may generate) fits the pool. The
//     first that does not fit ends admission: nobody is overtaken because it is large. Cells that
//     several requests share count once; cells that nobody uses do not count, they are evicted.
//  3. A request whose prefix a running one is computing right now is passed over until that prefix
//     is there to be shared (when that saves more than kWorthWaiting tokens).
//  4. A batch holds one token of each decoding request, then prefill chunks in the order of
//     admitted_before() up to the token budget: decoding never stalls behind a long prompt.
#include "schedule/batch_policy.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::uint32_t kWorthWaiting = 32;

std::int64_t left(std::uint32_t whole, std::uint32_t done) {
  return whole > done ? static_cast<std::int64_t>(whole) - done : 0;
}

// Cells that a running request may still need at worst.
std::int64_t reserved_cells(const RequestView& request) {
  return left(request.prompt_tokens, request.computed_tokens) +
         left(request.max_tokens, request.generated_tokens);
}

// Cells that a waiting request takes from the free ones at worst; idle shared cells become used.
std::int64_t admission_cells(const RequestView& request) {
  return left(request.prompt_tokens, request.shared_tokens) + request.shared_idle_tokens +
         request.max_tokens;
}

struct BatchPlan {
  const ScheduleSnapshot& snapshot;
  ScheduleDecision decision;
  std::vector<const RequestView*> running;
  std::vector<const RequestView*> admitted;
  std::int64_t batch_cells = 0;
  std::int64_t woken_cells = 0;  // idle cells that became used by sharing

  explicit BatchPlan(const ScheduleSnapshot& from) : snapshot(from) {
    for (const RequestView& request : snapshot.requests) {
      if (request.phase != RequestPhase::kWaiting) running.push_back(&request);
    }
  }

  bool before(const RequestView* a, const RequestView* b) const {
    return admitted_before(*a, *b, snapshot.now_ns);
  }

  void admit() {
    std::vector<const RequestView*> waiting;
    for (const RequestView& request : snapshot.requests) {
      if (request.phase == RequestPhase::kWaiting) waiting.push_back(&request);
    }
    std::ranges::sort(waiting, [&](auto* a, auto* b) { return before(a, b); });
    std::int64_t free = std::int64_t{snapshot.pool.total_cells} - snapshot.pool.used_cells;
    for (const RequestView* request : running) free -= reserved_cells(*request);
    std::size_t sequences = snapshot.pool.sequences_free;
    for (const RequestView* request : waiting) {
      if (running.size() + admitted.size() >= snapshot.max_running || sequences == 0) return;
      if (request->deterministic && !(running.empty() && admitted.empty())) return;
      if (request->soon_shared_tokens > request->shared_tokens + kWorthWaiting) continue;
      std::int64_t need = admission_cells(*request);
      if (need > free) return;
      free -= need;
      sequences -= 1;
      woken_cells += request->shared_idle_tokens;
      admitted.push_back(request);
      decision.admit.push_back(request->id);
      if (request->deterministic) return;
    }
  }

  void fill(const RequestView* alone) {
    std::uint32_t budget = snapshot.batch_tokens;
    std::vector<const RequestView*> prefill;
    for (const RequestView* request : running) {
      if (alone && request != alone) continue;
      if (request->phase == RequestPhase::kPrefill) prefill.push_back(request);
      if (request->phase != RequestPhase::kDecode || budget == 0) continue;
      decision.decode.push_back(request->id);
      budget -= 1;
      batch_cells += 1;
    }
    for (const RequestView* request : admitted) prefill.push_back(request);
    std::ranges::sort(prefill, [&](auto* a, auto* b) { return before(a, b); });
    for (const RequestView* request : prefill) {
      std::uint32_t done = request->phase == RequestPhase::kWaiting ? request->shared_tokens
                                                                    : request->computed_tokens;
      auto tokens = static_cast<std::uint32_t>(
          std::min<std::int64_t>(budget, left(request->prompt_tokens, done)));
      if (tokens == 0) continue;
      decision.prefill.push_back({request->id, tokens});
      budget -= tokens;
      batch_cells += tokens;
    }
  }

  void evict() {
    std::int64_t idle = std::max<std::int64_t>(0, snapshot.pool.cached_cells - woken_cells);
    std::int64_t after = snapshot.pool.used_cells + woken_cells + batch_cells + idle;
    std::int64_t over = after - snapshot.pool.total_cells;
    decision.evict_cells = static_cast<std::uint32_t>(std::clamp<std::int64_t>(over, 0, idle));
  }
};

}  // namespace

bool admitted_before(const RequestView& a, const RequestView& b, SteadyNs now_ns) {
  if (a.priority != b.priority) return a.priority > b.priority;
  bool a_aged = now_ns - a.arrived_ns >= kAgedNs;
  bool b_aged = now_ns - b.arrived_ns >= kAgedNs;
  if (a_aged != b_aged) return a_aged;
  if (!a_aged && a.rank != b.rank) return a.rank > b.rank;
  if (a.arrived_ns != b.arrived_ns) return a.arrived_ns < b.arrived_ns;
  return a.id < b.id;
}

ScheduleDecision form_batch(const ScheduleSnapshot& snapshot) {
  BatchPlan plan(snapshot);
  auto found = std::ranges::find_if(plan.running, &RequestView::deterministic);
  const RequestView* alone = found == plan.running.end() ? nullptr : *found;
  if (!alone) plan.admit();
  plan.fill(alone);
  plan.evict();
  return std::move(plan.decision);
}

}  // namespace sluice
