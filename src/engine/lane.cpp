#include "engine/lane.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <utility>

#include "base/ensure.h"

namespace sluice {
namespace {

// Sequence ids beside those of running requests, in a lane that shares: one for each kept prefix
// that no other continues, and one for copies.
constexpr std::uint32_t kLeastKept = 55;

// Steps without a batch, though there are requests, after which something is computed whatever the
// policy says.
constexpr std::uint32_t kMostStalled = 16;

std::uint32_t size32(std::size_t size) { return static_cast<std::uint32_t>(size); }

llama_context_params context_params(const LaneOptions& options) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = options.pool_tokens;
  params.n_batch = options.batch_tokens;
  params.n_ubatch = options.batch_tokens;
  params.n_seq_max =
      options.share ? size32(llama_max_parallel_sequences()) : options.max_running + 1;
  params.n_outputs_max = params.n_seq_max;
  params.n_threads = static_cast<std::int32_t>(options.threads);
  params.n_threads_batch = static_cast<std::int32_t>(options.threads);
  params.kv_unified = true;
  params.swa_full = true;  // so that cells count the same in every layer
  params.no_perf = true;
  return params;
}

KvPoolOptions pool_options(const LaneOptions& options) {
  return {.sequences = context_params(options).n_seq_max,
          .running = options.max_running,
          .share = options.share,
          .host_bytes = options.host_bytes};
}

// What a request that is through says about its program's return.
KeptFor kept_for(const Generation& request) {
  const PreparedRequest& prepared = request.request();
  return {.program = prepared.view.program,
          .tenant = prepared.view.tenant,
          .returns_at_ns = prepared.view.returns_at_ns,
          .returns = prepared.comes_back || prepared.view.prefetch,
          .next_tool = prepared.next_tool,
          .policies = prepared.view.policies,
          .prompt = prepared.view.prompt_tokens};
}

}  // namespace

void Arrivals::add(const RequestView& view) {
  if (view.prefetch) return;
  if (view.prompt_tokens < shortest.load()) shortest = view.prompt_tokens;
  if (view.priority > priority.load()) priority = view.priority;
}

void Arrivals::clear() {
  shortest = std::numeric_limits<std::uint32_t>::max();
  priority = std::numeric_limits<std::int32_t>::min();
}

bool Lane::AbortState::said() const {
  if (stop && stop->load(std::memory_order_relaxed)) return true;
  return arrivals && (arrivals->shortest.load(std::memory_order_relaxed) < longer_than ||
                      arrivals->priority.load(std::memory_order_relaxed) > priority);
}

Lane::Lane(ContextHandle context, const Vocabulary& vocabulary, const LaneOptions& options,
           EngineCounters& counters, OnEnded on_ended, std::unique_ptr<AbortState> abort)
    : vocabulary_(vocabulary),
      options_(options),
      counters_(counters),
      on_ended_(std::move(on_ended)),
      abort_(std::move(abort)),
      context_(std::move(context)),
      pool_(context_.get(), pool_options(options), counters),
      book_(options.policies.tenant_weights) {
  SLUICE_ENSURE(options_.clock != nullptr, "a lane measures what its batches take");
  if (options_.share) counters_.pool_cells = pool_.total_cells();
}

Lane::~Lane() = default;

Result<std::unique_ptr<Lane>> Lane::open(llama_model* model, const Vocabulary& vocabulary,
                                         const LaneOptions& options, EngineCounters& counters,
                                         OnEnded on_ended) {
  LaneOptions fitting = options;
  std::uint32_t most = size32(llama_max_parallel_sequences()) - kLeastKept;
  fitting.max_running = std::clamp(options.max_running, 1U, most);
  auto abort = std::make_unique<AbortState>();
  abort->stop = options.stop;
  llama_context_params params = context_params(fitting);
  params.abort_callback = [](void* state) { return static_cast<const AbortState*>(state)->said(); };
  params.abort_callback_data = abort.get();
  take_llama_complaint();
  ContextHandle context(llama_init_from_model(model, params));
  if (!context) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("there is not enough memory for a KV pool of {} tokens, or the model "
                            "does not allow it; set a smaller `context`: {}",
                            options.pool_tokens, take_llama_complaint()));
  }
  return std::unique_ptr<Lane>(new Lane(std::move(context), vocabulary, fitting, counters,
                                        std::move(on_ended), std::move(abort)));
}

void Lane::add(std::unique_ptr<Generation> request, SteadyNs now_ns) {
  book_.arrive(request->view(), now_ns);
  if (!request->view().prefetch) end_prefetches_for(*request, now_ns);
  wait(std::move(request));
}

std::size_t Lane::find(RequestId id) const {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (running_[i].request->view().id == id) return i;
  }
  return running_.size();
}

