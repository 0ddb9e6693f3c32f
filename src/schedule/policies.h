// The kinds of policies and the tables of their names (policies.def). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "schedule/round.h"

namespace sluice {

// order/: sets key_ns of the candidates that wish this order. All orders count in the same virtual
// time (nanoseconds of the steady clock at which a request would be due), so that keys of requests
// with different orders compare.
using OrderPolicy = void(const Round& round, std::span<Candidate* const> mine);

// fairness/: sets round.ranking from keys, ages, priorities and services.
using FairnessPolicy = void(Round& round);

// admission/: whether a waiting request fits beside all that runs.
class RoomEstimate {
 public:
  virtual ~RoomEstimate() = default;
  virtual bool fits(const Candidate& one) const = 0;
  virtual void add(const Candidate& one) = 0;     // it is admitted, or not preempted after all
  virtual void remove(const Candidate& one) = 0;  // it is preempted
};
using AdmissionPolicy = std::unique_ptr<RoomEstimate>(const Round& round);

// batch/: what is computed next, of those that run (admitted ones are among them by now).
struct BatchInput {
  const Round& round;
  std::vector<const Candidate*> decoding;    // by rank
  std::vector<const Candidate*> prefilling;  // by rank
  std::uint32_t cells = 0;                   // that the batch may take, evictable ones included
};
using BatchPolicy = void(const BatchInput& input, ScheduleDecision& decision);

// lifetime/: what is lost, in expected seconds, when a kept run leaves the pool (or host memory).
struct RunWorth {
  double drop_s = 0;                                        // when it is dropped
  double host_s = std::numeric_limits<double>::infinity();  // when it moves to host memory
  double back_s = std::numeric_limits<double>::infinity();  // of one in host memory: when it is
                                                            // expected back, seconds from now
  bool leave_now = false;  // to drop at once, also where there is room
  bool move_now = false;   // to move to host memory at once
};
using LifetimePolicy = RunWorth(const Round& round, const KeptRunView& run);

struct PolicyTables {
  template <typename Policy>
  struct Row {
    std::string_view name;
    Policy* policy;
  };
  std::span<const Row<OrderPolicy>> order;
  std::span<const Row<FairnessPolicy>> fairness;
  std::span<const Row<AdmissionPolicy>> admission;
  std::span<const Row<BatchPolicy>> batch;
  std::span<const Row<LifetimePolicy>> lifetime;
};
const PolicyTables& policy_tables();

// By name; "" and unknown names give the fallback.
template <typename Policy>
Policy* find_policy(std::span<const PolicyTables::Row<Policy>> rows, std::string_view name,
                    Policy* fallback) {
  for (const auto& row : rows) {
    if (row.name == name) return row.policy;
  }
  return fallback;
}

// kValueInvalid with the names that there are. Empty names are fine: no wish.
Result<void> check_policy_names(const PolicyNames& names);

}  // namespace sluice
