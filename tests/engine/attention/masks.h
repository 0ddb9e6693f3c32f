// Masks as a KV pool of many sequences brings them about, and some that nobody would, for one
// stream. Pure functions of their Random.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace sluice::attention_test {

enum class MaskKind : std::uint8_t {
  kNone,         // no mask at all: every cell is open
  kCausal,       // one sequence
  kSequences,    // each in a run of cells
  kPrefix,       // the same, behind a prefix that all hold
  kPrefixTree,   // and prefixes that only some of them hold
  kInterleaved,  // sequences that grew together: cell by cell
  kAnyCells,     // every cell open or closed by chance
  kOneCell,      // one for each query
  kRectangles,   // open blocks, at the edges of tiles and off them
  kAllClosed,
};
inline constexpr int kMaskKinds = 10;

enum class MaskValues : std::uint8_t {
  kZero,     // what is open adds nothing
  kAlibi,    // minus the distance, which the op multiplies by the head's slope
  kAny,      // finite values by chance
  kExtreme,  // also such as leave a cell open in name only
};

struct MaskPlan {
  MaskKind kind = MaskKind::kNone;
  MaskValues values = MaskValues::kZero;
  std::uint32_t sequences = 1;
  std::uint32_t window = 0;    // positions that a query sees back; 0: all
  double holes = 0;            // share of the cells that nobody holds
  double moved = 0;            // share of the cells that lie elsewhere in the pool
  double closed_queries = 0;   // share of the queries that see nothing
  bool queries_mixed = false;  // not in the order of their sequences
};

MaskPlan some_mask(Random& random);
std::string describe(const MaskPlan& plan);

// [query][cell] in F32; -infinity closes.
std::vector<float> make_mask(const MaskPlan& plan, std::uint32_t queries, std::uint32_t cells,
                             Random& random);

// About normal, with variance 1.
double some_normal(Random& random);

}  // namespace sluice::attention_test
