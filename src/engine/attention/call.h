// One call of the attention op in plain terms: shapes, addresses and strides (in bytes), nothing of
// ggml. A head's row of keys, values or queries is contiguous. All pointers are borrowed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// Q8_0: blocks of 32, an F16 scale before each.
enum class KvType : std::uint8_t {
  kF16,
  kQ8_0,  // NOLINT(readability-identifier-naming): ggml's name
};

// What the work map depends on beside the mask.
struct AttentionShape {
  std::uint32_t key_size = 0;    // of a head, in elements
  std::uint32_t value_size = 0;  // of a head
  std::uint32_t queries = 0;     // tokens of the batch, per stream
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;  // each serves heads / kv_heads query heads
  std::uint32_t cells = 0;     // of the KV pool that the op spans
  std::uint32_t streams = 0;   // parts of the batch with a pool of their own; 1 in a unified pool

  std::uint32_t group() const { return heads / kv_heads; }
  bool operator==(const AttentionShape&) const = default;
};

// Rows of F16 values that are added to the scores: -infinity closes a cell to a query.
struct AttentionMask {
  const std::byte* data = nullptr;  // null: every cell is open
  std::size_t query_stride = 0;
  std::size_t stream_stride = 0;
  std::uint32_t streams = 1;  // stream s reads mask stream s % streams

  const std::uint16_t* row(std::uint32_t stream, std::uint32_t query) const {
    return reinterpret_cast<const std::uint16_t*>(data + (stream % streams) * stream_stride +
                                                  query * query_stride);
  }
};

struct KvTensor {
  const std::byte* data = nullptr;
  KvType type = KvType::kF16;
  std::size_t cell_stride = 0;
  std::size_t head_stride = 0;
  std::size_t stream_stride = 0;
  std::uint32_t streams_each = 1;  // so many streams of the batch share one of these

  std::size_t row_bytes(std::uint32_t size) const {
    return type == KvType::kF16 ? size * 2 : size / 32 * 34;
  }
  const std::byte* head(std::uint32_t stream, std::uint32_t head) const {
    return data + stream / streams_each * stream_stride + head * head_stride;
  }
};

struct AttentionCall {
  AttentionShape shape;
  float scale = 1;
  float max_bias = 0;            // ALiBi; 0: none
  float soft_cap = 0;            // score = soft_cap * tanh(score / soft_cap); 0: none
  const std::byte* q = nullptr;  // F32
  std::size_t q_query_stride = 0, q_head_stride = 0, q_stream_stride = 0;
  KvTensor k, v;
  AttentionMask mask;
  const float* sinks = nullptr;  // one per head, a score without a value; null: none
  float* out = nullptr;          // [stream][query][head][value_size]

  const float* query(std::uint32_t stream, std::uint32_t query, std::uint32_t head) const {
    return reinterpret_cast<const float*>(q + stream * q_stream_stride + query * q_query_stride +
                                          head * q_head_stride);
  }
  float* output(std::uint32_t stream, std::uint32_t query, std::uint32_t head) const {
    std::size_t row =
        (static_cast<std::size_t>(stream) * shape.queries + query) * shape.heads + head;
    return out + row * shape.value_size;
  }
};

}  // namespace sluice
