// order: sharing. From BatchLLM: requests that begin with the same prefix run one after the other,
// so that the prefix is computed once and then needed no more, and groups with much output for
// little prompt go first, because they fill the decode batches beside which the prompts of the
// others are computed.
//
// Better: it needs no batch that is known as a whole. A group is what has arrived so far, it counts
// from its first request, and a high ratio saves a bounded time only, so nothing starves.
#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr double kRatioCounts_s = 10;

struct Group {
  SteadyNs since_ns = 0;
  double prompt = 0;
  double output = 0;
  bool found = false;  // somebody of it runs, or its prefix is in the pool
};

std::uint64_t group_of(const RequestView& view) {
  return view.prefix_group != 0 ? view.prefix_group : ~view.id;
}

}  // namespace

void order_by_sharing(const Round&, std::span<Candidate* const> mine) {
  std::unordered_map<std::uint64_t, Group> groups;
  for (const Candidate* one : mine) {
    auto [at, fresh] = groups.try_emplace(group_of(*one->view));
    Group& group = at->second;
    group.since_ns =
        fresh ? one->view->arrived_ns : std::min(group.since_ns, one->view->arrived_ns);
    group.prompt += one->left_prompt;
    group.output += one->left_output;
    group.found |= !one->waits || one->found_tokens > 0;
  }
  for (Candidate* one : mine) {
    const Group& group = groups.at(group_of(*one->view));
    double ratio = group.output / std::max(group.prompt, 1.0);
    double later_s = group.found ? 0 : kRatioCounts_s / (1 + ratio);
    one->key_ns = group.since_ns + ns_of(later_s);
  }
}

}  // namespace sluice
