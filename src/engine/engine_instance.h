// The instance behind open_engine: a queue, a thread that prepares requests (template, tokens,
// grammar) and a thread that owns the llama contexts and decodes. Requests pass
// queue -> preparing thread -> inbox -> lane; whoever holds one ends it, exactly once.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/embedder.h"
#include "engine/engine.h"
#include "engine/lane.h"
#include "engine/request_preparer.h"

namespace sluice {

class EngineInstance final : public ModelInstance {
 public:
  struct Parts {
    EngineOptions options;  // with all zeros replaced
    ModelInfo info;
    ModelHandle model;
    std::unique_ptr<Vocabulary> vocabulary;
    std::optional<ChatTemplate> chat_template;
    bool can_share = true;  // a part of a sequence can be copied: not for recurrent models
  };

  explicit EngineInstance(Parts parts);
  ~EngineInstance() override;

  // Makes the lane that most requests will use, so that a lack of memory is seen at once.
  Result<void> start();

  const ModelInfo& info() const override { return parts_.info; }
  RequestId submit(ModelRequest request, ModelCallbacks callbacks) override;
  void cancel(RequestId id) override;
  void prefetch(const ModelRequest& request) override;
  void release(std::string_view program) override;
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>& texts) override;
  Result<std::size_t> count_tokens(std::string_view text) override;
  EngineStats stats() const;
  const EngineOptions& options() const { return parts_.options; }  // as it was started

 private:
  struct Queued {
    ModelRequest request;
    ModelCallbacks callbacks;
    SteadyNs arrived_ns = 0;
    bool refused = false;   // beyond the queue's limit
    bool prefetch = false;  // nobody waits for it
  };
  // Higher priority first, then arrival.
  using QueueKey = std::pair<std::int64_t, RequestId>;

  void prepare_loop();
  void prepare_one(RequestId id, Queued queued);
  void end_queued(RequestId id, Queued& queued, Error error);
  RequestId enqueue(Queued queued, std::int64_t priority);
  void decode_loop();
  bool take_inbox(const Lane::Step& last);
  Lane::Step step();
  void place(std::unique_ptr<Generation> request);
  Result<Lane*> lane(bool deterministic);
  void ended(RequestId id);
  SteadyNs now_ns() const { return parts_.options.clock->steady_ns(); }

  Parts parts_;
  RequestPreparer preparer_;
  Embedder embedder_;
  EngineCounters counters_;
  Arrivals arrivals_;
  std::unique_ptr<Lane> shared_lane_;  // decode thread only, once started
  std::unique_ptr<Lane> deterministic_lane_;

  mutable std::mutex mutex_;
  std::condition_variable queue_changed_;
  std::condition_variable inbox_changed_;
  std::map<QueueKey, Queued> queue_;
  std::unordered_map<RequestId, QueueKey> queue_keys_;
  std::set<RequestId> cancelled_;  // of open ones, not yet acted on
  bool cancel_news_ = false;       // since the lanes were told last
  std::set<RequestId> open_;
  std::vector<std::unique_ptr<Generation>> inbox_;
  std::vector<std::string> released_;
  RequestId next_id_ = 1;
  std::uint32_t running_ = 0;  // for stats
  bool preparing_done_ = false;
  std::atomic<bool> stop_ = false;
  std::thread preparing_;
  std::thread decoding_;
};

}  // namespace sluice
