// What the kernel keeps between ops: a mask is read once per batch and never goes stale, graphs on
// several threads do not meet, and a scope says whose kernel computes.
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>

#include "engine/attention/attention.h"
#include "tests/engine/attention/op_case.h"
#include "tests/engine/attention/reference.h"

namespace sluice::attention_test {
namespace {

constexpr std::int64_t kQueries = 6;
constexpr std::int64_t kCells = 200;

// Attention ops in one graph, all in memory of ggml's context.
class Graph {
 public:
  explicit Graph(int threads = 2) {
    install_attention();
    context_.reset(ggml_init({.mem_size = 64 << 20, .mem_buffer = nullptr, .no_alloc = false}));
    backend_.reset(ggml_backend_cpu_init());
    ggml_backend_cpu_set_n_threads(backend_.get(), threads);
    graph_ = ggml_new_graph(context_.get());
  }

  ggml_tensor* add_mask(std::uint64_t seed, ggml_type type = GGML_TYPE_F16) {
    ggml_tensor* mask = ggml_new_tensor_2d(context_.get(), type, kCells, kQueries);
    fill_mask(mask, seed);
    return mask;
  }
  static void fill_mask(ggml_tensor* mask, std::uint64_t seed) {
    Random random(seed);
    MaskPlan plan{.kind = MaskKind::kPrefix, .sequences = 3};
    std::vector<float> values = make_mask(plan, kQueries, kCells, random);
    if (mask->type == GGML_TYPE_F32) {
      std::memcpy(mask->data, values.data(), values.size() * sizeof(float));
    } else {
      ggml_fp32_to_fp16_row(values.data(), static_cast<ggml_fp16_t*>(mask->data),
                            static_cast<std::int64_t>(values.size()));
    }
  }

  ggml_tensor* add_layer(ggml_tensor* mask, std::int64_t size = 64, std::int64_t group = 3) {
    constexpr std::int64_t kKvHeads = 2;
    ggml_tensor* op = ggml_flash_attn_ext(
        context_.get(), add_floats(size, kQueries, kKvHeads * group),
        add_halves(size, kCells, kKvHeads), add_halves(size, kCells, kKvHeads), mask, 0.125F, 0, 0);
    ggml_build_forward_expand(graph_, op);
    layers_.push_back(op);
    return op;
  }

  void compute() {
    for (ggml_tensor* op : layers_) std::memset(op->data, 0xFF, ggml_nbytes(op));
    ASSERT_EQ(ggml_backend_graph_compute(backend_.get(), graph_), GGML_STATUS_SUCCESS);
  }
  static void expect_exact(const ggml_tensor* op) {
    const auto* data = static_cast<const float*>(op->data);
    const Exact exact = exact_attention(op);
    const Distance off = distance({data, data + ggml_nelements(op)}, exact);
    EXPECT_LE(off.greatest, rounding_of(exact).greatest);
  }
  void expect_all_exact() {
    for (const ggml_tensor* op : layers_) expect_exact(op);
  }

  std::vector<float> outputs() const {
    std::vector<float> out;
    for (const ggml_tensor* op : layers_) {
      const auto* data = static_cast<const float*>(op->data);
      out.insert(out.end(), data, data + ggml_nelements(op));
    }
    return out;
  }

  ggml_context* context() { return context_.get(); }
  ggml_backend* backend() { return backend_.get(); }
  ggml_cgraph* graph() { return graph_; }

 private:
  struct Free {
    void operator()(ggml_context* context) const { ggml_free(context); }
    void operator()(ggml_backend* backend) const { ggml_backend_free(backend); }
  };

  ggml_tensor* add_floats(std::int64_t size, std::int64_t rows, std::int64_t heads) {
    ggml_tensor* out = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, size, rows, heads);
    for (std::int64_t i = 0; i < ggml_nelements(out); ++i) {
      static_cast<float*>(out->data)[i] = static_cast<float>(some_normal(random_));
    }
    return out;
  }
  ggml_tensor* add_halves(std::int64_t size, std::int64_t rows, std::int64_t heads) {
    ggml_tensor* out = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F16, size, rows, heads);
    for (std::int64_t i = 0; i < ggml_nelements(out); ++i) {
      static_cast<ggml_fp16_t*>(out->data)[i] =
          ggml_fp32_to_fp16(static_cast<float>(some_normal(random_)));
    }
    return out;
  }

  std::unique_ptr<ggml_context, Free> context_;
  std::unique_ptr<ggml_backend, Free> backend_;
  ggml_cgraph* graph_ = nullptr;
  std::vector<ggml_tensor*> layers_;
  Random random_{7};
};

TEST(AttentionState, LayersReadTheirMaskOnce) {
  Graph graph;
  ggml_tensor* mask = graph.add_mask(1);
  for (int i = 0; i < 5; ++i) graph.add_layer(mask);
  for (std::uint64_t run = 0; run < 3; ++run) {
    Graph::fill_mask(mask, run);
    const AttentionStats before = attention_stats();
    graph.compute();
    EXPECT_EQ(attention_stats().ops, before.ops + 5);
    EXPECT_EQ(attention_stats().work_maps, before.work_maps + 1);
    graph.expect_all_exact();
  }
}

TEST(AttentionState, LayersWithOtherMasksAndShapesDoNotMix) {
  Graph graph;
  ggml_tensor* full = graph.add_mask(1);
  ggml_tensor* window = graph.add_mask(2);
  for (int i = 0; i < 2; ++i) {
    graph.add_layer(full);
    graph.add_layer(window);
    graph.add_layer(full, 128, 1);
    graph.add_layer(nullptr);
  }
  for (int run = 0; run < 2; ++run) {
    const AttentionStats before = attention_stats();
    graph.compute();
    EXPECT_EQ(attention_stats().ops, before.ops + 8);
    EXPECT_LE(attention_stats().work_maps, before.work_maps + 5);
    graph.expect_all_exact();
  }
}

