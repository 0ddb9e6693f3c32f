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

#include "engine/attention/panels_inl.h"
#include "engine/attention/rows_inl.h"
#include "engine/attention/scratch.h"

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

// --- lists ---

inline void scale_queries(const PieceRun& run, float* out) {
  const std::size_t size = run.call.shape.key_size;
  const Vec scale = hn::Set(kFloats, run.scale);
  for (std::size_t row = 0; row < run.rows; ++row, out += size) {
    const float* in = run.query_row(row);
    for (std::size_t i = 0; i < size; i += kLanes) {
      hn::Store(hn::Mul(hn::LoadU(kFloats, in + i), scale), kFloats, out + i);
    }
  }
}

// A list under work. Rows: [KV head of the piece][head of the group].
struct ListRun {
  const PieceRun& run;
  const WorkItem& item;
  const State& state;
  const std::uint32_t* cells;
  float* scores;  // [row][kTileCells], then the weights
  float* sums;    // [row][kLanes cells][kLanes]

  ListRun(const PieceRun& r, const WorkItem& i, const State& s) : run(r), item(i), state(s) {
    cells = run.map.cells.data() + item.first;
    scores = run.scratch.weights.at_least(run.piece.heads * run.group * kTileCells);
    sums = run.scratch.sums.at_least(run.piece.heads * run.group * kLanes * kLanes);
  }
  CellRun cell_run(std::size_t from, std::size_t most) const {
    return {.cells = cells + from,
            .count = std::min<std::size_t>(most, item.count - from),
            .left = run.map.cells.size() - item.first - from};
  }
  // Of the piece's state, where the rows of a KV head begin.
  std::size_t state_row(std::size_t head) const {
    return head * run.head_rows + item.first_slot * run.group;
  }
  std::uint32_t kv_head(std::size_t head) const {
    return run.piece.first_head + static_cast<std::uint32_t>(head);
  }
};

template <class KeyRow, std::size_t R>
HWY_INLINE void score_heads(const ListRun& list, const CellRun& cells, std::size_t head,
                            std::size_t row, std::size_t from) {
  const AttentionCall& call = list.run.call;
  const std::size_t size = call.shape.key_size;
  score_run<KeyRow, R>(
      list.run.scratch.queries.at_least(0) + (list.state_row(head) + row) * size, size,
      call.k.head(list.run.block.stream, list.kv_head(head)), call.k.cell_stride, cells,
      list.sums + ((head * list.run.group + row) * kLanes + from % kLanes) * kLanes);
}

template <class ValueRow, std::size_t R>
HWY_INLINE void add_heads(const ListRun& list, const CellRun& cells, std::size_t head,
                          std::size_t row, std::size_t from) {
  const AttentionCall& call = list.run.call;
  const std::size_t size = call.shape.value_size;
  add_run<ValueRow, R>(list.scores + (head * list.run.group + row) * kTileCells + from,
                       call.v.head(list.run.block.stream, list.kv_head(head)), call.v.cell_stride,
                       cells, list.state.values + (list.state_row(head) + row) * size, size);
}

// Calls work<R>(row) for the heads of a group, up to kMaxRows at a time.
template <class Work>
HWY_INLINE void by_rows(std::size_t group, const Work& work) {
  std::size_t row = 0;
  for (; row + 4 <= group; row += 4) work.template operator()<4>(row);
  switch (group - row) {
    case 3:
      work.template operator()<3>(row);
      break;
    case 2:
      work.template operator()<2>(row);
      break;
    case 1:
      work.template operator()<1>(row);
      break;
    default:
      break;
  }
}

// The values that the mask adds, for the list's cells.
inline void list_bias(const ListRun& list, float* bias) {
  const std::uint16_t* mask = list.run.mask_row(list.item.first_slot);
  clear(bias, kTileCells, 0);
  for (std::size_t i = 0; i < list.item.count; ++i) bias[i] = half_to_float(mask[list.cells[i]]);
}

