#include "bench/attention/op_alone.h"

#include <ggml-cpu.h>

#include <cmath>
#include <cstdint>
#include <span>

#include "base/random.h"

namespace sluice::bench {
namespace {

constexpr std::int64_t kHeadSize = 64;
constexpr std::int64_t kHeads = 9;
constexpr std::int64_t kKvHeads = 3;
constexpr std::int64_t kRow = kHeadSize * kKvHeads;  // numbers that a cell has of K, and of V
constexpr std::size_t kLayers = 30;
constexpr double kAllKvBytes = 180e6;
constexpr int kRounds = 4;                 // over all graphs in a turn
constexpr std::int64_t kSpareCells = 256;  // a pool is larger than what is read of it
constexpr std::size_t kNodesALayer = 12;

// Numbers to fill K and V with: cheap, the same for both layouts.
class Numbers {
 public:
  Numbers() : numbers_(1 << 16) {
    Random random(7);
    for (ggml_fp16_t& number : numbers_) {
      number = ggml_fp32_to_fp16(static_cast<float>(random.unit() * 2 - 1));
    }
  }
  ggml_fp16_t at(std::size_t layer, std::int64_t cell, std::int64_t column) const {
    const auto index =
        layer * 7919 + static_cast<std::size_t>(cell) * 193 + static_cast<std::size_t>(column) * 31;
    return numbers_[index & (numbers_.size() - 1)];
  }

 private:
  std::vector<ggml_fp16_t> numbers_;
};

const Numbers& numbers() {
  static const Numbers all;
  return all;
}

}  // namespace

struct OpAlone::Inputs {
  ggml_tensor* q;
  ggml_tensor* mask;
};

double OpAlone::kv_bytes(int cells) { return 2.0 * kRow * sizeof(ggml_fp16_t) * cells; }

OpAlone::Layer OpAlone::new_layer() const {
  const std::int64_t pool = cells_ + kSpareCells;
  return {.k = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F16, kRow, pool),
          .v = flash_ ? ggml_new_tensor_2d(context_.get(), GGML_TYPE_F16, kRow, pool)
                      : ggml_new_tensor_2d(context_.get(), GGML_TYPE_F16, pool, kRow)};
}

ggml_tensor* OpAlone::attend(const Inputs& inputs, const Layer& layer) const {
  ggml_context* context = context_.get();
  const std::size_t row = layer.k->nb[1];
  const std::size_t head = kHeadSize * sizeof(ggml_fp16_t);
  const float scale = 1.0F / std::sqrt(static_cast<float>(kHeadSize));
  ggml_tensor* q = ggml_permute(context, inputs.q, 0, 2, 1, 3);
  ggml_tensor* k = ggml_view_3d(context, layer.k, kHeadSize, cells_, kKvHeads, row, head, 0);
  if (flash_) {
    ggml_tensor* v = ggml_view_3d(context, layer.v, kHeadSize, cells_, kKvHeads, row, head, 0);
    ggml_tensor* out = ggml_flash_attn_ext(context, q, k, v, inputs.mask, scale, 0, 0);
    ggml_prec_set_acc(out, GGML_PREC_F32);
    return out;
  }
  const std::size_t column = layer.v->nb[1];
  ggml_tensor* v =
      ggml_view_3d(context, layer.v, cells_, kHeadSize, kKvHeads, column, column * kHeadSize, 0);
  ggml_tensor* kq = ggml_mul_mat(context, k, q);
  ggml_prec_set_acc(kq, GGML_PREC_F32);
  ggml_tensor* weights = ggml_soft_max_ext(context, kq, inputs.mask, scale, 0);
  ggml_tensor* out = ggml_permute(context, ggml_mul_mat(context, v, weights), 0, 2, 1, 3);
  return ggml_cont_2d(context, out, kHeadSize * kHeads, 1);
}

void OpAlone::fill_layer(const Layer& layer, std::size_t number) const {
  const std::int64_t pool = cells_ + kSpareCells;
  auto* k = static_cast<ggml_fp16_t*>(layer.k->data);
  auto* v = static_cast<ggml_fp16_t*>(layer.v->data);
  for (std::int64_t cell = 0; cell < pool; ++cell) {
    for (std::int64_t column = 0; column < kRow; ++column) {
      *k++ = numbers().at(number, cell, column);
      if (flash_) *v++ = numbers().at(number + 1000, cell, column);
    }
  }
  if (flash_) return;
  for (std::int64_t column = 0; column < kRow; ++column) {
    for (std::int64_t cell = 0; cell < pool; ++cell) {
      *v++ = numbers().at(number + 1000, cell, column);
    }
  }
}

void OpAlone::fill_inputs(const Inputs& inputs) const {
  Random random(11);
  std::span<float> q(static_cast<float*>(inputs.q->data), kHeadSize * kHeads);
  for (float& number : q) number = static_cast<float>(random.unit() * 2 - 1);
  ggml_set_zero(inputs.mask);  // all cells open
}

OpAlone::OpAlone(int cells, bool flash, int threads)
    : cells_(cells), flash_(flash), backend_(ggml_backend_cpu_init()) {
  ggml_backend_cpu_set_n_threads(backend_.get(), threads);
  const auto tokens =
      static_cast<std::size_t>(std::ceil(kAllKvBytes / (kv_bytes(cells) * kLayers)));
  const std::size_t nodes = kLayers * kNodesALayer;
  context_.reset(ggml_init({.mem_size = tokens * (nodes * ggml_tensor_overhead() +
                                                  ggml_graph_overhead_custom(nodes, false)) +
                                        4 * ggml_tensor_overhead(),
                            .mem_buffer = nullptr,
                            .no_alloc = true}));
  const Inputs inputs{
      .q = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, kHeadSize, kHeads, 1),
      .mask = ggml_new_tensor_2d(context_.get(), flash ? GGML_TYPE_F16 : GGML_TYPE_F32, cells, 1)};
  std::vector<Layer> layers;
  for (std::size_t token = 0; token < tokens; ++token) {
    ggml_cgraph* graph = ggml_new_graph_custom(context_.get(), nodes, false);
    for (std::size_t i = 0; i < kLayers; ++i) {
      layers.push_back(new_layer());
      ggml_tensor* out = attend(inputs, layers.back());
      ggml_build_forward_expand(graph, out);
      if (output_ == nullptr) output_ = out;
    }
    graphs_.push_back(graph);
  }
  buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend_.get()));
  if (!buffer_) fail("no memory for the op alone");
  for (std::size_t i = 0; i < layers.size(); ++i) fill_layer(layers[i], i);
  fill_inputs(inputs);
}

Turn OpAlone::run() {
  const double start = seconds_now();
  for (int round = 0; round < kRounds; ++round) {
    for (ggml_cgraph* graph : graphs_) {
      if (ggml_backend_graph_compute(backend_.get(), graph) != GGML_STATUS_SUCCESS) {
        fail("a graph of one op failed");
      }
    }
  }
  const double seconds = seconds_now() - start;
  const auto* out = static_cast<const float*>(output_->data);
  return {.speed = static_cast<double>(kRounds * graphs_.size() * kLayers) / seconds,
          .output = std::vector<float>(out, out + kHeadSize * kHeads)};
}

}  // namespace sluice::bench
