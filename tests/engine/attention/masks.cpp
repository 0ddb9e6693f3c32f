#include "tests/engine/attention/masks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace sluice::attention_test {
namespace {

constexpr float kClosed = -std::numeric_limits<float>::infinity();

struct Cell {
  std::uint64_t holders = 0;  // a bit for each sequence
  std::int64_t position = 0;
};
struct Query {
  std::uint32_t sequence = 0;
  std::int64_t position = 0;
};

template <typename T, std::size_t N>
T pick(Random& random, const std::array<T, N>& from) {
  return from[random.below(N)];
}

std::uint64_t everyone(std::uint32_t sequences) {
  return sequences >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << sequences) - 1;
}

class Pool {
 public:
  Pool(const MaskPlan& plan, std::uint32_t cells, Random& random)
      : plan_(plan), random_(random), cells_(cells), lengths_(plan.sequences) {
    switch (plan.kind) {
      case MaskKind::kPrefix:
        share(everyone(plan.sequences), below(left()));
        runs();
        break;
      case MaskKind::kPrefixTree:
        tree();
        runs();
        break;
      case MaskKind::kInterleaved:
        if (random.below(2) == 0) share(everyone(plan.sequences), below(left() / 2));
        interleave(random.below(3) == 0);
        break;
      default:
        runs();
        break;
    }
    for (Cell& cell : cells_) {
      if (random.unit() < plan.holes) cell.holders = 0;
      if (random.unit() < plan.moved) std::swap(cell, cells_[random.below(cells)]);
    }
  }

  std::vector<Query> queries(std::uint32_t count) {
    std::vector<Query> out(count);
    std::vector<std::int64_t> asked(plan_.sequences);
    for (std::uint32_t i = 0; i < count; ++i) {
      auto in_order = static_cast<std::uint32_t>(std::uint64_t{i} * plan_.sequences / count);
      out[i].sequence = plan_.queries_mixed ? below(plan_.sequences - 1) : in_order;
      ++asked[out[i].sequence];
    }
    // The queries are the last positions of their sequence: their own cells are in the pool.
    std::vector<std::int64_t> next(plan_.sequences);
    for (std::uint32_t i = 0; i < plan_.sequences; ++i) next[i] = lengths_[i] - asked[i];
    for (Query& query : out) query.position = next[query.sequence]++;
    return out;
  }

  const std::vector<Cell>& cells() const { return cells_; }

 private:
  std::uint32_t below(std::uint32_t most) {
    return static_cast<std::uint32_t>(random_.below(std::uint64_t{most} + 1));
  }
  std::uint32_t left() const { return static_cast<std::uint32_t>(cells_.size()) - used_; }

  void put(std::uint64_t holders, std::int64_t position) {
    cells_[used_++] = {holders, position};
    for (std::uint32_t i = 0; i < plan_.sequences; ++i) {
      if ((holders >> i & 1) != 0) lengths_[i] = std::max(lengths_[i], position + 1);
    }
  }
  void share(std::uint64_t holders, std::uint32_t count) {
    std::int64_t start = 0;
    for (std::uint32_t i = 0; i < plan_.sequences; ++i) {
      if ((holders >> i & 1) != 0) start = std::max(start, lengths_[i]);
    }
    for (std::uint32_t i = 0; i < count && left() > 0; ++i) put(holders, start + i);
  }
  void tree() {
    share(everyone(plan_.sequences), below(left() / 2));
    std::uint32_t groups = 1 + below(3);
    for (std::uint32_t group = 0; group < groups; ++group) {
      std::uint64_t holders = 0;
      for (std::uint32_t i = group; i < plan_.sequences; i += groups) {
        holders |= std::uint64_t{1} << i;
      }
      if (holders != 0) share(holders, below(left() / groups));
    }
  }
  void runs() {
    for (std::uint32_t i = 0; i < plan_.sequences; ++i) {
      bool last = i + 1 == plan_.sequences;
      std::uint32_t share_of_left = 2 * left() / (plan_.sequences - i);
      share(std::uint64_t{1} << i, last ? left() : below(std::min(left(), share_of_left)));
    }
  }
  void interleave(bool by_chance) {
    for (std::uint32_t i = 0; left() > 0; ++i) {
      std::uint32_t sequence = by_chance ? below(plan_.sequences - 1) : i % plan_.sequences;
      put(std::uint64_t{1} << sequence, lengths_[sequence]);
    }
  }

  const MaskPlan& plan_;
  Random& random_;
  std::vector<Cell> cells_;
  std::vector<std::int64_t> lengths_;  // of the sequences
  std::uint32_t used_ = 0;
};

float value_of(const MaskPlan& plan, std::int64_t distance, Random& random) {
  switch (plan.values) {
    case MaskValues::kZero:
      return 0;
    case MaskValues::kAlibi:
      return static_cast<float>(-std::abs(distance));
    case MaskValues::kAny:
      return random.below(3) == 0 ? 0.0F : static_cast<float>(3 * some_normal(random));
    case MaskValues::kExtreme:
      return pick(random, std::array{0.0F, -0.0F, -1.0F, 2.5F, -300.0F, -65504.0F});
  }
  return 0;
}

