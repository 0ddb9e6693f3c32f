// One decision while it is made: the snapshot and what all policies derive from it. Lives for one
// call of decide(); one thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "schedule/output_lengths.h"
#include "schedule/snapshot.h"

namespace sluice {

// A prefix that comes by itself within a moment is worth waiting for from this many tokens on.
inline constexpr std::uint32_t kWorthWaiting = 32;

// A request with what policies need to know of it. `left` ones are from here to its end.
struct Candidate {
  const RequestView* view = nullptr;
  std::uint32_t found_tokens = 0;  // of the prompt: computed, shared, or to be copied back
  std::uint32_t left_prompt = 0;   // to compute
  std::uint32_t left_output = 0;   // expected
  double prefill_s = 0;  // expected seconds of the instance: for the rest of the prompt ...
  double own_s = 0;      // ... and for all that is left, with its share of decode batches
  bool waits = false;
  bool aged = false;        // waited for so long that its order does not count any more
  std::int64_t key_ns = 0;  // virtual time of its order policy: lower first
  std::uint32_t rank = 0;   // place in Round::ranking
  bool light = false;       // of a tenant that asks for little: the others must not slow it down
};

struct Round {
  explicit Round(const ScheduleSnapshot& from);
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  double since_s(SteadyNs ns) const {
    return static_cast<double>(snapshot.now_ns - ns) / static_cast<double>(kNsPerSecond);
  }

  // How many programs that are here or expected back began before then.
  std::size_t programs_before(SteadyNs since_ns) const;

  const ScheduleSnapshot& snapshot;
  const InstanceCost& cost;
  OutputLengths lengths;
  std::vector<Candidate> candidates;  // as in snapshot.requests
  std::vector<Candidate*> ranking;    // who goes first; set by the fairness policy
  std::vector<SteadyNs> beginnings;   // of the programs that are here or expected back; sorted
  double backlog_s = 0;               // own_s of all
  bool any_light = false;
};

inline SteadyNs ns_of(double seconds) {
  return static_cast<SteadyNs>(seconds * static_cast<double>(kNsPerSecond));
}

}  // namespace sluice
