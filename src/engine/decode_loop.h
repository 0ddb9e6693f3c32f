// One llama context and the requests that run on it: continuous batching under the decisions of
// schedule/form_batch. The engine has up to two lanes: one that shares (a unified KV pool, many
// requests in a batch, shared prefixes) and one for deterministic requests (its own context, one
// request at a time, so that nothing else can change the arithmetic).
//
// Used by the engine's thread only. A lane owns its llama context; the model must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/generation.h"
#include "engine/model_file.h"
#include "engine/prefix_cache.h"
#include "engine/vocabulary.h"

struct llama_batch;  // NOLINT(readability-identifier-naming): the library's own name

namespace sluice {

struct LaneOptions {
  std::uint32_t pool_tokens = 0;
  std::uint32_t batch_tokens = 512;
  std::uint32_t max_running = 16;
  std::uint32_t threads = 0;
  bool own_attention = true;
  bool share = true;                        // prefixes, also of requests that have ended
  const std::atomic<bool>* stop = nullptr;  // set: the current batch is abandoned
};

struct EngineCounters {
  std::atomic<std::uint64_t> prefill_tokens = 0;
  std::atomic<std::uint64_t> shared_tokens = 0;
  std::atomic<std::uint64_t> decode_tokens = 0;
  std::atomic<std::uint64_t> batches = 0;
};

class Lane {
 public:
  // Told the id of every request that ended, before its callback.
  using OnEnded = std::function<void(RequestId)>;

  static Result<std::unique_ptr<Lane>> open(llama_model* model, const Vocabulary& vocabulary,
                                            const LaneOptions& options, EngineCounters& counters,
                                            OnEnded on_ended);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void add(std::unique_ptr<Generation> request);
  bool cancel(RequestId id);  // false: not here
  void release(const std::string& program);
  bool empty() const { return waiting_.empty() && running_.empty(); }
  // Ends what is past its timeout, admits, computes one batch and hands out its tokens.
  void step(SteadyNs now_ns);
  void end_all(const Error& error);

  std::uint32_t running() const { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t waiting() const { return static_cast<std::uint32_t>(waiting_.size()); }
  bool consistent() const { return cache_.consistent(); }

 private:
  struct Running {
    std::unique_ptr<Generation> request;
    SequenceId sequence = -1;
  };
  struct Work;  // one batch

  Lane(llama_model* model, const Vocabulary& vocabulary, const LaneOptions& options,
       EngineCounters& counters, OnEnded on_ended);

  ScheduleSnapshot snapshot(SteadyNs now_ns);
  void look_for_prefixes(Generation& request, std::span<const Running* const> prefilling);
  ScheduleDecision decide(SteadyNs now_ns);
  void admit(RequestId id);
  void evict(std::uint32_t cells);
  void evict_one();
  bool fill(Work& work, const ScheduleDecision& decision);
  void compute(Work& work);
  void fail_work(const Work& work, int status);
  void expire(SteadyNs now_ns);
  void finish(std::size_t at, Result<ModelReply> result);
  void retire(Running& running, bool keep);
  std::size_t find(RequestId id) const;

  const Vocabulary& vocabulary_;
  LaneOptions options_;
  EngineCounters& counters_;
  OnEnded on_ended_;
  ContextHandle context_;
  PrefixCache cache_;
  std::uint32_t pool_cells_ = 0;
  std::vector<SequenceId> free_sequences_;
  std::map<SequenceId, std::string> programs_;  // of idle sequences
  std::vector<std::unique_ptr<Generation>> waiting_;
  std::vector<Running> running_;
};

}  // namespace sluice
