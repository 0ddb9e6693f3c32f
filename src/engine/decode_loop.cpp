#include "engine/decode_loop.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>

#include "base/ensure.h"
#include "engine/attention/attention.h"
#include "schedule/batch_policy.h"

namespace sluice {
namespace {

// How many waiting requests the policy sees at once: those that are first in its order.
constexpr std::size_t kWindow = 64;
// Idle cells slow down attention for everybody, so only a part of the pool is kept.
constexpr std::uint32_t kIdlePart = 4;
constexpr std::uint32_t kIdleSequences = 32;
constexpr int kAborted = 2;  // what llama_decode returns when the abort callback said so

std::uint32_t size32(std::size_t size) { return static_cast<std::uint32_t>(size); }

std::uint32_t common_prefix(std::span<const Token> a, std::span<const Token> b) {
  return size32(static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin()));
}

}  // namespace

// The batch in the form that libllama reads.
struct Lane::Work {
  struct Part {
    RequestId id;
    std::uint32_t tokens;
    bool decode;
    std::int32_t output;  // index of the token whose logits are read; -1: none
  };
  std::vector<Part> parts;
  std::vector<llama_token> tokens;
  std::vector<llama_pos> positions;
  std::vector<llama_seq_id> sequences;
  std::vector<llama_seq_id*> sequence_pointers;
  std::vector<std::int32_t> sequence_counts;
  std::vector<std::int8_t> outputs;

  void add(Token token, std::uint32_t position, SequenceId sequence, bool output) {
    tokens.push_back(token);
    positions.push_back(static_cast<llama_pos>(position));
    sequences.push_back(sequence);
    sequence_counts.push_back(1);
    outputs.push_back(output ? 1 : 0);
  }

  llama_batch batch() {
    sequence_pointers.clear();
    for (llama_seq_id& sequence : sequences) sequence_pointers.push_back(&sequence);
    return {.n_tokens = static_cast<std::int32_t>(tokens.size()),
            .token = tokens.data(),
            .embd = nullptr,
            .pos = positions.data(),
            .n_seq_id = sequence_counts.data(),
            .seq_id = sequence_pointers.data(),
            .logits = outputs.data()};
  }
};

Lane::Lane(llama_model* model, const Vocabulary& vocabulary, const LaneOptions& options,
           EngineCounters& counters, OnEnded on_ended)
    : vocabulary_(vocabulary),
      options_(options),
      counters_(counters),
      on_ended_(std::move(on_ended)) {
  std::uint32_t idle = options_.share ? kIdleSequences : 0;
  std::uint32_t most = size32(llama_max_parallel_sequences());
  options_.max_running = std::clamp(options_.max_running, 1U, most - idle);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = options_.pool_tokens;
  params.n_batch = options_.batch_tokens;
  params.n_ubatch = options_.batch_tokens;
  params.n_seq_max = options_.max_running + idle;
  params.n_outputs_max = params.n_seq_max;
  params.n_threads = static_cast<std::int32_t>(options_.threads);
  params.n_threads_batch = static_cast<std::int32_t>(options_.threads);
  params.kv_unified = true;
  params.swa_full = true;  // so that cells count the same in every layer
  params.no_perf = true;
  params.abort_callback = [](void* stop) {
    return static_cast<const std::atomic<bool>*>(stop)->load(std::memory_order_relaxed);
  };
  params.abort_callback_data = const_cast<std::atomic<bool>*>(options_.stop);
  if (!options_.stop) params.abort_callback = nullptr;
  context_.reset(llama_init_from_model(model, params));
  if (!context_) return;
  pool_cells_ = llama_n_ctx(context_.get());
  for (std::uint32_t i = params.n_seq_max; i > 0; --i) {
    free_sequences_.push_back(static_cast<SequenceId>(i - 1));
  }
}

Lane::~Lane() = default;

