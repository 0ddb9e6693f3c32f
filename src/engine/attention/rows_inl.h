// A list of cells for one query: keys and values are read where they lie, once for up to four query
// heads. Bound by memory. Included once per instruction set.
#if defined(SLUICE_ATTENTION_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_ROWS_INL_H_
#undef SLUICE_ATTENTION_ROWS_INL_H_
#else
#define SLUICE_ATTENTION_ROWS_INL_H_
#endif

#include "engine/attention/soft_max_inl.h"
#include "engine/attention/work_map.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

inline constexpr std::size_t kMaxRows = 4;  // query heads worked together

// Cells are taken a few at a time for all KV heads, whose rows lie side by side within a cell: the
// processor fetches ahead by itself where memory is read in its order, and only there.
inline constexpr std::size_t kScoreCells = kManyRegisters ? 4 : 2;
inline constexpr std::size_t kSumVectors = kLanes / kScoreCells;  // of a row, for kLanes cells
inline constexpr std::size_t kRowSums = kSumVectors * kLanes;     // in floats
inline constexpr std::size_t kValueCells = 8;
// How many cells ahead memory is asked for.
inline constexpr std::size_t kCellsAhead = 24;

// Some cells of a list.
struct CellRun {
  const std::uint32_t* cells;
  std::size_t count;
  std::size_t left;  // cells from here on, of this list and the next
  const std::byte* row(const std::byte* base, std::size_t stride, std::size_t i) const {
    return base + cells[i] * stride;
  }
  // Asks for a head's rows of the cells that come kCellsAhead behind these.
  void fetch_ahead(const std::byte* base, std::size_t stride, std::size_t bytes) const {
    if (left < kCellsAhead + count) return;
    const std::uint32_t* next = cells + kCellsAhead;
    for (std::size_t i = 0; i < count; ++i) fetch(base + next[i] * stride, bytes);
  }
};

// Two vectors to one: sums of neighbours, those of `a` in the lower half. Applied kLanes' logarithm
// times, kLanes vectors become the sum of each.
HWY_INLINE Vec sum_neighbours(Vec a, Vec b) {
  return hn::Add(hn::ConcatEven(kFloats, b, a), hn::ConcatOdd(kFloats, b, a));
}

// The products of R queries with each of C cells' keys, their lanes summed up in part: sums[r] gets
// one vector, kLanes / C lanes to a cell.
template <class Row, std::size_t R, std::size_t C>
HWY_INLINE void multiply_keys(const float* HWY_RESTRICT queries, std::size_t size,
                              const Row* HWY_RESTRICT keys, float* HWY_RESTRICT sums) {
  Vec sum[R][C];
#pragma unroll
  for (std::size_t r = 0; r < R; ++r) {
#pragma unroll
    for (std::size_t c = 0; c < C; ++c) sum[r][c] = hn::Zero(kFloats);
  }
  for (std::size_t i = 0; i < size; i += kLanes) {
    Vec key[C];
#pragma unroll
    for (std::size_t c = 0; c < C; ++c) key[c] = keys[c].load(i);
#pragma unroll
    for (std::size_t r = 0; r < R; ++r) {
      const Vec query = hn::Load(kFloats, queries + r * size + i);
#pragma unroll
      for (std::size_t c = 0; c < C; ++c) sum[r][c] = hn::MulAdd(query, key[c], sum[r][c]);
    }
  }
#pragma unroll
  for (std::size_t r = 0; r < R; ++r) {
#pragma unroll
    for (std::size_t n = C; n > 1; n /= 2) {
#pragma unroll
      for (std::size_t c = 0; c < n / 2; ++c) {
        sum[r][c] = sum_neighbours(sum[r][2 * c], sum[r][2 * c + 1]);
      }
    }
    hn::Store(sum[r][0], kFloats, sums + r * kRowSums);
  }
}

// A row's vectors of partial sums to one: the scores of kLanes cells.
HWY_INLINE Vec sum_row(const float* HWY_RESTRICT sums) {
  Vec v[kSumVectors];
#pragma unroll
  for (std::size_t i = 0; i < kSumVectors; ++i) v[i] = hn::Load(kFloats, sums + i * kLanes);
#pragma unroll
  for (std::size_t n = kSumVectors; n > 1; n /= 2) {
#pragma unroll
    for (std::size_t i = 0; i < n / 2; ++i) v[i] = sum_neighbours(v[2 * i], v[2 * i + 1]);
  }
  return v[0];
}

// sums: of the first row, for this run of at most kScoreCells cells. What lies behind the last cell
// of a short run repeats it.
template <class Row, std::size_t R>
HWY_INLINE void score_run(const float* queries, std::size_t size, const std::byte* base,
                          std::size_t stride, const CellRun& run, float* sums) {
  auto key = [&](std::size_t i) { return Row(run.row(base, stride, std::min(i, run.count - 1))); };
  const Row keys[4] = {key(0), key(1), key(2), key(3)};
  multiply_keys<Row, R, kScoreCells>(queries, size, keys, sums);
}

// out[r] += sum over cells of weight * value, for V vectors of a row.
template <class Row, std::size_t R, std::size_t V>
HWY_INLINE void add_columns(const float* HWY_RESTRICT weights, const std::byte* base,
                            std::size_t stride, const CellRun& run, float* HWY_RESTRICT out,
                            std::size_t size, std::size_t column) {
  Vec sum[R][V];
#pragma unroll
  for (std::size_t r = 0; r < R; ++r) {
#pragma unroll
    for (std::size_t v = 0; v < V; ++v) {
      sum[r][v] = hn::LoadU(kFloats, out + r * size + column + v * kLanes);
    }
  }
  for (std::size_t i = 0; i < run.count; ++i) {
    const Row row(run.row(base, stride, i));
    Vec value[V];
#pragma unroll
    for (std::size_t v = 0; v < V; ++v) value[v] = row.load(column + v * kLanes);
#pragma unroll
    for (std::size_t r = 0; r < R; ++r) {
      const Vec weight = hn::Set(kFloats, weights[r * kTileCells + i]);
#pragma unroll
      for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(weight, value[v], sum[r][v]);
    }
  }
#pragma unroll
  for (std::size_t r = 0; r < R; ++r) {
#pragma unroll
    for (std::size_t v = 0; v < V; ++v) {
      hn::StoreU(sum[r][v], kFloats, out + r * size + column + v * kLanes);
    }
  }
}

template <class Row, std::size_t R>
HWY_INLINE void add_run(const float* weights, const std::byte* base, std::size_t stride,
                        const CellRun& run, float* out, std::size_t size) {
  constexpr std::size_t kColumns = kManyRegisters ? 4 : 2;
  std::size_t column = 0;
  for (; column + kColumns * kLanes <= size; column += kColumns * kLanes) {
    add_columns<Row, R, kColumns>(weights, base, stride, run, out, size, column);
  }
  for (; column < size; column += kLanes) {
    add_columns<Row, R, 1>(weights, base, stride, run, out, size, column);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
