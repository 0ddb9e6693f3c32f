// The embedded engine: an instance of a language model in this process, on libllama, with
// continuous batching. One thread of its own owns the llama context and runs the decode loop; all
// else reaches it through a queue.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "cost/instance_cost.h"
#include "schedule/model_instance.h"
#include "schedule/policy_settings.h"

namespace sluice {

struct EngineOptions {
  std::string id = "default";
  std::filesystem::path file;        // GGUF
  std::uint32_t context_tokens = 0;  // of one request; 0: the model's own, at most 8192
  std::uint32_t pool_tokens = 0;     // KV cells over all requests; 0: chosen from the model
  std::uint32_t batch_tokens = 512;
  std::uint32_t max_running = 16;
  std::uint32_t threads = 0;  // 0: the machine's cores
  // Host memory for KV that left the pool; beyond it a prefix is dropped and computed again.
  std::uint64_t host_bytes = std::uint64_t{1} << 30;
  PolicySettings policies;
  // nullopt: what was measured for this file and kept in calibration_dir, else with `calibrate`
  // measured before the first request (a few seconds), else InstanceCost::defaults().
  std::optional<InstanceCost> cost;
  std::filesystem::path calibration_dir;  // "": none
  bool calibrate = false;
  bool deterministic = false;
  bool jump_forward = true;             // append what a schema forces without asking the model
  bool own_attention = true;            // false: ggml's kernel (docs/architecture/attention.md)
  std::uint32_t queue_limit = 100'000;  // beyond: kModelOverloaded
  const Clock* clock = nullptr;         // null: system_clock()
};

// Loads the file and starts the engine's thread. kModelLoad with what to do, kFileUnreadable.
Result<std::unique_ptr<ModelInstance>> open_engine(const EngineOptions& options);

// Counters for progress and metrics since the engine was opened; any thread.
struct EngineStats {
  std::uint64_t prefill_tokens = 0;      // computed
  std::uint64_t shared_tokens = 0;       // taken from a shared prefix in the pool
  std::uint64_t copied_back_tokens = 0;  // taken from host memory
  std::uint64_t decode_tokens = 0;       // sampled
  std::uint64_t forced_tokens = 0;       // appended because a grammar left no choice
  std::uint64_t batches = 0;
  std::uint64_t aborted_batches = 0;
  std::uint64_t busy_ns = 0;    // inside llama_decode
  std::uint64_t choice_ns = 0;  // of processor: choosing tokens, with all that grammars take
  std::uint64_t mask_ns = 0;    // of choice_ns: filling masks of allowed tokens
  std::uint64_t masks = 0;      // that were filled
  std::uint64_t preemptions = 0;
  std::uint64_t dropped_tokens = 0;  // of kept prefixes that left the pool and host memory
  std::uint64_t moved_to_host_tokens = 0;
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;
  std::uint32_t pool_cells = 0;
  std::uint32_t used_cells = 0;  // by running requests
  std::uint32_t kept_cells = 0;
  std::uint64_t host_bytes = 0;  // in use
};
std::optional<EngineStats> engine_stats(const ModelInstance& instance);  // nullopt: not an engine

// What the instance counts with when it plans its batches; any thread.
struct EnginePace {
  InstanceCost cost;
  bool measured = false;  // on this machine; false: the defaults
  std::uint32_t most_running = 0;
};
std::optional<EnginePace> engine_pace(const ModelInstance& instance);  // nullopt: not an engine

}  // namespace sluice
