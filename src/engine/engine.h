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
#include "schedule/model_instance.h"

namespace sluice {

struct EngineOptions {
  std::string id = "default";
  std::filesystem::path file;        // GGUF
  std::uint32_t context_tokens = 0;  // of one request; 0: the model's own, at most 8192
  std::uint32_t pool_tokens = 0;     // KV cells over all requests; 0: chosen from the model
  std::uint32_t batch_tokens = 512;
  std::uint32_t max_running = 16;
  std::uint32_t threads = 0;  // 0: the machine's cores
  bool deterministic = false;
  bool own_attention = true;  // false: ggml's kernel (docs/architecture/attention.md)
  std::uint32_t queue_limit = 100'000;  // beyond: kModelOverloaded
  const Clock* clock = nullptr;         // null: system_clock()
};

// Loads the file and starts the engine's thread. kModelLoad with what to do, kFileUnreadable.
Result<std::unique_ptr<ModelInstance>> open_engine(const EngineOptions& options);

// Counters for progress and metrics since the engine was opened; any thread.
struct EngineStats {
  std::uint64_t prefill_tokens = 0;  // computed
  std::uint64_t shared_tokens = 0;   // taken from a shared prefix
  std::uint64_t decode_tokens = 0;
  std::uint64_t batches = 0;
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;
};
std::optional<EngineStats> engine_stats(const ModelInstance& instance);  // nullopt: not an engine

}  // namespace sluice