// A mask that the graph makes itself, in memory that the next one takes again.
TEST(AttentionState, AMaskThatTheGraphComputesIsReadWhenItIsThere) {
  Graph graph;
  ggml_tensor* first = ggml_cast(graph.context(), graph.add_mask(1, GGML_TYPE_F32), GGML_TYPE_F16);
  ggml_tensor* op = graph.add_layer(first);
  ggml_tensor* second = ggml_cast(graph.context(), graph.add_mask(2, GGML_TYPE_F32), GGML_TYPE_F16);
  second->data = first->data;
  ggml_tensor* last = graph.add_layer(second);
  graph.compute();
  Graph::expect_exact(last);
  // The first one's mask is overwritten: its output must be that of its own mask all the same.
  std::vector<float> output(static_cast<const float*>(op->data),
                            static_cast<const float*>(op->data) + ggml_nelements(op));
  Graph::fill_mask(first->src[0], 1);
  std::vector<ggml_fp16_t> mask(kQueries * kCells);
  ggml_fp32_to_fp16_row(static_cast<const float*>(first->src[0]->data), mask.data(),
                        kQueries * kCells);
  std::memcpy(first->data, mask.data(), mask.size() * sizeof(ggml_fp16_t));
  const Exact exact = exact_attention(op);
  EXPECT_LE(distance(output, exact).greatest, rounding_of(exact).greatest);
}

TEST(AttentionState, AGraphPlannedOnceMayRunWithAnotherMask) {
  Graph graph;
  ggml_tensor* mask = graph.add_mask(1);
  graph.add_layer(mask);
  graph.add_layer(mask);
  ggml_backend_graph_plan_t plan = ggml_backend_graph_plan_create(graph.backend(), graph.graph());
  ASSERT_NE(plan, nullptr);
  for (std::uint64_t run = 1; run <= 3; ++run) {
    Graph::fill_mask(mask, run);
    ASSERT_EQ(ggml_backend_graph_plan_compute(graph.backend(), plan), GGML_STATUS_SUCCESS);
    graph.expect_all_exact();
  }
  ggml_backend_graph_plan_free(graph.backend(), plan);
}

TEST(AttentionState, TheNumberOfThreadsMayChange) {
  Graph graph;
  ggml_tensor* mask = graph.add_mask(1);
  graph.add_layer(mask);
  graph.add_layer(mask);
  for (int threads : {1, 4, 2, 7, 1}) {
    ggml_backend_cpu_set_n_threads(graph.backend(), threads);
    graph.compute();
    graph.expect_all_exact();
  }
}

// Layers follow each other without a pause: a thread that lags must not meet the next one's work.
TEST(AttentionState, ManyLayersOnManyThreadsGiveTheSameBitsEveryTime) {
  Graph graph(5);
  ggml_tensor* mask = graph.add_mask(1);
  for (int i = 0; i < 12; ++i) graph.add_layer(mask);
  graph.compute();
  graph.expect_all_exact();
  const std::vector<float> expected = graph.outputs();
  for (int run = 0; run < 20; ++run) {
    graph.compute();
    ASSERT_EQ(graph.outputs(), expected) << run;
  }
}

TEST(AttentionState, ReferenceModeIsLeftToGgml) {
  Graph graph;
  graph.add_layer(graph.add_mask(1));
  ggml_backend_cpu_set_use_ref(graph.backend(), true);
  const AttentionStats before = attention_stats();
  graph.compute();
  EXPECT_EQ(attention_stats().ops, before.ops);
}

TEST(AttentionState, AScopeSaysWhoseKernelComputes) {
  Graph graph;
  graph.add_layer(graph.add_mask(1));
  auto ours = [&] {
    const AttentionStats before = attention_stats();
    graph.compute();
    return attention_stats().ops - before.ops;
  };
  EXPECT_EQ(ours(), 1U);
  {
    AttentionScope off(false);
    EXPECT_EQ(ours(), 0U);
    {
      AttentionScope on(true);
      EXPECT_EQ(ours(), 1U);
    }
    EXPECT_EQ(ours(), 0U);
    std::thread([&] { EXPECT_EQ(ours(), 1U) << "a scope is of one thread"; }).join();
  }
  EXPECT_EQ(ours(), 1U);
}

OpCase small_case(std::uint64_t seed) {
  OpCase out{.seed = seed, .kv_heads = 2, .group = 3, .queries = 9, .cells = 300};
  out.scale = 0.125F;
  out.mask = {.kind = MaskKind::kInterleaved, .sequences = 4};
  out.threads = 2;
  return out;
}

TEST(AttentionState, GraphsOnSeveralThreadsDoNotMeet) {
  install_attention();
  std::vector<std::jthread> threads;
  for (std::uint64_t i = 0; i < 3; ++i) {
    threads.emplace_back([i] {
      const bool ours = i != 1;
      OpRun run(small_case(i));
      std::vector<std::vector<float>> expected;
      for (int round = 0; round < 30; ++round) {
        run.draw_mask(round % 3);
        std::vector<float> output = run.compute(ours);
        if (round < 3) {
          const Exact exact = exact_attention(run.op());
          EXPECT_LE(distance(output, exact).rms, (ours ? 1 : 3000) * rounding_of(exact).rms);
          expected.push_back(output);
        }
        EXPECT_EQ(output, expected[static_cast<std::size_t>(round) % 3]) << i;
      }
    });
  }
}

}  // namespace
}  // namespace sluice::attention_test
