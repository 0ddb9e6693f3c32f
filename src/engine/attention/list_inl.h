// Runs the lists of a piece: scores of all heads, weights, values. Included once per instruction
// set.
#if defined(SLUICE_ATTENTION_LIST_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLUICE_ATTENTION_LIST_INL_H_
#undef SLUICE_ATTENTION_LIST_INL_H_
#else
#define SLUICE_ATTENTION_LIST_INL_H_
#endif

#include <algorithm>

#include "engine/attention/piece_run_inl.h"
#include "engine/attention/rows_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {

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
  float* sums;    // [row][kRowSums]

  ListRun(const PieceRun& r, const WorkItem& i, const State& s) : run(r), item(i), state(s) {
    cells = run.map.cells.data() + item.first;
    scores = run.scratch.weights.at_least(run.piece.heads * run.group * kTileCells);
    sums = run.scratch.sums.at_least(run.piece.heads * run.group * kRowSums);
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
      list.sums + (head * list.run.group + row) * kRowSums + from % kLanes / kScoreCells * kLanes);
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
    const Vec sum = sum_row(list.sums + row * kRowSums);
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

}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();
#endif
