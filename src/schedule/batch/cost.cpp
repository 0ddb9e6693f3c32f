// batch: cost (the default). From Sarathi-Serve: decode tokens first, then chunks of prompts, so
// that nobody who decodes waits for a prompt. From FlowPrefill: a short prompt does not wait for a
// long one that is being computed.
//
// Better: the budget is time, not a number of tokens. With somebody decoding a batch stays within
// between_tokens_ms by the measured cost (a chunk deep in a long prompt gets smaller); no chunk is
// so small that the processor works badly, by the measured curve; prompts that are short against
// the budget take up to half of it before the one whose turn it is, so it still gets the other
// half. Where the curve is flat a prompt alone is cut small too, which makes breaking off a batch
// for a new arrival needless; where it is not, the batch is marked abortable. And a tenant that
// asks for little (light, see fairness/service) is not slowed down by more than a part of that.
#include <algorithm>

#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr double kAloneWorse = 1.03;      // a chunk with nobody decoding costs at most so much more
constexpr double kBesideWorse = 1.16;     // ... beside decoding ones, than at the best size
constexpr double kStartWorse = 1.25;      // ... to begin with one more prompt in what is left
constexpr double kPassingPart = 0.5;      // of the prompt whose turn it is: what counts as short
constexpr double kShortPart = 0.5;        // of the budget: for prompts that are short
constexpr double kLightWait = 1.15;       // a light tenant's batch takes so much longer by others
constexpr double kGainCounts = 2;         // one that joins shortens this decoding and the next ones
constexpr std::uint32_t kLeastPart = 16;  // tokens of a short prompt that are worth a part
constexpr double kWorthAborting = 1.5;    // times the budget

class Forming {
 public:
  Forming(const BatchInput& input, ScheduleDecision& decision)
      : round_(input.round),
        input_(input),
        decision_(decision),
        tokens_(std::min(input.round.snapshot.batch_tokens, input.cells)),
        between_s_(static_cast<double>(input.round.snapshot.settings.between_tokens_ms) / 1e3) {
    shape_.idle_cells = round_.snapshot.pool.cached_cells;
    for (const Candidate& one : round_.candidates) waiting_ += one.left_prompt > 0 ? 1 : 0;
  }

  void run() {
    if (round_.any_light && light_works()) form_for_light();
    if (!decision_.decode.empty() || !decision_.prefill.empty()) return;
    for (const Candidate* one : input_.decoding) decode(*one);
    fill(input_.prefilling, budget_s());
    bool alone = decision_.decode.empty() && !decision_.prefill.empty();
    decision_.abortable =
        alone && round_.cost.batch_s(shape_) > kWorthAborting * std::max(between_s_, 1e-3);
  }

 private:
  bool light_works() const {
    auto is_light = [](const Candidate* one) { return one->light; };
    return std::ranges::any_of(input_.decoding, is_light) ||
           std::ranges::any_of(input_.prefilling, is_light);
  }

  BatchShape with_decode(const Candidate& one) const {
    BatchShape with = shape_;
    std::uint32_t tokens = std::max(one.view->next_tokens, 1U);
    with.decode_tokens += tokens;
    with.decode_cells += std::uint64_t{tokens} *
                         (std::uint64_t{one.view->prompt_tokens} + one.view->generated_tokens);
    return with;
  }

  void decode(const Candidate& one) {
    std::uint32_t tokens = std::max(one.view->next_tokens, 1U);
    if (tokens > tokens_) return;
    shape_ = with_decode(one);
    tokens_ -= tokens;
    decision_.decode.push_back(one.view->id);
  }

  // The smallest chunk that costs at most `worse` times as much a token as the largest one.
  std::uint32_t good_chunk(double worse) const {
    std::uint32_t most = std::max(round_.snapshot.batch_tokens, 1U);
    auto token_s = [&](std::uint32_t n) { return round_.cost.batch_s({.prefill_tokens = n}) / n; };
    double bound = worse * token_s(most);
    std::uint32_t chunk = most;
    while (chunk >= 16 && token_s(chunk / 2) <= bound) chunk /= 2;
    return chunk;
  }

  // Until when the batch is to be done.
  double budget_s() const {
    double so_far_s = round_.cost.batch_s(shape_);
    bool beside = shape_.decode_tokens > 0;
    std::uint32_t chunk = good_chunk(beside ? kBesideWorse : kAloneWorse);
    BatchShape least = shape_;
    least.prefill_tokens += chunk;
    return std::max({between_s_, round_.cost.batch_s(least), so_far_s});
  }

