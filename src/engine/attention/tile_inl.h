// Runs the tiles of a piece: unpacks one, then takes the panels of queries that see it. Included
// once per instruction set.
#if defined(SLUICE_ATTENTION_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_TILE_INL_H_
#undef SLUICE_ATTENTION_TILE_INL_H_
#else
#define SLUICE_ATTENTION_TILE_INL_H_
#endif

#include <algorithm>

#include "engine/attention/panels_inl.h"
#include "engine/attention/piece_run_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

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
  float* keys = scratch.keys.at_least(std::size_t{kTileCells} * key_size);
  float* values = scratch.values.at_least(std::size_t{kTileCells} * value_size);
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

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
