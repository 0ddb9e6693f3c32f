// An engine in virtual time: the real policies (schedule/decide), the real account of prefixes
// (PrefixTree), the real ledgers, and instead of a model the seconds that InstanceCost says. So
// policies are compared in milliseconds of a test and not in minutes of a machine. Every decision
// is checked while it is carried out: never over the pool, limits hold, the promises of
// engine_policy.h are kept (SLUICE_ENSURE).
//
// Deterministic: equal options and workload give equal reports. One thread.
#pragma once

#include <cstdint>

#include "cost/instance_cost.h"
#include "schedule/policy_settings.h"
#include "simulate/engine_workload.h"

namespace sluice {

struct EngineWorldOptions {
  InstanceCost cost = InstanceCost::defaults();
  PolicySettings policies;
  std::uint64_t host_bytes = std::uint64_t{1} << 30;
  std::uint32_t batch_tokens = 512;
  std::uint32_t sequences = 254;
  std::uint32_t window = 128;  // waiting requests that the policy sees
  std::uint64_t seed = 0;
  double longest_s = 3600;  // virtual; what has not ended by then never does
};
EngineWorldReport run_engine_world(const Workload& workload, const EngineWorldOptions& options);

// A server like llama-server under the same clock and costs: slots with a context each, a queue
// first come first served, slots chosen by the longest common prefix, prompts of up to 2,048 tokens
// in a step beside the decoding slots, what a slot forgets kept in host memory.
struct SlotServerOptions {
  InstanceCost cost = InstanceCost::defaults();
  std::uint32_t slots = 8;
  std::uint64_t host_bytes = std::uint64_t{8} << 30;
  std::uint32_t step_tokens = 2048;
  std::uint32_t batch_tokens = 512;  // computed at once
  double longest_s = 3600;
};
EngineWorldReport run_slot_server(const Workload& workload, const SlotServerOptions& options);

}  // namespace sluice