  std::uint32_t chunk_of(const Candidate& one, double until_s) const {
    std::uint32_t most = std::min(one.left_prompt, tokens_);
    return round_.cost.prefill_within(shape_, one.found_tokens, until_s, most);
  }

  void compute(const Candidate& one, std::uint32_t tokens) {
    if (tokens == 0) return;
    shape_.prefill_tokens += tokens;
    shape_.prefill_cells += chunk_cells(one.found_tokens, tokens);
    tokens_ -= tokens;
    decision_.prefill.push_back({one.view->id, tokens});
  }

  // Whether more of its program comes after this request, as far as anybody knows: it has come back
  // before, or the plan says so. A name alone, which a server gives to everybody, says nothing.
  static bool goes_on(const RequestView& view) {
    const bool came_back = view.program_since_ns < view.arrived_ns;
    const bool told = view.returns || view.returns_at_ns || view.remaining_path_s;
    return !view.program.empty() && (came_back || told);
  }

  // A prompt computed beside those that decode delays them, so it stands back behind those that
  // rank before it as long as that costs them more than what all that wait gain: with one more in
  // it, each token of a decode batch takes less of the machine.
  bool stands_back(const Candidate& one) const {
    double ahead = 0;
    double tokens = 0;
    for (const Candidate* other : input_.decoding) {
      tokens += other->left_output;
      if (other->rank > one.rank) continue;
      // Of a request on its own, or of the same program, nothing but its own end depends on it.
      const bool same = other->view->program == one.view->program;
      ahead += goes_on(*other->view) && !same ? 1 : 0;
    }
    if (ahead == 0) return false;
    auto decoding = static_cast<std::uint32_t>(input_.decoding.size());
    double saved_s = tokens * (decode_token_s(decoding) - decode_token_s(decoding + 1));
    return ahead * one.prefill_s > kGainCounts * saved_s * waiting_;
  }

  double decode_token_s(std::uint32_t together) const {
    return round_.cost.batch_s({.decode_tokens = together}) / together;
  }

  // Short prompts first, up to their part of the budget; then by rank.
  void fill(std::span<const Candidate* const> prefilling, double until_s) {
    double from_s = round_.cost.batch_s(shape_);
    double short_until_s = from_s + kShortPart * (until_s - from_s);
    std::vector<const Candidate*> rest;
    for (const Candidate* one : prefilling) {
      std::uint32_t chunk = chunk_of(*one, short_until_s);
      bool part =
          chunk >= kLeastPart && one->left_prompt <= kPassingPart * prefilling[0]->left_prompt;
      bool passes = !one->view->prefetch && (chunk == one->left_prompt || part);
      if (passes) {
        compute(*one, chunk);
      } else {
        rest.push_back(one);
      }
    }
    std::uint32_t first = good_chunk(kBesideWorse);
    std::uint32_t least = good_chunk(kStartWorse);
    for (const Candidate* one : rest) {
      // What may come later does not slow down who is here.
      bool idle_only = one->view->prefetch && shape_.decode_tokens > 0;
      if (idle_only || stands_back(*one)) break;
      std::uint32_t chunk = chunk_of(*one, until_s);
      bool none_yet = decision_.prefill.empty();
      if (none_yet) chunk = std::max(chunk, std::min({first, one->left_prompt, tokens_}));
      if (!none_yet && chunk < std::min(least, one->left_prompt)) break;
      compute(*one, chunk);
    }
  }

  // What the light ones need, then of the others what slows that down only a little.
  void form_for_light() {
    std::vector<const Candidate*> light;
    std::vector<const Candidate*> others;
    for (const Candidate* one : input_.decoding) {
      if (one->light) decode(*one);
    }
    for (const Candidate* one : input_.prefilling) (one->light ? light : others).push_back(one);
    bool waits_for_tokens = shape_.decode_tokens > 0;
    if (!light.empty()) fill(light, budget_s());
    double until_s = round_.cost.batch_s(shape_) * kLightWait;
    for (const Candidate* one : input_.decoding) {
      if (one->light || round_.cost.batch_s(with_decode(*one)) > until_s) continue;
      decode(*one);
    }
    if (!waits_for_tokens && light.empty()) fill(others, budget_s());
  }

  const Round& round_;
  const BatchInput& input_;
  ScheduleDecision& decision_;
  BatchShape shape_;
  std::uint32_t tokens_;  // that the batch may still take
  double between_s_;
  double waiting_ = 0;  // requests whose prompts are still to be computed
};

}  // namespace

void batch_by_cost(const BatchInput& input, ScheduleDecision& decision) {
  Forming(input, decision).run();
}

}  // namespace sluice