inline void weigh_list(const ListRun& list) {
  const PieceRun& run = list.run;
  const AttentionCall& call = run.call;
  float* bias = nullptr;
  if (list.item.masked) list_bias(list, bias = run.scratch.cell_bias.at_least(kTileCells));
  for (std::size_t row = 0; row < run.piece.heads * run.group; ++row) {
    float* scores = list.scores + row * kTileCells;
    const std::size_t at = list.state_row(row / run.group) + row % run.group;
    for (std::size_t i = 0; i < list.item.count && (call.soft_cap != 0 || bias); i += kLanes) {
      Vec score = hn::Load(kFloats, scores + i);
      if (call.soft_cap != 0) {
        const auto open = hn::FirstN(kFloats, list.item.count - i);
        score = hn::IfThenElse(open, cap_scores(score, call.soft_cap), score);
      }
      if (bias) {
        const Vec slope = hn::Set(kFloats, slope_of(call, run.head_of(at)));
        score = hn::MulAdd(hn::Load(kFloats, bias + i), slope, score);
      }
      hn::Store(score, kFloats, scores + i);
    }
    const float keep =
        weigh_row(scores, list.item.count, list.state.greatest[at], list.state.total[at]);
    if (keep == 1) continue;
    float* values = list.state.values + at * call.shape.value_size;
    const Vec factor = hn::Set(kFloats, keep);
    for (std::size_t i = 0; i < call.shape.value_size; i += kLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(kFloats, values + i), factor), kFloats, values + i);
    }
  }
}

// Turns the products of up to kLanes cells before `end` into their scores.
inline void sum_scores(const ListRun& list, std::size_t end) {
  const std::size_t from = (end - 1) / kLanes * kLanes;
  const auto open = hn::FirstN(kFloats, end - from);
  const Vec closed = hn::Set(kFloats, kMinusInfinity);
  for (std::size_t row = 0; row < list.run.piece.heads * list.run.group; ++row) {
    const Vec sum = sum_each(list.sums + row * kLanes * kLanes);
    hn::Store(hn::IfThenElse(open, sum, closed), kFloats, list.scores + row * kTileCells + from);
  }
}

template <class KeyRow, class ValueRow>
HWY_NOINLINE void run_list(const PieceRun& run, const WorkItem& item, const State& state) {
  const ListRun list(run, item, state);
  const AttentionCall& call = run.call;
  for (std::size_t from = 0; from < item.count;) {
    const CellRun cells = list.cell_run(from, kScoreCells);
    for (std::size_t head = 0; head < run.piece.heads; ++head) {
      cells.fetch_ahead(call.k.head(run.block.stream, list.kv_head(head)), call.k.cell_stride,
                        call.k.row_bytes(call.shape.key_size));
      by_rows(run.group, [&]<std::size_t R>(std::size_t row) {
        score_heads<KeyRow, R>(list, cells, head, row, from);
      });
    }
    from += cells.count;
    if (from % kLanes == 0 || from == item.count) sum_scores(list, from);
  }
  weigh_list(list);
  for (std::size_t from = 0; from < item.count; from += kValueCells) {
    const CellRun cells = list.cell_run(from, kValueCells);
    for (std::size_t head = 0; head < run.piece.heads; ++head) {
      cells.fetch_ahead(call.v.head(run.block.stream, list.kv_head(head)), call.v.cell_stride,
                        call.v.row_bytes(call.shape.value_size));
      by_rows(run.group, [&]<std::size_t R>(std::size_t row) {
        add_heads<ValueRow, R>(list, cells, head, row, from);
      });
    }
  }
}

// --- tiles ---

// The panels of all KV heads of a piece, behind each other: each in kPanelRows * depth floats.
struct PanelLayout {
  std::size_t head_panels;
  explicit PanelLayout(const PieceRun& run)
      : head_panels((run.head_rows + kPanelRows - 1) / kPanelRows) {}
  static std::size_t rows(const PieceRun& run, std::size_t panel) {
    return std::min(kPanelRows, run.head_rows - panel * kPanelRows);
  }
  // Floats in a row of this panel: whole vectors.
  static std::size_t width(const PieceRun& run, std::size_t panel) {
    return (rows(run, panel) + kLanes - 1) / kLanes * kLanes;
  }
};

struct PanelState {
  float* greatest;  // [KV head][panel][kPanelRows]
  float* total;
  float* values;  // [KV head][panel][value_size][width]
  PanelState(float* memory, std::size_t panels)
      : greatest(memory),
        total(memory + panels * kPanelRows),
        values(memory + 2 * panels * kPanelRows) {}
};

