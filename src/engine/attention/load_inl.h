// Rows of keys and values as vectors of floats. Included once per instruction set.
#if defined(SLUICE_ATTENTION_LOAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_LOAD_INL_H_
#undef SLUICE_ATTENTION_LOAD_INL_H_
#else
#define SLUICE_ATTENTION_LOAD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;
inline constexpr std::size_t kLanes = hn::MaxLanes(Floats());
inline constexpr Floats kFloats;
// AVX-512 and NEON have 32 vector registers, others 16.
inline constexpr bool kManyRegisters = HWY_MAX_BYTES == 64 || HWY_ARCH_ARM;

// Asks for memory that is needed soon, into the second cache: into the first, the requests would
// hold the few places that it has for missing lines.
HWY_INLINE void fetch(const std::byte* at, std::size_t bytes) {
  __builtin_prefetch(at, 0, 2);
  __builtin_prefetch(at + bytes - 1, 0, 2);  // a row of up to 128 bytes is done here
  for (std::size_t i = 64; i + 64 < bytes; i += 64) __builtin_prefetch(at + i, 0, 2);
}

struct HalfRow {
  const hwy::float16_t* at;
  explicit HalfRow(const std::byte* row) : at(reinterpret_cast<const hwy::float16_t*>(row)) {}
  HWY_INLINE Vec load(std::size_t i) const {
    const hn::Rebind<hwy::float16_t, Floats> half;
    return hn::PromoteTo(kFloats, hn::LoadU(half, at + i));
  }
};

// Q8_0: blocks of 32 signed bytes behind their F16 scale.
struct ByteRow {
  static constexpr std::size_t kBlock = 32;
  static constexpr std::size_t kBlockBytes = kBlock + 2;
  const std::byte* at;
  explicit ByteRow(const std::byte* row) : at(row) {}
  HWY_INLINE Vec load(std::size_t i) const {
    const std::byte* block = at + i / kBlock * kBlockBytes;
    const hn::Rebind<hwy::float16_t, hn::CappedTag<float, 1>> one_half;
    const hn::CappedTag<float, 1> one;
    const float scale = hn::GetLane(
        hn::PromoteTo(one, hn::LoadU(one_half, reinterpret_cast<const hwy::float16_t*>(block))));
    const hn::Rebind<std::int8_t, Floats> bytes;
    const hn::Rebind<std::int32_t, Floats> words;
    const auto* values = reinterpret_cast<const std::int8_t*>(block + 2) + i % kBlock;
    auto whole = hn::PromoteTo(words, hn::LoadU(bytes, values));
    return hn::Mul(hn::ConvertTo(kFloats, whole), hn::Set(kFloats, scale));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
