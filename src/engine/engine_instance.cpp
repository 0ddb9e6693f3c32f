#include "engine/engine_instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/log.h"
#include "engine/attention/attention.h"

namespace sluice {
namespace {

Error shut_down() { return {ErrorCode::kCancelled, "the model instance was shut down"}; }
Error cancelled() { return {ErrorCode::kCancelled, "the request was cancelled"}; }

}  // namespace

EngineInstance::EngineInstance(Parts parts)
    : parts_(std::move(parts)),
      preparer_(*parts_.vocabulary, parts_.chat_template ? &*parts_.chat_template : nullptr,
                parts_.options.context_tokens, parts_.options.deterministic,
                parts_.options.jump_forward),
      embedder_(parts_.model.get(), *parts_.vocabulary, parts_.options.context_tokens,
                parts_.options.threads) {}

EngineInstance::~EngineInstance() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queue_changed_.notify_all();
  inbox_changed_.notify_all();
  if (preparing_.joinable()) preparing_.join();
  if (decoding_.joinable()) decoding_.join();
}

Result<void> EngineInstance::start() {
  auto made = lane(parts_.options.deterministic);
  if (!made) return std::unexpected(made.error());
  preparing_ = std::thread([this] { prepare_loop(); });
  decoding_ = std::thread([this] { decode_loop(); });
  return {};
}

RequestId EngineInstance::submit(ModelRequest request, ModelCallbacks callbacks) {
  std::int64_t priority = request.hints.priority;
  return enqueue({.request = std::move(request), .callbacks = std::move(callbacks)}, priority);
}

// What is refused or only a guess is prepared after everything else.
void EngineInstance::prefetch(const ModelRequest& request) {
  if (request.deterministic || parts_.options.deterministic || !parts_.can_share) return;
  enqueue({.request = request, .callbacks = {}, .prefetch = true}, kPrefetchPriority);
}

RequestId EngineInstance::enqueue(Queued queued, std::int64_t priority) {
  queued.arrived_ns = now_ns();
  std::lock_guard lock(mutex_);
  RequestId id = next_id_++;
  queued.refused = open_.size() >= parts_.options.queue_limit;
  if (queued.refused && queued.prefetch) return id;
  open_.insert(id);
  QueueKey key{queued.refused ? std::numeric_limits<std::int64_t>::min() : -priority, id};
  queue_keys_[id] = key;
  queue_.emplace(key, std::move(queued));
  queue_changed_.notify_one();
  return id;
}

void EngineInstance::cancel(RequestId id) {
  std::lock_guard lock(mutex_);
  if (!open_.contains(id)) return;
  cancelled_.insert(id);
  cancel_news_ = true;
  queue_changed_.notify_one();
  inbox_changed_.notify_one();
}

void EngineInstance::release(std::string_view program) {
  std::lock_guard lock(mutex_);
  released_.emplace_back(program);
  inbox_changed_.notify_one();
}

Result<std::vector<std::vector<float>>> EngineInstance::embed(
    const std::vector<std::string>& texts) {
  AttentionScope attention(parts_.options.own_attention);
  return embedder_.embed(texts);
}

Result<std::size_t> EngineInstance::count_tokens(std::string_view text) {
  return parts_.vocabulary->count(text);
}

EngineStats EngineInstance::stats() const {
  std::lock_guard lock(mutex_);
  auto open = static_cast<std::uint32_t>(open_.size());
  std::uint32_t running = std::min(running_, open);
  return {.prefill_tokens = counters_.prefill_tokens,
          .shared_tokens = counters_.shared_tokens,
          .copied_back_tokens = counters_.copied_back_tokens,
          .decode_tokens = counters_.decode_tokens,
          .forced_tokens = counters_.forced_tokens,
          .batches = counters_.batches,
          .aborted_batches = counters_.aborted_batches,
          .busy_ns = counters_.busy_ns,
          .choice_ns = counters_.choice_ns,
          .mask_ns = counters_.mask_ns,
          .masks = counters_.masks,
          .preemptions = counters_.preemptions,
          .dropped_tokens = counters_.dropped_tokens,
          .moved_to_host_tokens = counters_.moved_to_host_tokens,
          .running = running,
          .waiting = open - running,
          .pool_cells = counters_.pool_cells,
          .used_cells = counters_.used_cells,
          .kept_cells = counters_.kept_cells,
          .host_bytes = counters_.host_bytes};
}

void EngineInstance::ended(RequestId id) {
  std::lock_guard lock(mutex_);
  open_.erase(id);
  cancelled_.erase(id);
}

void EngineInstance::end_queued(RequestId id, Queued& queued, Error error) {
  ended(id);
  if (queued.callbacks.on_end) queued.callbacks.on_end(std::unexpected(std::move(error)));
}

void EngineInstance::prepare_one(RequestId id, Queued queued) {
  if (queued.refused) {
    end_queued(id, queued,
               Error(ErrorCode::kModelOverloaded,
                     fmt::format("the queue of model {} holds its limit of {} requests",
                                 parts_.info.id, parts_.options.queue_limit)));
    return;
  }
  auto prepared = queued.prefetch
                      ? preparer_.prepare_prefetch(std::move(queued.request), id, queued.arrived_ns)
                      : preparer_.prepare(queued.request, id, queued.callbacks, queued.arrived_ns);
  if (!prepared) {
    end_queued(id, queued, prepared.error());
    return;
  }
  auto generation = std::make_unique<Generation>(std::move(*prepared));
  std::lock_guard lock(mutex_);
  if (!generation->view().deterministic) arrivals_.add(generation->view());
  inbox_.push_back(std::move(generation));
  inbox_changed_.notify_one();
}

