// What has to be computed for one mask, and in which pieces: made from the mask once per batch and
// used by every layer. Pure: the same mask and shape give the same map on every machine with the
// same vector width.
//
// The pool's cells are cut into tiles of kTileCells. A tile that no query of a block may see does
// not appear. A tile that many queries see becomes one matrix product for all of them (the batch
// form of a shared prefix, as in Hydragen and cascade attention); cells that few see are listed per
// query, wherever in the pool they lie. Which of the two is cheaper is estimated per tile.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/attention/call.h"

namespace sluice {

inline constexpr std::uint32_t kTileCells = 64;   // at most 64: a tile's open cells fit one word
inline constexpr std::uint32_t kBlockRows = 192;  // queries x heads of a KV head, worked together

// A tile for the slots [first_slot, last_slot), or a list of cells for first_slot alone.
struct WorkItem {
  bool tile = false;
  bool masked = false;      // the mask's values have to be added
  std::uint16_t count = 0;  // cells
  std::uint32_t first = 0;  // tile: the first cell; list: where in WorkMap::cells
  std::uint32_t first_slot = 0, last_slot = 0;  // within the block
  std::uint64_t open = 0;                       // tile: cells that some query of the block may see
  float cost = 0;                               // of one KV head, in vector operations
};

// Consecutive slots of a stream.
struct QueryBlock {
  std::uint32_t stream = 0;
  std::uint32_t first_slot = 0;  // within the stream
  std::uint32_t slots = 0;
  std::uint32_t first_item = 0, last_item = 0;
};

// What one thread does at a stretch: some items of a block for some KV heads.
struct Piece {
  static constexpr std::size_t kWhole = ~std::size_t{0};
  std::uint32_t block = 0;
  std::uint32_t first_head = 0, heads = 0;  // KV heads
  std::uint32_t first_item = 0, last_item = 0;
  bool tiles = false, lists = false;  // what kinds of items it has
  std::size_t state = kWhole;         // where its partial result goes, in floats; kWhole: it is all
  float cost = 0;
};

// Pieces whose partial results have to be put together: they lie behind each other in the states.
struct Join {
  std::uint32_t block = 0;
  std::uint32_t first_head = 0, heads = 0;
  std::uint32_t parts = 0;
  std::size_t state = 0;  // of the first; the others follow at state_size(rows, value_size)
};

struct WorkMap {
  AttentionShape shape;
  std::vector<std::uint32_t> order;  // [stream][slot]: the query; those that see the same lie close
  std::vector<QueryBlock> blocks;
  std::vector<WorkItem> items;
  std::vector<std::uint32_t> cells;  // of the lists
  std::vector<Piece> pieces;         // the dearest first
  std::vector<Join> joins;
  std::size_t state_floats = 0;  // of all partial results

  std::uint32_t query(const QueryBlock& block, std::uint32_t slot) const {
    return order[static_cast<std::size_t>(block.stream) * shape.queries + block.first_slot + slot];
  }
};

// A partial result: for each row its greatest score, the sum of its weights, and its values.
constexpr std::size_t state_size(std::size_t rows, std::size_t value_size) {
  return rows * (value_size + 2);
}

// threads: how many work on it. lanes: floats in a vector.
WorkMap map_work(const AttentionShape& shape, const AttentionMask& mask, std::uint32_t threads,
                 std::uint32_t lanes);

}  // namespace sluice