void draw_pool(const MaskPlan& plan, std::uint32_t queries, std::uint32_t cells, Random& random,
               std::vector<float>& mask) {
  Pool pool(plan, cells, random);
  std::vector<Query> asked = pool.queries(queries);
  for (std::uint32_t i = 0; i < queries; ++i) {
    for (std::uint32_t j = 0; j < cells; ++j) {
      const Cell& cell = pool.cells()[j];
      std::int64_t distance = asked[i].position - cell.position;
      bool open = (cell.holders >> asked[i].sequence & 1) != 0 && distance >= 0 &&
                  (plan.window == 0 || distance < plan.window);
      if (open) mask[std::size_t{i} * cells + j] = value_of(plan, distance, random);
    }
  }
}

void draw_any_cells(const MaskPlan& plan, std::uint32_t cells, Random& random,
                    std::vector<float>& mask) {
  const double open = pick(random, std::array{0.01, 0.1, 0.5, 0.9, 0.99});
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (random.unit() < open) {
      mask[i] = value_of(plan, static_cast<std::int64_t>(i % cells), random);
    }
  }
}

void draw_rectangles(const MaskPlan& plan, std::uint32_t queries, std::uint32_t cells,
                     Random& random, std::vector<float>& mask) {
  std::uint64_t step = random.below(2) == 0 ? 64 : 1;
  for (std::uint64_t left = 1 + random.below(6); left > 0; --left) {
    std::uint64_t cell = random.below(cells / step + 1) * step;
    std::uint64_t last_cell = std::min<std::uint64_t>(cells, cell + step * (1 + random.below(200)));
    std::uint64_t query = random.below(queries);
    std::uint64_t last_query = query + 1 + random.below(queries - query);
    for (std::uint64_t i = query; i < last_query; ++i) {
      for (std::uint64_t j = cell; j < last_cell; ++j) {
        mask[i * cells + j] = value_of(plan, static_cast<std::int64_t>(j), random);
      }
    }
  }
}

}  // namespace

double some_normal(Random& random) {
  std::uint64_t bits = random.next();
  std::int64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<std::int64_t>(bits >> (16 * i) & 0xFFFF);
  return (static_cast<double>(sum) / 0xFFFF - 2) * 1.7320508;
}

MaskPlan some_mask(Random& random) {
  MaskPlan plan;
  // Sequences in a pool are what the engine does: half of the cases.
  plan.kind = random.below(2) == 0
                  ? static_cast<MaskKind>(1 + random.below(5))
                  : static_cast<MaskKind>(random.below(static_cast<std::uint64_t>(kMaskKinds)));
  if (plan.kind == MaskKind::kNone) return plan;
  if (plan.kind != MaskKind::kCausal) {
    plan.sequences = static_cast<std::uint32_t>(1 + random.below(random.below(4) == 0 ? 48 : 12));
  }
  if (random.below(4) == 0) plan.values = static_cast<MaskValues>(random.below(4));
  if (random.below(6) == 0) plan.window = static_cast<std::uint32_t>(1 + random.below(300));
  if (random.below(5) == 0) plan.holes = random.unit();
  if (random.below(6) == 0) plan.moved = random.unit();
  if (random.below(6) == 0) plan.closed_queries = random.unit();
  plan.queries_mixed = random.below(4) == 0;
  return plan;
}

std::string describe(const MaskPlan& plan) {
  static constexpr std::array<const char*, kMaskKinds> kKinds = {
      "none",        "causal",    "sequences", "prefix",     "prefix tree",
      "interleaved", "any cells", "one cell",  "rectangles", "all closed"};
  static constexpr std::array<const char*, 4> kValues = {"zero", "alibi", "any", "extreme"};
  return fmt::format(
      "mask {} values {} sequences {} window {} holes {:.2f} moved {:.2f} closed queries {:.2f}{}",
      kKinds[static_cast<std::size_t>(plan.kind)], kValues[static_cast<std::size_t>(plan.values)],
      plan.sequences, plan.window, plan.holes, plan.moved, plan.closed_queries,
      plan.queries_mixed ? " mixed" : "");
}

std::vector<float> make_mask(const MaskPlan& plan, std::uint32_t queries, std::uint32_t cells,
                             Random& random) {
  std::vector<float> mask(std::size_t{queries} * cells, kClosed);
  switch (plan.kind) {
    case MaskKind::kNone:
      std::ranges::fill(mask, 0.0F);
      break;
    case MaskKind::kAllClosed:
      break;
    case MaskKind::kOneCell:
      for (std::size_t i = 0; i < queries; ++i) {
        mask[i * cells + random.below(cells)] = value_of(plan, 3, random);
      }
      break;
    case MaskKind::kAnyCells:
      draw_any_cells(plan, cells, random, mask);
      break;
    case MaskKind::kRectangles:
      draw_rectangles(plan, queries, cells, random, mask);
      break;
    default:
      draw_pool(plan, queries, cells, random, mask);
      break;
  }
  for (std::size_t i = 0; i < queries; ++i) {
    if (random.unit() < plan.closed_queries) std::fill_n(&mask[i * cells], cells, kClosed);
  }
  return mask;
}

}  // namespace sluice::attention_test
