// One case of the attention op, all of it drawn from one number, and the tensors to compute it
// with: each ends at, or begins behind, a page that nobody may touch.
#pragma once

#include <ggml-backend.h>
#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/engine/attention/masks.h"

namespace sluice::attention_test {

// How the rows of the keys and values lie.
enum class KvLayout : std::uint8_t {
  kPool,          // as in llama.cpp's cache: the heads of a cell side by side
  kPoolWithGaps,  // and something else behind them; a stream's pool is longer than the op spans
  kHeads,         // the cells of a head side by side
  kValuesInKeys,  // a value is the beginning of its key
};

struct OpCase {
  std::uint64_t seed = 0;
  std::uint32_t key_size = 64, value_size = 64;
  std::uint32_t kv_heads = 1, group = 1;
  std::uint32_t queries = 1, cells = 1, streams = 1;
  ggml_type key_type = GGML_TYPE_F16, value_type = GGML_TYPE_F16;
  KvLayout layout = KvLayout::kPool;
  bool queries_of_a_head_together = false;  // else the heads of a query, as llama.cpp has it
  MaskPlan mask;
  bool mask_for_all_streams = false;
  bool mask_per_head = false;
  std::uint32_t mask_padding = 0;  // rows behind the queries and columns behind the cells
  float scale = 1, soft_cap = 0, max_bias = 0;
  bool sinks = false;
  double outliers = 0;      // share of the elements of a head that are 20 times as large
  double value_offset = 0;  // what all values have in common
  std::uint32_t threads = 1;
  bool guard_behind = true;  // where the page lies that nobody may touch; else before

  std::uint32_t heads() const { return kv_heads * group; }
};

OpCase some_case(std::uint64_t seed);
std::string describe(const OpCase& op_case);

// Must our kernel compute this case (true) or leave it to ggml (false)?
bool is_ours(const OpCase& op_case);

// Pages of its own, with one at each end that may not be touched.
class GuardedMemory {
 public:
  GuardedMemory(std::size_t bytes, bool guard_behind);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* data() const { return data_; }
  std::byte* pages() const { return pages_; }
  std::size_t page_bytes() const { return page_bytes_; }

 private:
  std::byte* pages_ = nullptr;  // between the two that may not be touched
  std::size_t page_bytes_ = 0;
  std::byte* data_ = nullptr;
};

// The tensors of a case. A process that dies of a touched page says which case it was.
class OpRun {
 public:
  explicit OpRun(const OpCase& op_case);
  ~OpRun();
  OpRun(const OpRun&) = delete;
  OpRun& operator=(const OpRun&) = delete;

  const ggml_tensor* op() const { return op_; }
  std::vector<float> compute(bool ours);  // from the tensors as they are now
  // Puts NaN and infinities into the cells that are closed to all queries; false: there is none.
  bool spoil_closed_cells(std::uint64_t seed);
  void draw_mask(std::uint64_t seed);  // another one of the same plan

 private:
  struct Free {
    void operator()(ggml_context* context) const { ggml_free(context); }
    void operator()(ggml_backend_buffer* buffer) const { ggml_backend_buffer_free(buffer); }
    void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  };

  void place(ggml_tensor* tensor);
  ggml_tensor* new_kv(ggml_type type, std::uint32_t size);
  ggml_tensor* new_queries();
  void fill_queries(Random& random);
  void fill_kv(ggml_tensor* tensor, double offset, Random& random);
  std::vector<bool> open_cells() const;  // [stream][cell]

  OpCase case_;
  std::unique_ptr<ggml_context, Free> context_;
  std::unique_ptr<ggml_backend, Free> backend_;
  std::vector<std::unique_ptr<GuardedMemory>> memory_;
  std::vector<std::unique_ptr<ggml_backend_buffer, Free>> buffers_;
  ggml_tensor *q_ = nullptr, *k_ = nullptr, *v_ = nullptr, *mask_ = nullptr, *sinks_ = nullptr;
  ggml_tensor* op_ = nullptr;
  ggml_cgraph* graph_ = nullptr;
};

}  // namespace sluice::attention_test
