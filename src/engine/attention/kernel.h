// The arithmetic of the attention op: runs pieces of a work map, then joins what was split. For
// every vector instruction set that Highway knows; the machine's best is chosen when it runs.
//
// Softmax is taken block by block with a running maximum (Milakov and Gimelshein 2018; the order of
// the loops is that of FlashAttention-2). All sums are F32. Memory that a thread needs for itself
// is kept between calls.
#pragma once

#include <cstdint>
#include <span>

#include "engine/attention/work_map.h"

namespace sluice {

// Floats in a vector of the instruction set in use; 0: too old to be worth it.
std::uint32_t attention_lanes();

// Its name: "AVX3_ZEN4".
const char* attention_target_name();

// Computes one piece: writes to the call's output, or to `states` where the piece is a part.
// Pieces of one map may run side by side. states: map.state_floats, aligned to 64 bytes.
void run_piece(const AttentionCall& call, const WorkMap& map, const Piece& piece, float* states);

// Puts the parts of some rows together, once all pieces are done: share `share` of `shares`.
void run_joins(const AttentionCall& call, const WorkMap& map, const float* states,
               std::uint32_t share, std::uint32_t shares);

}  // namespace sluice
