// One llama context and the requests that run on it: continuous batching under the decisions of
// schedule/engine_policy.h. The engine has up to two lanes: one that shares (a unified KV pool,
// many requests in a batch, shared and kept prefixes) and one for deterministic requests (its own
// context, one request at a time, so that nothing else can change the arithmetic).
//
// lane.cpp: the requests and their ends; lane_schedule.cpp: what the policy sees, and its decisions
// carried out; lane_compute.cpp: a batch through llama_decode, and what happens when that fails.
//
// Used by the engine's thread only. A lane owns its llama context; the model must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cost/instance_cost.h"
#include "engine/decode_batch.h"
#include "engine/engine_counters.h"
#include "engine/generation.h"
#include "engine/kv_pool.h"
#include "engine/model_file.h"
#include "engine/program_book.h"
#include "engine/vocabulary.h"
#include "schedule/policy_settings.h"

namespace sluice {

// What has come since the lane last looked, for a batch that may be broken off for it. Written by
// any thread.
struct Arrivals {
  std::atomic<std::uint32_t> shortest = std::numeric_limits<std::uint32_t>::max();  // prompt tokens
  std::atomic<std::int32_t> priority = std::numeric_limits<std::int32_t>::min();    // highest

  void add(const RequestView& view);
  void clear();
};

struct LaneOptions {
  std::uint32_t pool_tokens = 0;
  std::uint32_t batch_tokens = 512;
  std::uint32_t max_running = 16;
  std::uint32_t threads = 0;
  bool own_attention = true;
  bool share = true;  // prefixes, also of requests that have ended
  std::uint64_t host_bytes = 0;
  PolicySettings policies;
  InstanceCost cost = InstanceCost::defaults();
  const Clock* clock = nullptr;
  const std::atomic<bool>* stop = nullptr;  // set: the current batch is abandoned
  Arrivals* arrivals = nullptr;             // null: no batch is broken off
};

class Lane {
 public:
  // Told the id of every request that ended, before its callback.
  using OnEnded = std::function<void(RequestId)>;
  struct Step {
    bool worked = false;
    std::optional<SteadyNs> again_ns;  // when there is something to do although nothing happens
  };

  static Result<std::unique_ptr<Lane>> open(llama_model* model, const Vocabulary& vocabulary,
                                            const LaneOptions& options, EngineCounters& counters,
                                            OnEnded on_ended);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void add(std::unique_ptr<Generation> request, SteadyNs now_ns);
  bool cancel(RequestId id, SteadyNs now_ns);  // false: not here
  void release(const std::string& program, SteadyNs now_ns);
  bool empty() const { return waiting_.empty() && running_.empty(); }
  // Ends what is past its timeout, carries out the next decision, computes one batch and hands out
  // its tokens.
  Step step(SteadyNs now_ns);
  void end_all(const Error& error, SteadyNs now_ns);

  std::uint32_t running() const { return static_cast<std::uint32_t>(running_.size()); }
  std::uint32_t waiting() const { return static_cast<std::uint32_t>(waiting_.size()); }
  bool consistent() const { return pool_.consistent(); }

 private:
  struct Running {
    std::unique_ptr<Generation> request;
    SequenceId sequence = -1;
  };
  struct Waiting {
    std::unique_ptr<Generation> request;
    std::uint64_t group = 0;      // of its prompt: RequestView::prefix_group
    std::uint64_t looked_at = 0;  // state of the pool for which its view is right
  };
  // Read by the library's abort callback while it computes.
  struct AbortState {
    const std::atomic<bool>* stop = nullptr;
    const Arrivals* arrivals = nullptr;  // null: this batch is not broken off
    std::uint32_t longer_than = 0;       // prompts shorter than this are worth it
    std::int32_t priority = 0;           // and whatever has a higher priority
    bool said() const;
  };
  enum class Outcome : std::uint8_t { kDone, kAborted };

  Lane(ContextHandle context, const Vocabulary& vocabulary, const LaneOptions& options,
       EngineCounters& counters, OnEnded on_ended, std::unique_ptr<AbortState> abort);

  // lane.cpp
  std::size_t find(RequestId id) const;
  void expire(SteadyNs now_ns);
  void finish(std::size_t at, Result<ModelReply> result, SteadyNs now_ns);
  void end_waiting(std::size_t at, Error error, SteadyNs now_ns);
  void end(Generation& request, Result<ModelReply> result, const KeptFor& kept_for,
           SteadyNs now_ns);
  void publish();

  // lane_schedule.cpp
  ScheduleSnapshot snapshot(SteadyNs now_ns);
  void add_waiting(ScheduleSnapshot& out);
  void look_for_prefixes(Waiting& waiting);
  std::uint64_t pool_state() const { return pool_.version() + prefilled_; }
  ScheduleDecision settle(SteadyNs now_ns);
  bool admit(RequestId id, SteadyNs now_ns);
  ScheduleDecision anything(SteadyNs now_ns);
  bool preempt(RequestId id, SteadyNs now_ns);
  void wait(std::unique_ptr<Generation> request);
  void end_prefetches_for(const Generation& request, SteadyNs now_ns);

  // lane_compute.cpp
  std::vector<BatchPart> parts_of(const ScheduleDecision& decision) const;
  void make_fit(std::vector<BatchPart>& parts, SteadyNs now_ns);
  void compute(std::span<const BatchPart> parts, bool abortable);
  void compute_abortable(std::span<const BatchPart> parts);
  Outcome decode(std::span<const BatchPart> parts);
  std::vector<BatchPart> still_running(std::span<const BatchPart> parts) const;
  void repair(std::span<const BatchPart> parts);
  void take_results(const DecodeBatch& batch);
  void count_choice(Generation& request, std::int64_t cpu_ns);
  void charge(std::span<const BatchPart> parts, double seconds);
  void fail_part(const BatchPart& part, int status);

  const Vocabulary& vocabulary_;
  LaneOptions options_;
  EngineCounters& counters_;
  OnEnded on_ended_;
  std::unique_ptr<AbortState> abort_;
  ContextHandle context_;
  KvPool pool_;
  ProgramBook book_;
  std::vector<Waiting> waiting_;  // arrival order
  std::vector<Running> running_;
  std::uint64_t prefilled_ = 0;  // tokens, of all prompts
  std::uint64_t steps_ = 0;
  std::uint32_t stalled_ = 0;
  std::uint64_t changes_ = 0;  // admissions, preemptions, moves
  bool broken_off_ = false;    // the last batch was: the next one is computed to its end
};

}  // namespace sluice
