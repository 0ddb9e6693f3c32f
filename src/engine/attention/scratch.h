// Memory of one thread for one piece; grows and is kept. Only its thread uses it.
#pragma once

#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace sluice {

// Floats at an address that is a multiple of 64; growing loses what it held.
class AlignedFloats {
 public:
  float* at_least(std::size_t size) {
    if (size > size_) {
      memory_ = hwy::AllocateAligned<float>(size);
      size_ = memory_ ? size : 0;
      if (!memory_) throw std::bad_alloc();
    }
    return memory_.get();
  }

 private:
  hwy::AlignedFreeUniquePtr<float[]> memory_;
  std::size_t size_ = 0;
};

struct Scratch {
  AlignedFloats queries;                    // by row
  AlignedFloats row_state;                  // of a whole piece
  AlignedFloats sums, weights, cell_bias;   // of a list
  AlignedFloats query_panels, panel_state;  // by panel
  AlignedFloats keys, values, scores, bias, slopes;

  static Scratch& of_thread();
};

}  // namespace sluice
