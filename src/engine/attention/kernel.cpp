#include "engine/attention/kernel.h"

#include "engine/attention/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/attention/kernel.cpp"
// Scalable vectors cannot lie in arrays (NEON serves those machines), targets without F16 are too
// slow to be worth it, and the later AVX-512 ones have nothing for us beyond the first.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include <hwy/foreach_target.h>  // compiles what follows once per instruction set
#include <hwy/highway.h>

#include "engine/attention/piece_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// Below eight lanes ggml's kernel is as good.
std::uint32_t lanes_here() { return kLanes < 8 && HWY_ARCH_X86 ? 0 : kLanes; }
const char* target_here() { return hwy::TargetName(HWY_TARGET); }

void run_piece_here(const AttentionCall& call, const WorkMap& map, const Piece& piece,
                    float* states, Scratch& scratch) {
  const PieceRun run(call, map, piece, scratch);
  const bool half_keys = call.k.type == KvType::kF16;
  if (call.v.type == KvType::kF16) {
    half_keys ? run_piece_of<HalfRow, HalfRow>(run, states)
              : run_piece_of<ByteRow, HalfRow>(run, states);
  } else {
    half_keys ? run_piece_of<HalfRow, ByteRow>(run, states)
              : run_piece_of<ByteRow, ByteRow>(run, states);
  }
}

void run_joins_here(const AttentionCall& call, const WorkMap& map, const float* states,
                    std::uint32_t share, std::uint32_t shares) {
  std::size_t dealt = 0;
  for (const Join& join : map.joins) {
    const Piece like{.block = join.block, .first_head = join.first_head, .heads = join.heads};
    const PieceRun run(call, map, like, Scratch::of_thread());
    for (std::size_t row = 0; row < run.rows; ++row) {
      if (dealt++ % shares == share) join_parts(run, join, states, row);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {

HWY_EXPORT(run_piece_here);
HWY_EXPORT(run_joins_here);
HWY_EXPORT(lanes_here);
HWY_EXPORT(target_here);

Scratch& Scratch::of_thread() {
  thread_local Scratch scratch;
  return scratch;
}

const char* attention_target_name() { return HWY_DYNAMIC_DISPATCH(target_here)(); }

std::uint32_t attention_lanes() { return HWY_DYNAMIC_DISPATCH(lanes_here)(); }

void run_piece(const AttentionCall& call, const WorkMap& map, const Piece& piece, float* states) {
  HWY_DYNAMIC_DISPATCH(run_piece_here)(call, map, piece, states, Scratch::of_thread());
}

void run_joins(const AttentionCall& call, const WorkMap& map, const float* states,
               std::uint32_t share, std::uint32_t shares) {
  HWY_DYNAMIC_DISPATCH(run_joins_here)(call, map, states, share, shares);
}

}  // namespace sluice
#endif
