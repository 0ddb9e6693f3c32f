// What an engine's scheduler sees and what it decides. Plain structs: the same policy runs in the
// real engine and in the simulator. Units: tokens, nanoseconds of the steady clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sluice {

using SequenceId = std::int32_t;

enum class RequestPhase : std::uint8_t { kWaiting, kPrefill, kDecode };

struct RequestView {
  std::uint64_t id = 0;
  RequestPhase phase = RequestPhase::kWaiting;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t computed_tokens = 0;     // of the prompt: in the pool already, shared ones included
  std::uint32_t shared_tokens = 0;       // prefix that can be shared with a resident sequence
  std::uint32_t shared_idle_tokens = 0;  // of shared_tokens: in cells that nobody uses now
  std::uint32_t soon_shared_tokens = 0;  // prefix that a running request has or is computing now
  std::uint32_t generated_tokens = 0;
  std::uint32_t max_tokens = 0;
  std::optional<std::uint32_t> expected_tokens;
  std::string program;
  std::string tenant;
  std::int32_t priority = 0;
  std::uint32_t rank = 0;
  SteadyNs arrived_ns = 0;
  std::optional<SteadyNs> deadline_ns;
  bool deterministic = false;
};

struct PoolView {
  std::uint32_t total_cells = 0;
  std::uint32_t used_cells = 0;    // by running requests, shared cells once
  std::uint32_t cached_cells = 0;  // prefixes kept that nobody uses now; may be evicted
  std::uint32_t sequences_free = 0;
};

struct ScheduleSnapshot {
  SteadyNs now_ns = 0;
  std::vector<RequestView> requests;  // arrival order
  PoolView pool;
  std::uint32_t batch_tokens = 512;  // most tokens in one batch
  std::uint32_t max_running = 32;
};

struct PrefillChunk {
  std::uint64_t request = 0;
  std::uint32_t tokens = 0;
};

struct ScheduleDecision {
  std::vector<std::uint64_t> admit;    // waiting requests that get a sequence now
  std::vector<std::uint64_t> decode;   // requests that decode one token in the next batch
  std::vector<PrefillChunk> prefill;   // chunks in the next batch, after the decode tokens
  std::uint32_t evict_cells = 0;       // cached cells to free first
  std::vector<std::uint64_t> preempt;  // running requests whose KV is dropped; they wait again
};

}  // namespace sluice
