// Runs a piece: its lists row by row, its tiles panel by panel, then what both have seen becomes
// the output or a part of it. Included once per instruction set.
#if defined(SLUICE_ATTENTION_PIECE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_PIECE_INL_H_
#undef SLUICE_ATTENTION_PIECE_INL_H_
#else
#define SLUICE_ATTENTION_PIECE_INL_H_
#endif

#include <algorithm>
#include <cmath>

#include "engine/attention/list_inl.h"
#include "engine/attention/tile_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

// Adds what `other` (greatest, total, values at a stride) has seen to a row.
inline void join_row(float& greatest, float& total, float* HWY_RESTRICT values, std::size_t size,
                     float other_greatest, float other_total, const float* HWY_RESTRICT other,
                     std::size_t stride) {
  const float top = std::max(greatest, other_greatest);
  if (top == kMinusInfinity) return;
  const float keep = std::exp(greatest - top);
  const float take = std::exp(other_greatest - top);
  for (std::size_t i = 0; i < size; ++i) {
    values[i] = values[i] * keep + other[i * stride] * take;
  }
  total = total * keep + other_total * take;
  greatest = top;
}

inline void join_panels(const PieceRun& run, const PanelLayout& layout, const PanelState& panels,
                        const State& state) {
  const std::size_t size = run.call.shape.value_size;
  for (std::size_t row = 0; row < run.rows; ++row) {
    const std::size_t in_head = row % run.head_rows;
    const std::size_t panel = in_head / kPanelRows;
    const std::size_t lane = in_head % kPanelRows;
    const std::size_t at = (row / run.head_rows * layout.head_panels + panel) * kPanelRows;
    join_row(state.greatest[row], state.total[row], state.values + row * size, size,
             panels.greatest[at + lane], panels.total[at + lane], panels.values + at * size + lane,
             PanelLayout::width(run, panel));
  }
}

// Takes the sink into account, divides by the sum of the weights and writes the row.
inline void finish_row(const AttentionCall& call, std::uint32_t stream, std::uint32_t query,
                       std::uint32_t head, float greatest, float total, const float* values) {
  float factor = 1;
  if (call.sinks) {
    const float sink = call.sinks[head];
    const float top = std::max(sink, greatest);
    factor = top == kMinusInfinity ? 0 : std::exp(greatest - top);
    total = total * factor + (top == kMinusInfinity ? 0 : std::exp(sink - top));
  }
  factor = total == 0 ? 0 : factor / total;
  float* out = call.output(stream, query, head);
  const Vec scale = hn::Set(kFloats, factor);
  for (std::size_t i = 0; i < call.shape.value_size; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(kFloats, values + i), scale), kFloats, out + i);
  }
}

template <class KeyRow, class ValueRow>
void run_piece_of(const PieceRun& run, float* states) {
  const AttentionShape& shape = run.call.shape;
  const Piece& piece = run.piece;
  const std::size_t size = state_size(run.rows, shape.value_size);
  const bool whole = piece.state == Piece::kWhole;
  const State state(whole ? run.scratch.row_state.at_least(size) : states + piece.state, run.rows);
  clear(state.greatest, run.rows, kMinusInfinity);
  clear(state.total, size - run.rows, 0);
  if (piece.lists) {
    scale_queries(run, run.scratch.queries.at_least(run.rows * shape.key_size));
  }
  const PanelLayout layout(run);
  const std::size_t panels = piece.tiles ? layout.head_panels * piece.heads : 0;
  const PanelState panel_state(
      run.scratch.panel_state.at_least(panels * kPanelRows * (shape.value_size + 2)), panels);
  if (piece.tiles) {
    make_query_panels(run, layout,
                      run.scratch.query_panels.at_least(panels * kPanelRows * shape.key_size),
                      run.scratch.slopes.at_least(panels * kPanelRows));
    clear(panel_state.greatest, panels * kPanelRows, kMinusInfinity);
    clear(panel_state.total, panels * kPanelRows * (shape.value_size + 1), 0);
  }
  for (std::uint32_t i = piece.first_item; i < piece.last_item; ++i) {
    const WorkItem& item = run.map.items[i];
    if (item.tile) {
      const bool more = item.first + 2 * kTileCells <= shape.cells;
      run_tile<KeyRow, ValueRow>(run, layout, item, more, panel_state);
    } else {
      run_list<KeyRow, ValueRow>(run, item, state);
    }
  }
  if (piece.tiles) join_panels(run, layout, panel_state, state);
  for (std::size_t row = 0; whole && row < run.rows; ++row) {
    finish_row(run.call, run.block.stream, run.query_of(row), run.head_of(row), state.greatest[row],
               state.total[row], state.values + row * shape.value_size);
  }
}

// A row that several pieces have worked on.
inline void join_parts(const PieceRun& run, const Join& join, const float* states,
                       std::size_t row) {
  const std::size_t size = run.call.shape.value_size;
  float* values = run.scratch.row_state.at_least(size);
  float greatest = kMinusInfinity;
  float total = 0;
  clear(values, size, 0);
  for (std::uint32_t part = 0; part < join.parts; ++part) {
    const float* at = states + join.state + part * state_size(run.rows, size);
    join_row(greatest, total, values, size, at[row], at[run.rows + row],
             at + 2 * run.rows + row * size, 1);
  }
  finish_row(run.call, run.block.stream, run.query_of(row), run.head_of(row), greatest, total,
             values);
}

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
