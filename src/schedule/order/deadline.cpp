// order: deadline. From HexGen-Text2SQL: the time to a program's deadline is shared out over the
// stages that it still has in proportion to their work, slo = (deadline - arrival) * t / (t +
// rest), and the request with the least slack, t - (slo - waited), goes first. Written as an
// instant this is the latest start, arrival + slo - t, which does not change while it waits.
//
// Better: t and the rest are seconds of the cost model for this very request (with what is found in
// the pool), and requests without a deadline have a place in the same order.
#include <algorithm>

#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr double kStretch = 4;  // of a request without a deadline, as in order/program

}  // namespace

void order_by_deadline(const Round&, std::span<Candidate* const> mine) {
  for (Candidate* one : mine) {
    const RequestView& view = *one->view;
    if (!view.deadline_ns) {
      one->key_ns = view.arrived_ns + ns_of(kStretch * one->own_s);
      continue;
    }
    double whole_s = static_cast<double>(*view.deadline_ns - view.arrived_ns) / kNsPerSecond;
    double path_s = std::max(view.remaining_path_s.value_or(one->own_s), one->own_s);
    double share = path_s > 0 ? one->own_s / path_s : 1;
    one->key_ns = view.arrived_ns + ns_of(std::max(whole_s, 0.0) * share - one->own_s);
  }
}

}  // namespace sluice
