// What the attention op means, computed in double precision from the tensors' own bytes: the judge
// between our kernel and ggml's. As plain as it can be; any thread.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <vector>

namespace sluice::attention_test {

struct Exact {
  std::vector<double> values;  // as the op's output lies: [stream][query][head][element]
  // How far a computation in F32 may be off, per element (see rounding_bound in the .cpp).
  std::vector<double> rounding;
};

// The op's sources must hold their data. Cells that the mask closes are not read.
Exact exact_attention(const ggml_tensor* op);

// Row `row` of a tensor of any type, in F32.
void read_row(const ggml_tensor* tensor, std::int64_t i1, std::int64_t i2, std::int64_t i3,
              std::vector<float>& out);

// How far an output is from the exact one. Infinite when an element is no number.
struct Distance {
  double greatest = 0;
  double rms = 0;
};
Distance distance(const std::vector<float>& output, const Exact& exact);
Distance rounding_of(const Exact& exact);

}  // namespace sluice::attention_test