void EngineInstance::prepare_loop() {
  while (true) {
    std::unique_lock lock(mutex_);
    queue_changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) break;  // stopped
    auto next = queue_.begin();
    for (RequestId id : cancelled_) {
      auto found = queue_keys_.find(id);
      if (found != queue_keys_.end()) next = queue_.find(found->second);
    }
    RequestId id = next->first.second;
    Queued queued = std::move(next->second);
    queue_.erase(next);
    queue_keys_.erase(id);
    bool drop = cancelled_.contains(id);
    lock.unlock();
    if (stop_) {
      end_queued(id, queued, shut_down());
    } else if (drop) {
      end_queued(id, queued, cancelled());
    } else {
      prepare_one(id, std::move(queued));
    }
  }
  std::lock_guard lock(mutex_);
  preparing_done_ = true;
  inbox_changed_.notify_one();
}

Result<Lane*> EngineInstance::lane(bool deterministic) {
  std::unique_ptr<Lane>& lane = deterministic ? deterministic_lane_ : shared_lane_;
  if (lane) return lane.get();
  const EngineOptions& options = parts_.options;
  LaneOptions shape{.pool_tokens = deterministic ? options.context_tokens : options.pool_tokens,
                    .batch_tokens = options.batch_tokens,
                    .max_running = deterministic ? 1 : options.max_running,
                    .threads = options.threads,
                    .own_attention = options.own_attention,
                    .share = !deterministic && parts_.can_share,
                    .host_bytes = deterministic ? 0 : options.host_bytes,
                    .policies = options.policies,
                    .cost = options.cost.value_or(InstanceCost::defaults()),
                    .clock = options.clock,
                    .stop = &stop_,
                    .arrivals = deterministic ? nullptr : &arrivals_};
  auto opened = Lane::open(parts_.model.get(), *parts_.vocabulary, shape, counters_,
                           [this](RequestId id) { ended(id); });
  if (!opened) return std::unexpected(opened.error());
  lane = std::move(*opened);
  return lane.get();
}

void EngineInstance::place(std::unique_ptr<Generation> request) {
  auto found = lane(request->view().deterministic);
  if (found) {
    (*found)->add(std::move(request), now_ns());
    return;
  }
  ended(request->view().id);
  request->end(std::unexpected(found.error()));
}

// Waits for work where the last step found none; false when the instance stops.
bool EngineInstance::take_inbox(const Lane::Step& last) {
  auto count = [](const std::unique_ptr<Lane>& lane) { return lane ? lane->running() : 0; };
  std::unique_lock lock(mutex_);
  running_ = count(shared_lane_) + count(deterministic_lane_);
  auto awake = [&] { return stop_ || !inbox_.empty() || !released_.empty() || cancel_news_; };
  if (!last.worked && last.again_ns) {
    SteadyNs wait_ns = std::clamp<SteadyNs>(*last.again_ns - now_ns(), kNsPerMs, kNsPerSecond);
    inbox_changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns), awake);
  } else if (!last.worked) {
    inbox_changed_.wait(lock, awake);
  }
  auto inbox = std::exchange(inbox_, {});
  auto released = std::exchange(released_, {});
  arrivals_.clear();
  cancel_news_ = false;
  std::vector<RequestId> cancels(cancelled_.begin(), cancelled_.end());
  lock.unlock();
  for (auto& request : inbox) place(std::move(request));
  for (RequestId id : cancels) {
    if (shared_lane_ && shared_lane_->cancel(id, now_ns())) continue;
    if (deterministic_lane_) deterministic_lane_->cancel(id, now_ns());
  }
  for (const std::string& program : released) {
    if (shared_lane_) shared_lane_->release(program, now_ns());
  }
  return !stop_;
}

Lane::Step EngineInstance::step() {
  Lane::Step out;
  for (Lane* lane : {shared_lane_.get(), deterministic_lane_.get()}) {
    if (!lane) continue;
    Lane::Step step = lane->step(now_ns());
    out.worked = out.worked || step.worked;
    if (step.again_ns && (!out.again_ns || *step.again_ns < *out.again_ns)) {
      out.again_ns = step.again_ns;
    }
  }
  return out;
}

void EngineInstance::decode_loop() {
  Lane::Step last;
  while (take_inbox(last)) last = step();
  std::unique_lock lock(mutex_);
  inbox_changed_.wait(lock, [&] { return preparing_done_; });  // nothing more arrives
  lock.unlock();
  for (auto& request : std::exchange(inbox_, {})) {
    ended(request->view().id);
    request->end(std::unexpected(shut_down()));
  }
  if (shared_lane_) shared_lane_->end_all(shut_down(), now_ns());
  if (deterministic_lane_) deterministic_lane_->end_all(shut_down(), now_ns());
}

}  // namespace sluice
