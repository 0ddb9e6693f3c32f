// A llama.cpp context with a KV pool that is filled to a depth once and then timed at that depth.
// Tokens are random but the same for the same sequence and position, so that every side computes
// the same. One thread; the caller chooses the kernel (measure.h).
#pragma once

#include <llama.h>

#include <cstdint>
#include <vector>

#include "bench/attention/measure.h"
#include "engine/model_file.h"

namespace sluice::bench {

using Blob = std::vector<std::uint8_t>;  // the KV of one sequence, as llama.cpp saves it

struct PoolOptions {
  int sequences = 1;
  int tokens = 0;       // room for so many in all
  bool flash = true;    // flash attention on
  bool unified = true;  // one pool for all sequences; false: llama.cpp's split mode
  int threads = 1;
};

class Pool {
 public:
  Pool(llama_model* model, const PoolOptions& options);

  int depth() const { return depth_; }  // tokens that sequence 0 has
  void fill_to(int depth);              // sequence 0, by prefill
  void share(int sequences);            // sequences 1.. get all that sequence 0 has, the same cells
  void copy_to_all(const Blob& blob, int sequences, int depth);  // each its own cells, one by one
  // Cell by cell, as if the sequences had decoded side by side; `cells` one blob a position.
  void interleave(const std::vector<Blob>& cells, int sequences);
  Blob save();                     // sequence 0
  std::vector<Blob> save_cells();  // sequence 0, a blob a cell; needs a second sequence

  // `steps` steps of one token a sequence at this depth, with logits; then they are removed again.
  Turn decode(int sequences, int steps);
  // So many tokens of sequence 0 at this depth, then removed again; and that `times` times.
  Turn prefill(int tokens, int times);

 private:
  void decode_batch(std::size_t count);
  void add(std::size_t at, int sequence, int position, bool output);
  void remove_after(int sequence, int position);
  void restore(int sequence, const Blob& blob);
  Blob save_sequence(int sequence);

  ContextHandle context_;
  llama_memory_t memory_;
  std::uint64_t vocabulary_;
  int depth_ = 0;
  // A batch, in llama.cpp's form.
  std::vector<llama_token> tokens_;
  std::vector<llama_pos> positions_;
  std::vector<std::int32_t> counts_;
  std::vector<llama_seq_id> sequences_;
  std::vector<llama_seq_id*> sequence_pointers_;
  std::vector<std::int8_t> outputs_;
};

}  // namespace sluice::bench