Result<std::unique_ptr<Lane>> Lane::open(llama_model* model, const Vocabulary& vocabulary,
                                         const LaneOptions& options, EngineCounters& counters,
                                         OnEnded on_ended) {
  take_llama_complaint();
  std::unique_ptr<Lane> lane(new Lane(model, vocabulary, options, counters, std::move(on_ended)));
  if (!lane->context_) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("there is not enough memory for a KV pool of {} tokens, or the model "
                            "does not allow it; set a smaller `context`: {}",
                            options.pool_tokens, take_llama_complaint()));
  }
  return lane;
}

void Lane::add(std::unique_ptr<Generation> request) { waiting_.push_back(std::move(request)); }

std::size_t Lane::find(RequestId id) const {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (running_[i].request->view().id == id) return i;
  }
  return running_.size();
}

bool Lane::cancel(RequestId id) {
  Error cancelled(ErrorCode::kCancelled, "the request was cancelled");
  if (std::size_t at = find(id); at < running_.size()) {
    finish(at, std::unexpected(cancelled));
    return true;
  }
  auto found = std::ranges::find_if(waiting_, [&](auto& w) { return w->view().id == id; });
  if (found == waiting_.end()) return false;
  auto request = std::move(*found);
  waiting_.erase(found);
  on_ended_(id);
  request->end(std::unexpected(cancelled));
  return true;
}

void Lane::end_all(const Error& error) {
  while (!running_.empty()) finish(running_.size() - 1, std::unexpected(error));
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (auto& request : waiting) {
    on_ended_(request->view().id);
    request->end(std::unexpected(error));
  }
}

void Lane::expire(SteadyNs now_ns) {
  auto late = [&](const Generation& request) {
    auto ends = request.request().ends_at_ns;
    return ends && *ends <= now_ns;
  };
  auto timeout = [](const Generation& request) {
    return fail(ErrorCode::kTimeout, fmt::format("the model took longer than the timeout of {} ms",
                                                 request.request().timeout_ms));
  };
  for (std::size_t i = running_.size(); i > 0; --i) {
    if (late(*running_[i - 1].request)) finish(i - 1, timeout(*running_[i - 1].request));
  }
  auto first = std::partition(waiting_.begin(), waiting_.end(),
                              [&](auto& request) { return !late(*request); });
  std::vector<std::unique_ptr<Generation>> ended(std::make_move_iterator(first),
                                                 std::make_move_iterator(waiting_.end()));
  waiting_.erase(first, waiting_.end());
  for (auto& request : ended) {
    on_ended_(request->view().id);
    request->end(timeout(*request));
  }
}

void Lane::release(const std::string& program) {
  for (auto it = programs_.begin(); it != programs_.end();) {
    if (it->second != program) {
      ++it;
      continue;
    }
    llama_memory_seq_rm(llama_get_memory(context_.get()), it->first, -1, -1);
    cache_.close(it->first);
    free_sequences_.push_back(it->first);
    it = programs_.erase(it);
  }
}

// What a waiting request could take from the pool, and what it could take soon.
void Lane::look_for_prefixes(Generation& request, std::span<const Running* const> prefilling) {
  RequestView& view = request.view();
  view.shared_tokens = view.shared_idle_tokens = view.soon_shared_tokens = 0;
  if (!options_.share || view.prompt_tokens < 2) return;
  // The last token is always computed: its logits are needed.
  auto prompt = request.prompt().first(view.prompt_tokens - 1);
  PrefixCache::Match match = cache_.match(prompt);
  view.shared_tokens = match.tokens;
  view.shared_idle_tokens = match.idle_tokens;
  for (const Running* other : prefilling) {
    view.soon_shared_tokens =
        std::max(view.soon_shared_tokens, common_prefix(prompt, other->request->prompt()));
  }
}

