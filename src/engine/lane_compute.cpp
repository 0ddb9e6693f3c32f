// A batch through llama_decode, and what happens when that fails: the batch is halved until those
// that cannot be computed stand alone; only these end, with an error that can be retried.
#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "engine/attention/attention.h"
#include "engine/lane.h"

namespace sluice {
namespace {

constexpr int kNoCells = 1;
constexpr int kAborted = 2;  // what llama_decode returns when the abort callback said so
// A prefill that may be broken off is computed in pieces of this size; finished ones stay.
constexpr std::uint32_t kPiece = 128;

std::uint32_t size32(std::size_t size) { return static_cast<std::uint32_t>(size); }

std::uint32_t tokens_of(std::span<const BatchPart> parts) {
  std::uint32_t tokens = 0;
  for (const BatchPart& part : parts) tokens += size32(part.tokens.size());
  return tokens;
}

// What one part of a batch costs by itself: its share of the measured seconds is in proportion.
double weight(const InstanceCost& cost, const BatchPart& part) {
  auto tokens = size32(part.tokens.size());
  std::uint64_t cells = chunk_cells(part.position, tokens);
  if (part.decode && tokens == 1) return cost.batch_s({.decode_tokens = 1, .decode_cells = cells});
  return cost.batch_s({.prefill_tokens = tokens, .prefill_cells = cells});
}

// The same parts in batches of kPiece tokens.
std::vector<std::vector<BatchPart>> pieces(std::span<const BatchPart> parts) {
  std::vector<std::vector<BatchPart>> out;
  std::uint32_t left = 0;
  for (BatchPart part : parts) {
    bool output = part.output;
    for (std::span<const Token> rest = part.tokens; !rest.empty();) {
      if (left == 0) {
        out.emplace_back();
        left = kPiece;
      }
      part.tokens = rest.first(std::min<std::size_t>(left, rest.size()));
      rest = rest.subspan(part.tokens.size());
      part.output = output && rest.empty();
      out.back().push_back(part);
      left -= size32(part.tokens.size());
      part.position += size32(part.tokens.size());
    }
  }
  return out;
}

}  // namespace

// The decision as parts of a batch that fits into the context's limit; what does not comes later.
std::vector<BatchPart> Lane::parts_of(const ScheduleDecision& decision) const {
  std::vector<BatchPart> parts;
  std::uint32_t left = options_.batch_tokens;
  for (RequestId id : decision.decode) {
    std::size_t at = find(id);
    if (at == running_.size() || running_[at].request->view().phase != RequestPhase::kDecode)
      continue;
    auto next = running_[at].request->next_tokens();
    if (next.empty() || next.size() > left) continue;
    SequenceId sequence = running_[at].sequence;
    parts.push_back({id, sequence, pool_.length(sequence), next, true, true});
    left -= size32(next.size());
  }
  for (const PrefillChunk& chunk : decision.prefill) {
    std::size_t at = find(chunk.request);
    if (at == running_.size() || running_[at].request->view().phase != RequestPhase::kPrefill)
      continue;
    const RequestView& view = running_[at].request->view();
    std::uint32_t tokens =
        std::min({chunk.tokens, left, view.prompt_tokens - view.computed_tokens});
    if (tokens == 0) continue;
    parts.push_back(
        {.id = chunk.request,
         .sequence = running_[at].sequence,
         .position = view.computed_tokens,
         .tokens = running_[at].request->prompt().subspan(view.computed_tokens, tokens),
         .output = !view.prefetch && view.computed_tokens + tokens == view.prompt_tokens});
    left -= tokens;
  }
  return parts;
}

// llama_decode never meets a full pool: kept prefixes leave, then the latest requests wait again.
void Lane::make_fit(std::vector<BatchPart>& parts, SteadyNs now_ns) {
  while (!pool_.make_room(tokens_of(parts))) {
    const RequestView* latest = nullptr;
    for (const Running& running : running_) {
      const RequestView& view = running.request->view();
      auto key = [](const RequestView& v) { return std::tuple(-v.priority, v.arrived_ns, v.id); };
      if (!latest || key(view) > key(*latest)) latest = &view;
    }
    if (running_.size() < 2 || latest->deterministic) {
      // One request alone always fits: its prompt and its answer are shorter than the pool.
      while (!parts.empty() && tokens_of(parts) > pool_.free_cells()) parts.pop_back();
      return;
    }
    RequestId id = latest->id;
    std::erase_if(parts, [&](const BatchPart& part) { return part.id == id; });
    preempt(id, now_ns);
  }
}

void Lane::compute(std::span<const BatchPart> parts, bool abortable) {
  AttentionScope attention(options_.own_attention);
  bool prefill_only = std::ranges::none_of(parts, &BatchPart::decode);
  if (abortable && prefill_only && options_.arrivals && !broken_off_) {
    return compute_abortable(parts);
  }
  broken_off_ = false;
  decode(parts);
}

// Only prompts, in pieces; a request that comes meanwhile and is worth it breaks the rest off.
void Lane::compute_abortable(std::span<const BatchPart> parts) {
  abort_->longer_than = tokens_of(parts);
  abort_->priority = std::numeric_limits<std::int32_t>::max();
  for (const BatchPart& part : parts) {
    abort_->priority = std::min(abort_->priority, running_[find(part.id)].request->view().priority);
  }
  abort_->arrivals = options_.arrivals;
  bool said = false;
  for (const std::vector<BatchPart>& piece : pieces(parts)) {
    auto here = still_running(piece);
    if (here.empty()) continue;
    said = abort_->said() || decode(here) == Outcome::kAborted;
    if (said) break;
  }
  abort_->arrivals = nullptr;
  broken_off_ = said;
  if (said) counters_.aborted_batches += 1;
}

std::vector<BatchPart> Lane::still_running(std::span<const BatchPart> parts) const {
  std::vector<BatchPart> out;
  for (const BatchPart& part : parts) {
    if (find(part.id) < running_.size()) out.push_back(part);
  }
  return out;
}

Lane::Outcome Lane::decode(std::span<const BatchPart> parts) {
  DecodeBatch batch(parts);
  SteadyNs begin = options_.clock->steady_ns();
  int status = batch.compute(context_.get());
  SteadyNs spent = options_.clock->steady_ns() - begin;
  counters_.busy_ns += static_cast<std::uint64_t>(std::max<SteadyNs>(0, spent));
  if (status == 0) {
    counters_.batches += 1;
    charge(parts, static_cast<double>(spent) / static_cast<double>(kNsPerSecond));
    take_results(batch);
    return Outcome::kDone;
  }
  repair(parts);
  if (status == kAborted && abort_->said()) return Outcome::kAborted;
  std::vector<BatchPart> left = still_running(parts);
  if (left.empty()) return Outcome::kDone;
  // Room that our account did not see.
  if (status == kNoCells && pool_.make_room(pool_.free_cells() + 1)) return decode(left);
  if (left.size() == 1) {
    fail_part(left.front(), status);
    return Outcome::kDone;
  }
  std::size_t half = left.size() / 2;
  if (decode(std::span(left).first(half)) == Outcome::kAborted) return Outcome::kAborted;
  left = still_running(std::span(left).subspan(half));
  return left.empty() ? Outcome::kDone : decode(left);
}

// Takes out of the context what a failed batch has left there.
void Lane::repair(std::span<const BatchPart> parts) {
  for (const BatchPart& part : parts) {
    std::size_t at = find(part.id);
    if (at < running_.size() && !pool_.repair(part.sequence)) fail_part(part, 0);
  }
}

void Lane::fail_part(const BatchPart& part, int status) {
  std::size_t at = find(part.id);
  if (at == running_.size()) return;
  std::string why = take_llama_complaint();
  Error error(ErrorCode::kDecodeFailed,
              fmt::format("the engine could not compute {} tokens of this request (status {}); "
                          "it can be tried again{}{}",
                          part.tokens.size(), status, why.empty() ? "" : ": ", why));
  finish(at, std::unexpected(std::move(error)), options_.clock->steady_ns());
}

void Lane::charge(std::span<const BatchPart> parts, double seconds) {
  double whole = 0;
  for (const BatchPart& part : parts) whole += weight(options_.cost, part);
  if (!(whole > 0)) return;
  for (const BatchPart& part : parts) {
    double share = weight(options_.cost, part) / whole;
    book_.charge(running_[find(part.id)].request->view(), seconds * share);
  }
}

void Lane::count_choice(Generation& request, std::int64_t cpu_ns) {
  const Grammar::MaskWork masks = request.take_mask_work();
  counters_.forced_tokens += request.take_forced_count();
  counters_.choice_ns += static_cast<std::uint64_t>(cpu_ns);
  counters_.mask_ns += masks.cpu_ns;
  counters_.masks += masks.masks;
}

void Lane::take_results(const DecodeBatch& batch) {
  auto parts = batch.parts();
  for (const BatchPart& part : parts) {
    RequestView& view = running_[find(part.id)].request->view();
    auto tokens = size32(part.tokens.size());
    pool_.append(part.sequence, part.tokens);
    if (part.decode) {
      counters_.decode_tokens += 1;
      continue;
    }
    view.computed_tokens += tokens;
    counters_.prefill_tokens += tokens;
    prefilled_ += tokens;
    if (view.computed_tokens == view.prompt_tokens) view.phase = RequestPhase::kDecode;
  }
  SteadyNs now = options_.clock->steady_ns();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::size_t at = find(parts[i].id);
    Generation& request = *running_[at].request;
    if (request.view().prefetch && request.view().phase == RequestPhase::kDecode) {
      finish(at, ModelReply{}, now);
      continue;
    }
    if (!parts[i].output) continue;
    const float* logits = batch.logits(context_.get(), i);
    SLUICE_ENSURE(logits != nullptr, "libllama gives the logits that were asked for");
    const std::int64_t began_ns = thread_cpu_ns();
    bool ended = request.advance({logits, vocabulary_.size()}, vocabulary_);
    count_choice(request, thread_cpu_ns() - began_ns);
    if (ended) finish(at, request.reply(), now);
  }
}

}  // namespace sluice