inline void make_query_panels(const PieceRun& run, const PanelLayout& layout, float* out,
                              float* slopes) {
  const std::size_t size = run.call.shape.key_size;
  for (std::size_t head = 0; head < run.piece.heads; ++head) {
    for (std::size_t panel = 0; panel < layout.head_panels; ++panel) {
      const std::size_t rows = PanelLayout::rows(run, panel);
      const std::size_t width = PanelLayout::width(run, panel);
      if (width != rows) clear(out, size * width, 0);
      clear(slopes, kPanelRows, 0);
      for (std::size_t i = 0; i < rows; ++i) {
        const std::size_t row = head * run.head_rows + panel * kPanelRows + i;
        const float* query = run.query_row(row);
        for (std::size_t k = 0; k < size; ++k) out[k * width + i] = query[k] * run.scale;
        slopes[i] = slope_of(run.call, run.head_of(row));
      }
      out += size * kPanelRows;
      slopes += kPanelRows;
    }
  }
}

// The mask's values for a tile, [panel][cell][width]: the same for all KV heads.
inline void tile_bias(const PieceRun& run, const PanelLayout& layout, const WorkItem& item,
                      float* out) {
  for (std::size_t panel = 0; panel < layout.head_panels; ++panel) {
    const std::size_t width = PanelLayout::width(run, panel);
    const std::size_t rows = PanelLayout::rows(run, panel);
    for (std::size_t cell = item.count; cell < kTileCells; ++cell) {
      clear(out + cell * width, width, kMinusInfinity);
    }
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t slot = (panel * kPanelRows + i) / run.group;
      const std::uint16_t* mask = i < rows && run.call.mask.data
                                      ? run.mask_row(static_cast<std::uint32_t>(slot)) + item.first
                                      : nullptr;
      const bool same = mask && i > 0 && (panel * kPanelRows + i) % run.group != 0;
      for (std::size_t cell = 0; cell < item.count; ++cell) {
        float* at = out + cell * width + i;
        *at = same ? at[-1] : mask ? half_to_float(mask[cell]) : 0;
      }
    }
    out += kTileCells * kPanelRows;
  }
}

template <class KeyRow, class ValueRow>
HWY_NOINLINE void run_tile(const PieceRun& run, const PanelLayout& layout, const WorkItem& item,
                           bool more, const PanelState& state) {
  const AttentionCall& call = run.call;
  const std::uint32_t key_size = call.shape.key_size;
  const std::uint32_t value_size = call.shape.value_size;
  Scratch& scratch = run.scratch;
  float* keys = scratch.keys.at_least(kTileCells * key_size);
  float* values = scratch.values.at_least(kTileCells * value_size);
  float* scores = scratch.scores.at_least(kTileCells * kPanelRows);
  const UnpackedTile tile{keys, values,
                          (item.count + kBlockHeight - 1) / kBlockHeight * kBlockHeight};
  const std::size_t first = item.first_slot * run.group / kPanelRows;
  const std::size_t last = (item.last_slot * run.group + kPanelRows - 1) / kPanelRows;
  // A panel also holds the rows beside the item's slots, to which the tile is closed.
  const bool beside = first * kPanelRows != item.first_slot * run.group ||
                      std::min(last * kPanelRows, run.head_rows) != item.last_slot * run.group;
  float* bias = nullptr;
  if (item.masked || beside || tile.cells != item.count) {
    bias = scratch.bias.at_least(layout.head_panels * kTileCells * kPanelRows);
    tile_bias(run, layout, item, bias);
  }
  for (std::uint32_t head = 0; head < run.piece.heads; ++head) {
    const std::uint32_t kv_head = run.piece.first_head + head;
    unpack_tile<KeyRow>(call.k, call.k.head(run.block.stream, kv_head), item, more, key_size, keys);
    unpack_tile<ValueRow>(call.v, call.v.head(run.block.stream, kv_head), item, more, value_size,
                          values);
    for (std::size_t i = first; i < last; ++i) {
      const std::size_t at = (head * layout.head_panels + i) * kPanelRows;
      const Panel panel{.queries = scratch.query_panels.at_least(0) + at * key_size,
                        .slopes = scratch.slopes.at_least(0) + at,
                        .bias = bias ? bias + i * kTileCells * kPanelRows : nullptr,
                        .greatest = state.greatest + at,
                        .total = state.total + at,
                        .values = state.values + at * value_size};
      switch (PanelLayout::width(run, i) / kLanes) {
        case 3:
          run_panel<3>(call, tile, panel, scores);
          break;
        case 2:
          run_panel<2>(call, tile, panel, scores);
          break;
        default:
          run_panel<1>(call, tile, panel, scores);
          break;
      }
    }
  }
}

// --- results ---

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
