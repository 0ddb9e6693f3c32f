#include "engine/attention/work_map.h"

#include <algorithm>
#include <cmath>
#include <compare>
#include <numeric>
#include <span>
#include <tuple>

namespace sluice {
namespace {

constexpr std::uint16_t kClosed = 0xFC00;  // -infinity in F16
constexpr std::uint32_t kUnitRows = 256;   // of a piece: several KV heads where a block is small
constexpr std::uint32_t kPiecesPerThread = 3;

// One query and one tile.
struct Sight {
  std::uint8_t open = 0;    // cells that it may see
  std::uint8_t values = 0;  // 1: the mask has values other than 0 and -infinity
};

Sight look(const std::uint16_t* mask, std::uint32_t count) {
  std::uint32_t open = 0;
  std::uint32_t values = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t is_open = mask[i] != kClosed ? 1 : 0;
    open += is_open;
    values |= (mask[i] & 0x7FFFU) != 0 ? is_open : 0;
  }
  return {.open = static_cast<std::uint8_t>(open), .values = static_cast<std::uint8_t>(values)};
}

// What the items cost, in vector operations of one KV head. The constants are fitted to where the
// two forms were measured to take the same time (heads of 64 and 128, groups of 1, 3 and 8: at 4,
// 8 and 4 queries); only their ratio matters.
struct CostModel {
  explicit CostModel(const AttentionShape& shape, std::uint32_t lane_count)
      : elements(static_cast<float>(shape.key_size + shape.value_size)),
        group(static_cast<float>(shape.group())),
        lanes(static_cast<float>(lane_count)) {}

  float list(std::uint32_t cells) const {
    float cell = elements / lanes * (1 + group) * 1.05F + 3 * (group + 1);
    return static_cast<float>(cells) * cell;
  }
  float tile(std::uint32_t slots) const {
    float vectors = std::ceil(static_cast<float>(slots) * group / lanes);
    float cell = elements / lanes * 1.5F + (elements * 1.15F + 12) * vectors;
    return kTileCells * cell;
  }
  // Getting cells from memory: the same for both forms, so it only balances the threads.
  float fetch(std::uint32_t cells) const { return static_cast<float>(cells) * elements * 0.6F; }

  float elements, group, lanes;
};

class Mapper {
 public:
  Mapper(const AttentionShape& shape, const AttentionMask& mask, std::uint32_t threads,
         std::uint32_t lanes)
      : mask_(mask), threads_(threads), cost_(shape, lanes) {
    map_.shape = shape;
    tiles_ = (shape.cells + kTileCells - 1) / kTileCells;
  }

  WorkMap run() {
    const AttentionShape& shape = map_.shape;
    std::uint32_t slots = std::clamp(kBlockRows / shape.group(), 1U, shape.queries);
    for (std::uint32_t stream = 0; stream < shape.streams; ++stream) {
      look_at(stream);
      for (std::uint32_t first = 0; first < shape.queries; first += slots) {
        add_block(stream, first, std::min(slots, shape.queries - first));
      }
    }
    cut();
    return std::move(map_);
  }

 private:
  std::uint32_t tile_count(std::uint32_t tile) const {
    return std::min(kTileCells, map_.shape.cells - tile * kTileCells);
  }
  const std::uint16_t* mask_row(const QueryBlock& block, std::uint32_t slot) const {
    return mask_.row(block.stream, map_.query(block, slot));
  }
  std::span<const Sight> sights(std::uint32_t query) const {
    return std::span(sights_).subspan(static_cast<std::size_t>(query) * tiles_, tiles_);
  }

