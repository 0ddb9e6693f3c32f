// A tile of cells for many queries: two matrix products with a softmax between them. Rows (a query
// and one of its heads) lie along the vectors, kPanelRows in a panel, so that nothing has to be
// summed across a vector and keys and values are used as they lie. Bound by arithmetic. Included
// once per instruction set.
#if defined(SLUICE_ATTENTION_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_PANELS_INL_H_
#undef SLUICE_ATTENTION_PANELS_INL_H_
#else
#define SLUICE_ATTENTION_PANELS_INL_H_
#endif

#include "engine/attention/soft_max_inl.h"
#include "engine/attention/work_map.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

inline constexpr std::size_t kPanelVectors = 3;
inline constexpr std::size_t kPanelRows = kPanelVectors * kLanes;
inline constexpr std::size_t kBlockHeight =
    kManyRegisters ? 8 : 4;  // with 3 vectors: 24 or 12 sums

// Where element (m, k) of the left matrix lies, in floats.
struct LeftMatrix {
  const float* at;
  std::size_t row_stride;
  std::size_t column_stride;
};

// out[m][V vectors] = (keep: out * keep +) sum over k of left(m, k) * right[k][V vectors], for
// kBlockHeight rows m. A row of right and out is V vectors.
template <std::size_t V, bool kKeep>
HWY_INLINE void multiply_block(const LeftMatrix& left, const float* HWY_RESTRICT right,
                               std::size_t depth, const float* HWY_RESTRICT keep,
                               float* HWY_RESTRICT out) {
  Vec sum[kBlockHeight][V];
#pragma unroll
  for (std::size_t v = 0; v < V; ++v) {
    if constexpr (kKeep) {
      const Vec factor = hn::Load(kFloats, keep + v * kLanes);
#pragma unroll
      for (std::size_t m = 0; m < kBlockHeight; ++m) {
        sum[m][v] = hn::Mul(hn::Load(kFloats, out + (m * V + v) * kLanes), factor);
      }
    } else {
#pragma unroll
      for (std::size_t m = 0; m < kBlockHeight; ++m) sum[m][v] = hn::Zero(kFloats);
    }
  }
  const float* column = left.at;
  for (std::size_t k = 0; k < depth; ++k, column += left.column_stride) {
    Vec row[V];
#pragma unroll
    for (std::size_t v = 0; v < V; ++v) row[v] = hn::Load(kFloats, right + (k * V + v) * kLanes);
#pragma unroll
    for (std::size_t m = 0; m < kBlockHeight; ++m) {
      const Vec factor = hn::Set(kFloats, column[m * left.row_stride]);
#pragma unroll
      for (std::size_t v = 0; v < V; ++v) sum[m][v] = hn::MulAdd(factor, row[v], sum[m][v]);
    }
  }
#pragma unroll
  for (std::size_t m = 0; m < kBlockHeight; ++m) {
#pragma unroll
    for (std::size_t v = 0; v < V; ++v) {
      hn::Store(sum[m][v], kFloats, out + (m * V + v) * kLanes);
    }
  }
}

template <std::size_t V, bool kKeep>
HWY_NOINLINE void multiply(LeftMatrix left, std::size_t height, const float* right,
                           std::size_t depth, const float* keep, float* out) {
  for (std::size_t m = 0; m < height; m += kBlockHeight) {
    multiply_block<V, kKeep>(left, right, depth, keep, out + m * V * kLanes);
    left.at += kBlockHeight * left.row_stride;
  }
}

// The tile's keys or values as floats, [cell][size]; cells that nobody may see are zero, and so are
// those that fill up the last block.
template <class Row>
HWY_NOINLINE void unpack_tile(const KvTensor& tensor, const std::byte* base, const WorkItem& item,
                              bool more, std::uint32_t size, float* HWY_RESTRICT out) {
  const std::size_t stride = tensor.cell_stride;
  const std::size_t bytes = tensor.row_bytes(size);
  const std::size_t filled = (item.count + kBlockHeight - 1) / kBlockHeight * kBlockHeight;
  for (std::size_t cell = 0; cell < filled; ++cell, out += size) {
    if (cell >= item.count || (item.open >> cell & 1) == 0) {
      for (std::size_t i = 0; i < size; i += kLanes) hn::Store(hn::Zero(kFloats), kFloats, out + i);
      continue;
    }
    const std::byte* at = base + (item.first + cell) * stride;
    if (more) fetch(at + kTileCells * stride, bytes);
    const Row row(at);
    for (std::size_t i = 0; i < size; i += kLanes) hn::Store(row.load(i), kFloats, out + i);
  }
}

// One panel of one head and what it has seen so far.
struct Panel {
  const float* queries;  // [key_size][rows], scaled
  const float* slopes;   // [rows], what the mask's values are multiplied by
  const float* bias;     // [cell][rows]; null: nothing to add
  float* greatest;       // [rows]
  float* total;          // [rows]
  float* values;         // [value_size][rows]
};

struct UnpackedTile {
  const float* keys;
  const float* values;
  std::size_t cells;
};

template <std::size_t V>
HWY_NOINLINE void run_panel(const AttentionCall& call, const UnpackedTile& tile, const Panel& panel,
                            float* scores) {
  constexpr std::size_t kRows = V * kLanes;
  const std::size_t key_size = call.shape.key_size;
  const std::size_t value_size = call.shape.value_size;
  multiply<V, false>({tile.keys, key_size, 1}, tile.cells, panel.queries, key_size, nullptr,
                     scores);
  if (call.soft_cap != 0) {
    for (std::size_t i = 0; i < tile.cells * kRows; i += kLanes) {
      hn::Store(cap_scores(hn::Load(kFloats, scores + i), call.soft_cap), kFloats, scores + i);
    }
  }
  HWY_ALIGN float keep[kRows];
  for (std::size_t v = 0; v < V; ++v) {
    float* lanes = scores + v * kLanes;
    if (panel.bias) {
      const Vec slope = hn::Load(kFloats, panel.slopes + v * kLanes);
      for (std::size_t cell = 0; cell < tile.cells; ++cell) {
        const std::size_t at = cell * kRows;
        const Vec bias = hn::Load(kFloats, panel.bias + at + v * kLanes);
        hn::Store(hn::MulAdd(bias, slope, hn::Load(kFloats, lanes + at)), kFloats, lanes + at);
      }
    }
    weigh_lanes(lanes, kRows, tile.cells, panel.greatest + v * kLanes, panel.total + v * kLanes,
                keep + v * kLanes);
  }
  multiply<V, true>({tile.values, 1, value_size}, value_size, scores, tile.cells, keep,
                    panel.values);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
