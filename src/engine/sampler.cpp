#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sluice {
namespace {

constexpr std::size_t kBlock = 32;  // tokens of one word of a mask
constexpr float kNothing = -std::numeric_limits<float>::infinity();

// The greatest of 32 numbers, in a form that compilers turn into vector instructions.
float greatest(std::array<float, kBlock>& x) {
  for (std::size_t half = kBlock / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) x[i] = x[i] > x[i + half] ? x[i] : x[i + half];
  }
  return x[0];
}

float best_of_block(const float* logits, std::size_t count, std::uint32_t mask) {
  std::array<float, kBlock> x;
  if (count == kBlock && mask == ~0U) {
    std::copy_n(logits, kBlock, x.begin());
    return greatest(x);
  }
  if (count < kBlock) {
    x.fill(kNothing);
    for (std::size_t i = 0; i < count; ++i) {
      if (((mask >> i) & 1) != 0) x[i] = logits[i];
    }
    return greatest(x);
  }
  for (std::size_t i = 0; i < kBlock; ++i) x[i] = (mask & (1U << i)) != 0 ? logits[i] : kNothing;
  return greatest(x);
}

Token first_allowed(std::span<const float> logits, TokenMask mask, std::size_t from, float value) {
  for (std::size_t i = from; i < logits.size(); ++i) {
    if (allowed(mask, i) && (value == kNothing || logits[i] >= value)) return static_cast<Token>(i);
  }
  return -1;
}

// Looks at words of the mask, not at tokens: where a schema leaves few, nearly all are zero.
Token best_token(std::span<const float> logits, TokenMask mask) {
  float best = kNothing;
  std::size_t best_at = logits.size();
  for (std::size_t at = 0; at < logits.size(); at += kBlock) {
    std::uint32_t word = mask.empty() ? ~0U : static_cast<std::uint32_t>(mask[at / kBlock]);
    if (word == 0) continue;
    float of_block = best_of_block(&logits[at], std::min(kBlock, logits.size() - at), word);
    if (of_block > best) {
      best = of_block;
      best_at = at;
    }
  }
  // No number above -inf: any allowed token is as good.
  return first_allowed(logits, mask, best_at == logits.size() ? 0 : best_at, best);
}

// e to the x for x <= 0, to 1e-6 of its value: 2 to the whole part as the exponent of a float, 2 to
// the rest as a polynomial. No branches, so that a loop of it becomes vector instructions.
float exp_below_zero(float x) {
  constexpr float kLog2OfE = 1.44269504F;
  constexpr float kRounds = 12582912.0F;  // 1.5 * 2^23: what is added to it loses its fraction
  constexpr float kLeast = -87.0F;        // below it the exponent has no room
  const float scaled = (x > kLeast ? x : kLeast) * kLog2OfE;
  const float shifted = scaled + kRounds;
  const float rest = scaled - (shifted - kRounds);
  float power = 1.54035304e-4F;
  power = power * rest + 1.33335581e-3F;
  power = power * rest + 9.61812911e-3F;
  power = power * rest + 5.55041087e-2F;
  power = power * rest + 2.40226507e-1F;
  power = power * rest + 6.93147181e-1F;
  power = power * rest + 1.0F;
  const auto whole = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRounds);
  return power * std::bit_cast<float>((whole + 127U) << 23U);
}

// Of e to the (logit - most).
double sum_of_exp(std::span<const float> logits, float most) {
  std::array<double, kBlock / 2> sums{};
  std::size_t at = 0;
  for (; at + sums.size() <= logits.size(); at += sums.size()) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += exp_below_zero(logits[at + i] - most);
  }
  double sum = 0;
  for (; at < logits.size(); ++at) sum += exp_below_zero(logits[at] - most);
  for (double part : sums) sum += part;
  return sum;
}

float greatest_of(std::span<const float> logits) {
  float best = kNothing;
  for (std::size_t at = 0; at < logits.size(); at += kBlock) {
    best = std::max(best, best_of_block(&logits[at], std::min(kBlock, logits.size() - at), ~0U));
  }
  return best;
}

}  // namespace

Sampler::Sampler(const Sampling& sampling, std::uint64_t seed)
    : temperature_(sampling.temperature), top_p_(sampling.top_p), random_(seed) {}

Token Sampler::pick(std::span<const float> logits, TokenMask mask) {
  Token best = best_token(logits, mask);
  if (best < 0 || temperature_ <= 0) return best;
  double best_logit = logits[static_cast<std::size_t>(best)];
  // Beyond 40 temperatures below the best a token has less than 1e-17 of its weight.
  double floor = best_logit - 40 * temperature_;
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= floor && allowed(mask, i)) {
      candidates_.push_back({logits[i], static_cast<Token>(i)});
    }
  }
  auto weight = [&](const Candidate& c) { return std::exp((c.logit - best_logit) / temperature_); };
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  if (top_p_ < 1) {
    std::ranges::sort(candidates_, [](const Candidate& a, const Candidate& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
    });
    double kept = 0;
    std::size_t count = 0;
    while (count < candidates_.size() && (count == 0 || kept < top_p_ * total)) {
      kept += weight(candidates_[count++]);
    }
    candidates_.resize(count);
    total = kept;
  }
  double left = random_.unit() * total;
  for (const Candidate& c : candidates_) {
    left -= weight(c);
    if (left < 0) return c.token;
  }
  return candidates_.back().token;
}

Logprobs logprobs(std::span<const float> logits, Token token, std::size_t top) {
  const float most = greatest_of(logits);
  const double log_sum = most + std::log(sum_of_exp(logits, most));
  Logprobs out;
  out.chosen = logits[static_cast<std::size_t>(token)] - log_sum;
  if (top == 0) return out;
  std::vector<Token> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Token>(i);
  top = std::min(top, order.size());
  auto end = order.begin() + static_cast<std::ptrdiff_t>(top);
  std::partial_sort(order.begin(), end, order.end(), [&](Token a, Token b) {
    float x = logits[static_cast<std::size_t>(a)];
    float y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  });
  for (auto it = order.begin(); it != end; ++it) {
    out.top.emplace_back(*it, logits[static_cast<std::size_t>(*it)] - log_sum);
  }
  return out;
}

}  // namespace sluice
