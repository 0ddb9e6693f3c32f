// What is known of a piece everywhere in the kernel. Included once per instruction set.
#if defined(SLUICE_ATTENTION_PIECE_RUN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_PIECE_RUN_INL_H_
#undef SLUICE_ATTENTION_PIECE_RUN_INL_H_
#else
#define SLUICE_ATTENTION_PIECE_RUN_INL_H_
#endif

#include <algorithm>
#include <cmath>

#include "engine/attention/load_inl.h"
#include "engine/attention/scratch.h"
#include "engine/attention/work_map.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// The rows of a piece: [KV head][slot][head of the group].
struct State {
  float* greatest;
  float* total;
  float* values;  // [row][value_size]
  State(float* memory, std::size_t rows)
      : greatest(memory), total(memory + rows), values(memory + 2 * rows) {}
};

HWY_INLINE float half_to_float(std::uint16_t bits) {
  const hn::CappedTag<float, 1> one;
  const hn::Rebind<hwy::float16_t, decltype(one)> half;
  return hn::GetLane(
      hn::PromoteTo(one, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(&bits))));
}

// ALiBi's slope of a head; 1 without it, so that the mask is added as it is.
inline float slope_of(const AttentionCall& call, std::uint32_t head) {
  if (call.max_bias <= 0) return 1;
  const auto power =
      static_cast<float>(1U << static_cast<std::uint32_t>(std::floor(std::log2(call.shape.heads))));
  const auto h = static_cast<float>(head);
  if (h < power) return std::pow(std::exp2(-call.max_bias / power), h + 1);
  return std::pow(std::exp2(-call.max_bias / 2 / power), 2 * (h - power) + 1);
}

// What is known of a piece everywhere below.
struct PieceRun {
  const AttentionCall& call;
  const WorkMap& map;
  const Piece& piece;
  const QueryBlock& block;
  Scratch& scratch;
  std::size_t group;
  std::size_t head_rows;  // of one KV head: slots * group
  std::size_t rows;
  float scale;

  PieceRun(const AttentionCall& c, const WorkMap& m, const Piece& p, Scratch& s)
      : call(c), map(m), piece(p), block(m.blocks[p.block]), scratch(s) {
    group = call.shape.group();
    head_rows = block.slots * group;
    rows = head_rows * piece.heads;
    scale = call.soft_cap != 0 ? call.scale / call.soft_cap : call.scale;
  }
  std::uint32_t head_of(std::size_t row) const {
    const std::size_t kv_head = piece.first_head + row / head_rows;
    return static_cast<std::uint32_t>(kv_head * group + row % group);
  }
  std::uint32_t query_of(std::size_t row) const {
    return map.query(block, static_cast<std::uint32_t>(row % head_rows / group));
  }
  const float* query_row(std::size_t row) const {
    return call.query(block.stream, query_of(row), head_of(row));
  }
  const std::uint16_t* mask_row(std::uint32_t slot) const {
    return call.mask.row(block.stream, map.query(block, slot));
  }
};

inline void clear(float* at, std::size_t count, float value) { std::fill_n(at, count, value); }

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
