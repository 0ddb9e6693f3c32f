// What an engine has done since it was opened. Written by the engine's thread, read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

struct EngineCounters {
  std::atomic<std::uint64_t> prefill_tokens = 0;
  std::atomic<std::uint64_t> shared_tokens = 0;
  std::atomic<std::uint64_t> copied_back_tokens = 0;
  std::atomic<std::uint64_t> decode_tokens = 0;
  std::atomic<std::uint64_t> forced_tokens = 0;
  std::atomic<std::uint64_t> batches = 0;
  std::atomic<std::uint64_t> aborted_batches = 0;
  std::atomic<std::uint64_t> busy_ns = 0;
  std::atomic<std::uint64_t> choice_ns = 0;
  std::atomic<std::uint64_t> mask_ns = 0;
  std::atomic<std::uint64_t> masks = 0;
  std::atomic<std::uint64_t> preemptions = 0;
  std::atomic<std::uint64_t> dropped_tokens = 0;
  std::atomic<std::uint64_t> moved_to_host_tokens = 0;
  // Of the lane that shares, as of its last step.
  std::atomic<std::uint32_t> pool_cells = 0;
  std::atomic<std::uint32_t> used_cells = 0;
  std::atomic<std::uint32_t> kept_cells = 0;
  std::atomic<std::uint64_t> host_bytes = 0;
};

}  // namespace sluice
