// order: program (the default). From Continuum, first come first served by program: the next turn
// of a program that has begun goes before programs that came later, so that the first ones end soon
// instead of all of them late. From UWFQ and FlowPrefill, virtual finish times: what begins counts
// as due when it would be done on a machine of which it has a quarter, so short requests pass long
// prompts that came a little earlier, and nothing is passed by what comes much later.
//
// Better than these: a plan that knows the seconds that its programs still need is believed (the
// one with less left goes first among those that began together), and within one program the
// longest remaining path goes first.
#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr double kStretch = 4;
// Nobody is ahead for longer than this because its program is old.
constexpr double kMostCredit_s = 3600;
// Orders requests of one program and never those of two that did not begin within this time.
constexpr double kWithinProgram_s = 1e-3;

}  // namespace

void order_by_program(const Round& round, std::span<Candidate* const> mine) {
  std::unordered_map<std::string_view, double> path_s;  // longest of each program
  for (const Candidate* one : mine) {
    const RequestView& view = *one->view;
    if (view.program.empty() || !view.remaining_path_s) continue;
    double& longest = path_s[view.program];
    longest = std::max(longest, *view.remaining_path_s);
  }
  for (Candidate* one : mine) {
    const RequestView& view = *one->view;
    bool begun = !view.program.empty() && view.program_since_ns < view.arrived_ns;
    auto known = path_s.find(view.program);
    double due_s = begun ? 0 : kStretch * one->own_s;
    double first = std::min(view.rank, 1000U) / 1000.0;
    SteadyNs since = view.arrived_ns;
    if (begun) since = std::max(view.program_since_ns, since - ns_of(kMostCredit_s));
    if (known != path_s.end()) {
      due_s = known->second;
      if (view.remaining_path_s && due_s > 0) first = *view.remaining_path_s / known->second;
    }
    one->key_ns = since + ns_of(due_s - kWithinProgram_s * first);
  }
  (void)round;
}

}  // namespace sluice