bool Lane::cancel(RequestId id, SteadyNs now_ns) {
  Error cancelled(ErrorCode::kCancelled, "the request was cancelled");
  if (std::size_t at = find(id); at < running_.size()) {
    finish(at, std::unexpected(cancelled), now_ns);
    return true;
  }
  auto found = std::ranges::find_if(waiting_, [&](auto& w) { return w.request->view().id == id; });
  if (found == waiting_.end()) return false;
  end_waiting(static_cast<std::size_t>(found - waiting_.begin()), cancelled, now_ns);
  return true;
}

void Lane::end_all(const Error& error, SteadyNs now_ns) {
  while (!running_.empty()) finish(running_.size() - 1, std::unexpected(error), now_ns);
  while (!waiting_.empty()) end_waiting(waiting_.size() - 1, error, now_ns);
}

void Lane::expire(SteadyNs now_ns) {
  auto late = [&](const Generation& request) {
    auto ends = request.request().ends_at_ns;
    return ends && *ends <= now_ns;
  };
  auto timeout = [](const Generation& request) {
    return Error(ErrorCode::kTimeout, fmt::format("the model took longer than the timeout of {} ms",
                                                  request.request().timeout_ms));
  };
  for (std::size_t i = running_.size(); i-- > 0;) {
    const Generation& request = *running_[i].request;
    if (late(request)) finish(i, std::unexpected(timeout(request)), now_ns);
  }
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    const Generation& request = *waiting_[i].request;
    if (late(request)) end_waiting(i, timeout(request), now_ns);
  }
}

void Lane::release(const std::string& program, SteadyNs now_ns) {
  for (std::size_t i = running_.size(); i-- > 0;) {
    const RequestView& view = running_[i].request->view();
    if (view.prefetch && view.program == program) finish(i, ModelReply{}, now_ns);
  }
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    const RequestView& view = waiting_[i].request->view();
    if (!view.prefetch || view.program != program) continue;
    end_waiting(i, Error(ErrorCode::kCancelled, "the program was released"), now_ns);
  }
  pool_.release(program);
  book_.release(program, now_ns);
  publish();
}

Lane::Step Lane::step(SteadyNs now_ns) {
  expire(now_ns);
  book_.forget(now_ns);
  if (empty() && pool_.keeps_nothing()) return {};
  steps_ += 1;
  std::uint64_t changes = changes_;
  ScheduleDecision decision = settle(now_ns);
  std::vector<BatchPart> parts = parts_of(decision);
  Step out{.worked = !parts.empty() || changes != changes_, .again_ns = decision.decide_again_ns};
  stalled_ = parts.empty() && !empty() ? stalled_ + 1 : 0;
  bool stuck = stalled_ > kMostStalled || (!out.worked && !out.again_ns);
  if (stuck && !empty()) {
    parts = parts_of(anything(now_ns));
    out.worked = true;
  }
  make_fit(parts, now_ns);
  if (!parts.empty()) compute(parts, decision.abortable);
  publish();
  return out;
}

// The request leaves the lane; its cells are kept for a request that begins the same way.
void Lane::finish(std::size_t at, Result<ModelReply> result, SteadyNs now_ns) {
  Running running = std::move(running_[at]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
  Generation& request = *running.request;
  KeptFor kept = result
                     ? kept_for(request)
                     : KeptFor{.program = request.view().program, .tenant = request.view().tenant};
  bool failed = !result && result.error().code() == ErrorCode::kDecodeFailed;
  if (failed) {
    pool_.close(running.sequence);
  } else {
    bool whole = kept.returns;
    std::uint32_t length = pool_.length(running.sequence);
    pool_.keep(running.sequence, whole ? length : std::min(length, request.view().computed_tokens),
               kept, now_ns);
  }
  if (result && !request.view().prefetch) book_.record_output(request.view().generated_tokens);
  end(request, std::move(result), kept, now_ns);
}

void Lane::end_waiting(std::size_t at, Error error, SteadyNs now_ns) {
  Waiting waiting = std::move(waiting_[at]);
  waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(at));
  end(*waiting.request, std::unexpected(std::move(error)), {}, now_ns);
}

void Lane::end(Generation& request, Result<ModelReply> result, const KeptFor& kept,
               SteadyNs now_ns) {
  book_.leave(request.view(), kept, now_ns);
  on_ended_(request.view().id);
  request.end(std::move(result));
}

void Lane::publish() {
  if (!options_.share) return;
  PoolView view = pool_.view();
  counters_.used_cells = view.used_cells;
  counters_.kept_cells = view.cached_cells;
  counters_.host_bytes = view.host_used_bytes;
}

}  // namespace sluice