ScheduleSnapshot Lane::snapshot(SteadyNs now_ns) {
  ScheduleSnapshot out;
  out.now_ns = now_ns;
  out.batch_tokens = options_.batch_tokens;
  out.max_running = options_.max_running;
  out.pool = {.total_cells = pool_cells_,
              .used_cells = cache_.active_cells(),
              .cached_cells = cache_.idle_cells(),
              .sequences_free = size32(free_sequences_.size())};
  std::vector<const Running*> prefilling;
  for (const Running& running : running_) {
    out.requests.push_back(running.request->view());
    if (running.request->view().phase == RequestPhase::kPrefill) prefilling.push_back(&running);
  }
  if (running_.size() >= options_.max_running) return out;
  auto before = [&](const auto& a, const auto& b) {
    return admitted_before(a->view(), b->view(), now_ns);
  };
  std::size_t window = std::min(kWindow, waiting_.size());
  std::ranges::partial_sort(waiting_, waiting_.begin() + static_cast<std::ptrdiff_t>(window),
                            before);
  for (std::size_t i = 0; i < window; ++i) {
    look_for_prefixes(*waiting_[i], prefilling);
    out.requests.push_back(waiting_[i]->view());
  }
  return out;
}

// One admission at a time: each changes what the next one can share.
ScheduleDecision Lane::decide(SteadyNs now_ns) {
  while (true) {
    ScheduleDecision decision = form_batch(snapshot(now_ns));
    if (decision.admit.empty()) return decision;
    admit(decision.admit.front());
  }
}

void Lane::admit(RequestId id) {
  auto found = std::ranges::find_if(waiting_, [&](auto& w) { return w->view().id == id; });
  SLUICE_ENSURE(found != waiting_.end(), "only a waiting request is admitted");
  Running running{.request = std::move(*found), .sequence = free_sequences_.back()};
  waiting_.erase(found);
  free_sequences_.pop_back();
  RequestView& view = running.request->view();
  std::uint32_t shared = view.shared_tokens;
  if (shared > 0) {
    PrefixCache::Match match = cache_.match(running.request->prompt().first(shared));
    SLUICE_ENSURE(match.tokens == shared, "the shared prefix is still there");
    llama_memory_seq_cp(llama_get_memory(context_.get()), match.sequence, running.sequence, 0,
                        static_cast<llama_pos>(shared));
    cache_.open(running.sequence, match.sequence, shared);
  } else {
    cache_.open(running.sequence);
  }
  view.phase = RequestPhase::kPrefill;
  view.computed_tokens = shared;
  running.request->set_cached_tokens(shared);
  counters_.shared_tokens += shared;
  running_.push_back(std::move(running));
}

void Lane::evict_one() {
  auto eviction = cache_.oldest_idle();
  SLUICE_ENSURE(eviction.has_value(), "there are idle cells to evict");
  auto memory = llama_get_memory(context_.get());
  SequenceId id = eviction->sequence;
  bool whole = eviction->keep == 0 ||
               !llama_memory_seq_rm(memory, id, static_cast<llama_pos>(eviction->keep), -1);
  if (!whole) cache_.truncate(id, eviction->keep);
  if (!whole && !cache_.redundant(id)) return;
  llama_memory_seq_rm(memory, id, -1, -1);
  cache_.close(id);
  programs_.erase(id);
  free_sequences_.push_back(id);
}

void Lane::evict(std::uint32_t cells) {
  std::uint32_t want = cache_.idle_cells() > cells ? cache_.idle_cells() - cells : 0;
  while (cache_.idle_cells() > want) evict_one();
}

bool Lane::fill(Work& work, const ScheduleDecision& decision) {
  for (RequestId id : decision.decode) {
    const Running& running = running_[find(id)];
    auto output = static_cast<std::int32_t>(work.tokens.size());
    work.add(running.request->last_token(), cache_.length(running.sequence), running.sequence,
             true);
    work.parts.push_back({id, 1, true, output});
  }
  for (const PrefillChunk& chunk : decision.prefill) {
    const Running& running = running_[find(chunk.request)];
    const RequestView& view = running.request->view();
    std::int32_t output = -1;
    for (std::uint32_t i = 0; i < chunk.tokens; ++i) {
      std::uint32_t position = view.computed_tokens + i;
      bool last = position + 1 == view.prompt_tokens;
      if (last) output = static_cast<std::int32_t>(work.tokens.size());
      work.add(running.request->prompt()[position], position, running.sequence, last);
    }
    work.parts.push_back({chunk.request, chunk.tokens, false, output});
  }
  return !work.tokens.empty();
}

