#include "schedule/round.h"

#include <algorithm>

namespace sluice {
namespace {

// Under overload everybody waits long, and then age says nothing: as long as so many times what is
// here would take (each program shows one request, and has more to come) nobody has aged.
constexpr double kAgeingBacklogs = 8;

const InstanceCost& default_cost() {
  static const InstanceCost cost = InstanceCost::defaults();
  return cost;
}

}  // namespace

Round::Round(const ScheduleSnapshot& from)
    : snapshot(from), cost(from.cost ? *from.cost : default_cost()), lengths(from.output_history) {
  std::uint32_t running = 0;
  for (const RequestView& view : from.requests) running += view.phase != RequestPhase::kWaiting;
  std::uint32_t together = std::max(running, 1U);
  std::uint32_t chunk = std::max(from.batch_tokens, 1U);
  candidates.reserve(from.requests.size());
  for (const RequestView& view : from.requests) {
    Candidate own;
    own.view = &view;
    own.waits = view.phase == RequestPhase::kWaiting;
    std::uint32_t host = own.waits ? view.host_tokens : 0;
    std::uint32_t found = own.waits ? view.shared_tokens + host : view.computed_tokens;
    own.found_tokens = std::min(found, view.prompt_tokens);
    own.left_prompt = view.prompt_tokens - own.found_tokens;
    own.left_output = view.prefetch ? 0 : lengths.expected_left(view);
    own.prefill_s = cost.copy_in_s(host) + cost.prefill_s(own.found_tokens, own.left_prompt, chunk);
    // Cells that it sees while it decodes: a request that decodes has generated some of them here.
    std::uint64_t depth =
        std::uint64_t{view.prompt_tokens} + (own.waits ? 0 : view.generated_tokens);
    own.own_s = own.prefill_s + cost.decode_s(depth, own.left_output, together - 1) / together;
    backlog_s += own.own_s;
    candidates.push_back(own);
  }
  for (const KeptRunView& run : from.kept) {
    if (!run.program.empty()) beginnings.push_back(run.program_since_ns);
  }
  for (const RequestView& view : from.requests) {
    if (!view.program.empty()) beginnings.push_back(view.program_since_ns);
  }
  std::ranges::sort(beginnings);
  auto same = std::ranges::unique(beginnings);
  beginnings.erase(same.begin(), same.end());
  double aged_s = static_cast<double>(from.settings.aged_ms) / 1e3;
  aged_s += kAgeingBacklogs * backlog_s;
  for (Candidate& one : candidates) {
    one.aged = !one.view->prefetch && since_s(one.view->arrived_ns) >= aged_s;
  }
}

std::size_t Round::programs_before(SteadyNs since_ns) const {
  auto at = std::ranges::lower_bound(beginnings, since_ns);
  return static_cast<std::size_t>(at - beginnings.begin());
}

}  // namespace sluice
