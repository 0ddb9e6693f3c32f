// The attention of one decoded token as a ggml graph of its own: the op of each of SmolLM2's 30
// layers over its own KV, and nothing else. One thread; the caller chooses the kernel (measure.h).
#pragma once

#include <ggml-backend.h>
#include <ggml.h>

#include <memory>
#include <vector>

#include "bench/attention/measure.h"

namespace sluice::bench {

// All KV buffers together are far larger than the last cache: each op finds its own in memory, as
// it does behind the weights of a layer.
class OpAlone {
 public:
  // `flash`: one FLASH_ATTN_EXT a layer; else what llama.cpp builds without it (product, softmax,
  // product, with V transposed).
  OpAlone(int cells, bool flash, int threads);
  Turn run();  // ops a second

  static double kv_bytes(int cells);  // that one op reads

 private:
  struct Inputs;
  struct Layer {
    ggml_tensor* k;
    ggml_tensor* v;
  };
  ggml_tensor* attend(const Inputs& inputs, const Layer& layer) const;
  Layer new_layer() const;
  void fill_layer(const Layer& layer, std::size_t number) const;
  void fill_inputs(const Inputs& inputs) const;

  struct BackendDeleter {
    void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
  };
  struct BufferDeleter {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
  };
  struct ContextDeleter {
    void operator()(ggml_context* context) const { ggml_free(context); }
  };

  int cells_;
  bool flash_;
  std::unique_ptr<ggml_backend, BackendDeleter> backend_;
  std::unique_ptr<ggml_context, ContextDeleter> context_;
  std::unique_ptr<ggml_backend_buffer, BufferDeleter> buffer_;
  std::vector<ggml_cgraph*> graphs_;  // a token each
  ggml_tensor* output_ = nullptr;     // of the first op
};

}  // namespace sluice::bench