void Lane::fail_work(const Work& work, int status) {
  std::string why = take_llama_complaint();
  for (const Work::Part& part : work.parts) {
    std::size_t at = find(part.id);
    if (at == running_.size()) continue;
    finish(at, fail(ErrorCode::kDecodeFailed,
                    fmt::format("the engine could not compute a batch of {} tokens (status {}){}{}",
                                work.tokens.size(), status, why.empty() ? "" : ": ", why)));
  }
}

void Lane::compute(Work& work) {
  AttentionScope attention(options_.own_attention);
  int status = llama_decode(context_.get(), work.batch());
  if (status == kAborted) return;  // the engine stops and ends every request
  if (status != 0) return fail_work(work, status);
  counters_.batches += 1;
  std::size_t from = 0;
  for (const Work::Part& part : work.parts) {
    Running& running = running_[find(part.id)];
    cache_.append(running.sequence, std::span(work.tokens).subspan(from, part.tokens));
    from += part.tokens;
    RequestView& view = running.request->view();
    if (part.decode) {
      counters_.decode_tokens += 1;
    } else {
      view.computed_tokens += part.tokens;
      counters_.prefill_tokens += part.tokens;
      if (view.computed_tokens == view.prompt_tokens) view.phase = RequestPhase::kDecode;
    }
  }
  for (const Work::Part& part : work.parts) {
    if (part.output < 0) continue;
    std::size_t at = find(part.id);
    const float* logits = llama_get_logits_ith(context_.get(), part.output);
    SLUICE_ENSURE(logits != nullptr, "libllama gives the logits that were asked for");
    Generation& request = *running_[at].request;
    if (request.advance({logits, vocabulary_.size()}, vocabulary_)) finish(at, request.reply());
  }
}

void Lane::step(SteadyNs now_ns) {
  expire(now_ns);
  if (empty()) return;
  ScheduleDecision decision = decide(now_ns);
  if (decision.evict_cells > 0) evict(decision.evict_cells);
  Work work;
  if (fill(work, decision)) compute(work);
}

void Lane::finish(std::size_t at, Result<ModelReply> result) {
  Running running = std::move(running_[at]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
  retire(running, result.has_value());
  on_ended_(running.request->view().id);
  running.request->end(std::move(result));
}

// Keeps the prompt's cells for a request that begins the same way, or frees all.
void Lane::retire(Running& running, bool keep) {
  auto memory = llama_get_memory(context_.get());
  SequenceId id = running.sequence;
  const PreparedRequest& request = running.request->request();
  std::uint32_t prompt = request.view.computed_tokens;
  if (keep && options_.share) {
    std::uint32_t length = request.comes_back ? cache_.length(id) : prompt;
    keep = length == cache_.length(id) ||
           llama_memory_seq_rm(memory, id, static_cast<llama_pos>(length), -1);
    if (keep) cache_.truncate(id, length);
  }
  if (!keep || !options_.share || cache_.redundant(id)) {
    llama_memory_seq_rm(memory, id, -1, -1);
    cache_.close(id);
    free_sequences_.push_back(id);
    // A deterministic lane starts every request with the same empty pool.
    if (!options_.share && running_.empty()) llama_memory_clear(memory, false);
    return;
  }
  cache_.make_idle(id);
  programs_[id] = request.view.program;
  while (cache_.idle_cells() > pool_cells_ / kIdlePart ||
         cache_.idle_sequences() > kIdleSequences) {
    evict_one();
  }
}

}  // namespace sluice
