// What one instance of a model costs in seconds: measured on this machine by
// engine/calibrate.h, kept in the cache, read by policies and estimators. Plain data and pure
// functions; any thread. Units: seconds, tokens, cells (a cell holds the KV of one token).
//
// The model is fitted, not assumed: the time of one batch is what its tokens cost at depth 0 (a
// curve, because small batches use other kernels than large ones) plus what its attention costs (so
// much per query and visible cell, for single queries and for chunks apart).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

// What is in a batch, as far as its time depends on it.
struct BatchShape {
  std::uint32_t decode_tokens = 0;   // sequences that decode one token
  std::uint64_t decode_cells = 0;    // sum of the cells that these see
  std::uint32_t prefill_tokens = 0;  // of all chunks
  std::uint64_t prefill_cells = 0;   // sum over these tokens of the cells that each sees
  std::uint64_t shared_cells = 0;    // of decode_cells: those that another query of the batch saw
  std::uint64_t idle_cells = 0;      // used cells of the pool that no query sees
};

// A chunk of `tokens` after `depth` cells: the cells that its tokens see together.
std::uint64_t chunk_cells(std::uint64_t depth, std::uint64_t tokens);

class InstanceCost {
 public:
  struct CurvePoint {
    std::uint32_t tokens = 0;
    double seconds = 0;
  };
  struct Parts {
    std::vector<CurvePoint> curve;  // batch of n tokens at depth 0; rising in n, at least one
    double decode_cell_s = 0;       // per (single query, visible cell)
    double prefill_cell_s = 0;      // per (query of a chunk, visible cell)
    double shared_cell_s = 0;  // per (single query, cell) that other queries of the batch see too
    double idle_cell_s = 0;    // per batch and used cell that no query of it sees
    double copy_out_s = 0;     // fixed part of moving cells to host memory
    double copy_out_cell_s = 0;
    double copy_in_s = 0;
    double copy_in_cell_s = 0;
    std::uint32_t cell_bytes = 0;  // of host memory for a cell
    std::string measured_on;       // "AMD EPYC, 2 threads"; "" for the defaults
  };

  // Of a small model on two cores; what an instance starts with before it is measured.
  static InstanceCost defaults();
  // kValueInvalid: no point, not rising, negative or not finite.
  static Result<InstanceCost> make(Parts parts);
  static Result<InstanceCost> from_json(const Value& json);
  Value to_json() const;

  const Parts& parts() const { return parts_; }
  double batch_s(const BatchShape& shape) const;
  // A prompt part computed alone in chunks of `chunk` tokens.
  double prefill_s(std::uint64_t depth, std::uint64_t tokens, std::uint32_t chunk = 512) const;
  // One sequence that generates `tokens` beside `others` that do the same at the same depth: its
  // wall-clock seconds.
  double decode_s(std::uint64_t depth, std::uint64_t tokens, std::uint32_t others = 0) const;
  double copy_out_s(std::uint64_t cells) const;
  double copy_in_s(std::uint64_t cells) const;
  // Most prompt tokens that can join `shape` (whose prefill part counts) after `depth` cells so
  // that the batch stays within `seconds`.
  std::uint32_t prefill_within(const BatchShape& shape, std::uint64_t depth, double seconds,
                               std::uint32_t most) const;

 private:
  explicit InstanceCost(Parts parts);
  double curve_s(double tokens) const;
  Parts parts_;
};

}  // namespace sluice