  // Reads the mask and orders the stream's queries by what they see.
  void look_at(std::uint32_t stream) {
    const std::uint32_t queries = map_.shape.queries;
    sights_.resize(static_cast<std::size_t>(queries) * tiles_);
    for (std::uint32_t query = 0; query < queries; ++query) {
      for (std::uint32_t tile = 0; tile < tiles_; ++tile) {
        Sight& sight = sights_[static_cast<std::size_t>(query) * tiles_ + tile];
        sight = mask_.data ? look(mask_.row(stream, query) + std::size_t{tile} * kTileCells,
                                  tile_count(tile))
                           : Sight{.open = static_cast<std::uint8_t>(tile_count(tile))};
      }
    }
    std::size_t from = map_.order.size();
    map_.order.resize(from + queries);
    auto order = std::span(map_.order).subspan(from);
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
      auto seen = std::lexicographical_compare_three_way(
          sights(a).begin(), sights(a).end(), sights(b).begin(), sights(b).end(),
          [](Sight x, Sight y) { return x.open <=> y.open; });
      return seen == 0 ? a < b : seen < 0;
    });
  }

  void add_block(std::uint32_t stream, std::uint32_t first_slot, std::uint32_t slots) {
    QueryBlock block{.stream = stream, .first_slot = first_slot, .slots = slots};
    block.first_item = static_cast<std::uint32_t>(map_.items.size());
    pending_.assign(slots, {});
    for (std::uint32_t tile = 0; tile < tiles_; ++tile) add_tile(block, tile);
    for (std::uint32_t slot = 0; slot < slots; ++slot) flush(slot);
    block.last_item = static_cast<std::uint32_t>(map_.items.size());
    map_.blocks.push_back(block);
  }

  void add_tile(const QueryBlock& block, std::uint32_t tile) {
    std::uint32_t cells = 0;
    std::uint32_t first = block.slots;
    std::uint32_t last = 0;
    bool plain = true;  // every slot from first to last sees all, with nothing to add
    const std::uint32_t count = tile_count(tile);
    for (std::uint32_t slot = 0; slot < block.slots; ++slot) {
      Sight sight = sights(map_.query(block, slot))[tile];
      if (sight.open == 0) continue;
      plain = plain && sight.open == count && sight.values == 0 && (last == 0 || last == slot);
      cells += sight.open;
      first = std::min(first, slot);
      last = slot + 1;
    }
    if (cells == 0) return;
    if (cost_.list(cells) <= cost_.tile(last - first)) {
      for (std::uint32_t slot = first; slot < last; ++slot) list_cells(block, slot, tile);
      return;
    }
    WorkItem item{.tile = true, .masked = !plain, .count = static_cast<std::uint16_t>(count)};
    item.first = tile * kTileCells;
    item.first_slot = first;
    item.last_slot = last;
    item.open = plain ? ~std::uint64_t{0} : open_cells(block, item);
    item.cost = cost_.tile(last - first) + cost_.fetch(count);
    map_.items.push_back(item);
  }

  std::uint64_t open_cells(const QueryBlock& block, const WorkItem& item) const {
    std::uint64_t open = 0;
    for (std::uint32_t slot = item.first_slot; slot < item.last_slot; ++slot) {
      const std::uint16_t* mask = mask_row(block, slot) + item.first;
      for (std::uint32_t i = 0; i < item.count; ++i) {
        open |= static_cast<std::uint64_t>(mask[i] != kClosed ? 1 : 0) << i;
      }
    }
    return open;
  }

  // Lists grow over tiles, so that few open cells in each of many tiles still fill an item.
  struct Pending {
    bool values = false;
    std::vector<std::uint32_t> cells;
  };

  void list_cells(const QueryBlock& block, std::uint32_t slot, std::uint32_t tile) {
    Sight sight = sights(map_.query(block, slot))[tile];
    if (sight.open == 0) return;
    Pending& pending = pending_[slot];
    pending.values = pending.values || sight.values != 0;
    const std::uint32_t first = tile * kTileCells;
    const std::uint16_t* mask = mask_.data ? mask_row(block, slot) + first : nullptr;
    for (std::uint32_t i = 0; i < tile_count(tile); ++i) {
      if (mask && mask[i] == kClosed) continue;
      pending.cells.push_back(first + i);
      if (pending.cells.size() == kTileCells) flush(slot);
      pending.values = pending.values || sight.values != 0;
    }
  }

  void flush(std::uint32_t slot) {
    Pending& pending = pending_[slot];
    if (pending.cells.empty()) return;
    auto count = static_cast<std::uint32_t>(pending.cells.size());
    map_.items.push_back({.masked = pending.values,
                          .count = static_cast<std::uint16_t>(count),
                          .first = static_cast<std::uint32_t>(map_.cells.size()),
                          .first_slot = slot,
                          .last_slot = slot + 1,
                          .cost = cost_.list(count) + cost_.fetch(count)});
    map_.cells.insert(map_.cells.end(), pending.cells.begin(), pending.cells.end());
    pending = {};
  }

  float block_cost(const QueryBlock& block) const {
    float sum = 0;
    for (std::uint32_t i = block.first_item; i < block.last_item; ++i) sum += map_.items[i].cost;
    return sum;
  }
  std::uint32_t heads_together(const QueryBlock& block) const {
    const AttentionShape& shape = map_.shape;
    return std::clamp(kUnitRows / (block.slots * shape.group()), 1U, shape.kv_heads);
  }

  // Cuts the blocks into pieces of about equal cost: over KV heads, then over items.
  void cut() {
    float total = 0;
    for (const QueryBlock& block : map_.blocks) {
      total += block_cost(block) * static_cast<float>(map_.shape.kv_heads);
    }
    float target = total / static_cast<float>(threads_ * kPiecesPerThread);
    for (std::uint32_t i = 0; i < map_.blocks.size(); ++i) {
      std::uint32_t heads = heads_together(map_.blocks[i]);
      for (std::uint32_t head = 0; head < map_.shape.kv_heads; head += heads) {
        cut_unit(i, head, std::min(heads, map_.shape.kv_heads - head), target);
      }
    }
    std::ranges::sort(map_.pieces, [](const Piece& a, const Piece& b) {
      return std::tuple(-a.cost, a.block, a.first_head, a.first_item) <
             std::tuple(-b.cost, b.block, b.first_head, b.first_item);
    });
  }

  void cut_unit(std::uint32_t block_index, std::uint32_t first_head, std::uint32_t heads,
                float target) {
    const QueryBlock& block = map_.blocks[block_index];
    const float cost = block_cost(block) * static_cast<float>(heads);
    const std::uint32_t items = block.last_item - block.first_item;
    std::uint32_t parts = 1;
    if (threads_ > 1 && cost > 1.3F * target && items > 1) {
      parts = std::min(items, static_cast<std::uint32_t>(std::ceil(cost / target)));
    }
    const std::size_t size = state_size(
        static_cast<std::size_t>(heads) * block.slots * map_.shape.group(), map_.shape.value_size);
    Join join{.block = block_index, .first_head = first_head, .heads = heads};
    join.state = map_.state_floats;
    std::uint32_t item = block.first_item;
    float done = 0;
    for (std::uint32_t part = 0; part < parts; ++part) {
      Piece piece{.block = block_index, .first_head = first_head, .heads = heads};
      piece.first_item = item;
      const float until = cost * static_cast<float>(part + 1) / static_cast<float>(parts);
      while (item < block.last_item && (part + 1 == parts || done < until)) {
        const WorkItem& next = map_.items[item++];
        done += next.cost * static_cast<float>(heads);
        piece.cost += next.cost * static_cast<float>(heads);
        (next.tile ? piece.tiles : piece.lists) = true;
      }
      piece.last_item = item;
      if (parts > 1 && piece.first_item == piece.last_item) continue;
      if (parts > 1) {
        piece.state = map_.state_floats;
        map_.state_floats += size;
        ++join.parts;
      }
      map_.pieces.push_back(piece);
    }
    if (join.parts > 0) map_.joins.push_back(join);
  }

  const AttentionMask& mask_;
  std::uint32_t threads_;
  CostModel cost_;
  std::uint32_t tiles_ = 0;
  WorkMap map_;
  std::vector<Sight> sights_;     // [query][tile] of the stream at hand
  std::vector<Pending> pending_;  // by slot of the block at hand
};

}  // namespace

WorkMap map_work(const AttentionShape& shape, const AttentionMask& mask, std::uint32_t threads,
                 std::uint32_t lanes) {
  return Mapper(shape, mask, threads, lanes).run();
}

}  // namespace sluice
