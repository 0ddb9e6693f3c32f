// The softmax that goes block by block: a row keeps its greatest score so far, the sum of its
// weights against that, and what it has summed up. Included once per instruction set.
#if defined(SLUICE_ATTENTION_SOFT_MAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_SOFT_MAX_INL_H_
#undef SLUICE_ATTENTION_SOFT_MAX_INL_H_
#else
#define SLUICE_ATTENTION_SOFT_MAX_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>

#include <limits>

#include "engine/attention/load_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

HWY_INLINE Vec power_of_e(Vec x) { return hn::Exp(kFloats, x); }

// A row that has seen nothing yet has -infinity as its greatest; no weight may become NaN by it.
HWY_INLINE Vec zero_if_nothing(Vec greatest) {
  const auto nothing = hn::Eq(greatest, hn::Set(kFloats, kMinusInfinity));
  return hn::IfThenZeroElse(nothing, greatest);
}

HWY_INLINE Vec cap_scores(Vec scores, float soft_cap) {
  return hn::Mul(hn::Set(kFloats, soft_cap), hn::Tanh(kFloats, scores));
}

// Scores of one row, along the vector, to weights. Returns the factor for what was summed before.
HWY_INLINE float weigh_row(float* HWY_RESTRICT scores, std::size_t count, float& greatest,
                           float& total) {
  Vec top = hn::Set(kFloats, greatest);
  for (std::size_t i = 0; i < count; i += kLanes) {
    top = hn::Max(top, hn::Load(kFloats, scores + i));
  }
  top = hn::MaxOfLanes(kFloats, top);
  const Vec base = zero_if_nothing(top);
  const float peak = hn::GetLane(top);
  const float keep =
      peak == greatest ? 1 : hn::GetLane(power_of_e(hn::Sub(hn::Set(kFloats, greatest), base)));
  Vec sum = hn::Zero(kFloats);
  for (std::size_t i = 0; i < count; i += kLanes) {
    const Vec weight = power_of_e(hn::Sub(hn::Load(kFloats, scores + i), base));
    hn::Store(weight, kFloats, scores + i);
    sum = hn::Add(sum, weight);
  }
  total = total * keep + hn::GetLane(hn::SumOfLanes(kFloats, sum));
  greatest = peak;
  return keep;
}

// The same for kLanes rows side by side: scores[cell * stride + lane]. Leaves the factor in keep.
HWY_INLINE void weigh_lanes(float* HWY_RESTRICT scores, std::size_t stride, std::size_t count,
                            float* greatest, float* total, float* keep) {
  const Vec before = hn::Load(kFloats, greatest);
  Vec top = before;
  for (std::size_t i = 0; i < count; ++i) {
    top = hn::Max(top, hn::Load(kFloats, scores + i * stride));
  }
  const Vec base = zero_if_nothing(top);
  const Vec factor = power_of_e(hn::Sub(before, base));
  Vec sum = hn::Zero(kFloats);
  for (std::size_t i = 0; i < count; ++i) {
    const Vec weight = power_of_e(hn::Sub(hn::Load(kFloats, scores + i * stride), base));
    hn::Store(weight, kFloats, scores + i * stride);
    sum = hn::Add(sum, weight);
  }
  hn::Store(hn::MulAdd(hn::Load(kFloats, total), factor, sum), kFloats, total);
  hn::Store(top, kFloats, greatest);
  hn::Store(factor, kFloats, keep);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
