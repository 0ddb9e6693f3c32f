// Small snapshots for the tests of policies.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "schedule/snapshot.h"

namespace sluice {

using Ids = std::vector<std::uint64_t>;

inline RequestView waiting(std::uint64_t id, std::uint32_t prompt, std::uint32_t max_tokens = 10) {
  return {.id = id,
          .prompt_tokens = prompt,
          .max_tokens = max_tokens,
          .arrived_ns = static_cast<SteadyNs>(id) * kNsPerMs};
}

inline RequestView decoding(std::uint64_t id, std::uint32_t prompt, std::uint32_t generated,
                            std::uint32_t max_tokens) {
  RequestView view = waiting(id, prompt, max_tokens);
  view.phase = RequestPhase::kDecode;
  view.computed_tokens = prompt;
  view.generated_tokens = generated;
  view.own_cells = prompt + generated - 1;
  return view;
}

inline RequestView computing(std::uint64_t id, std::uint32_t prompt, std::uint32_t computed) {
  RequestView view = waiting(id, prompt);
  view.phase = RequestPhase::kPrefill;
  view.computed_tokens = view.own_cells = computed;
  return view;
}

inline ScheduleSnapshot world(std::vector<RequestView> requests) {
  ScheduleSnapshot out;
  out.now_ns = kNsPerSecond;
  out.pool = {.total_cells = 10'000, .sequences_free = 100};
  for (const RequestView& view : requests) out.pool.used_cells += view.own_cells;
  out.requests = std::move(requests);
  out.max_running = 8;
  return out;
}

inline std::uint32_t chunk_of(const ScheduleDecision& decision, std::uint64_t id) {
  for (const PrefillChunk& chunk : decision.prefill) {
    if (chunk.request == id) return chunk.tokens;
  }
  return 0;
}

inline bool has(const Ids& ids, std::uint64_t id) {
  return std::ranges::find(ids, id) != ids.end();
}

}  // namespace sluice
