#include "tests/engine/tiny_model.h"

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "base/random.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kWidth = 64;
constexpr std::uint32_t kInner = 96;
constexpr std::uint32_t kHeads = 4;
constexpr std::uint32_t kKvHeads = 2;
constexpr std::uint32_t kLayers = 2;

struct Weights {
  ggml_context* context;
  gguf_context* file;
  Random random{7};

  // `size` 0: all ones, as in a norm.
  void add(const std::string& name, std::int64_t columns, std::int64_t rows, double size) {
    ggml_tensor* tensor = rows > 1 ? ggml_new_tensor_2d(context, GGML_TYPE_F32, columns, rows)
                                   : ggml_new_tensor_1d(context, GGML_TYPE_F32, columns);
    ggml_set_name(tensor, name.c_str());
    auto* numbers = static_cast<float*>(tensor->data);
    for (std::int64_t i = 0; i < columns * rows; ++i) {
      numbers[i] = size == 0 ? 1.0F : static_cast<float>((random.unit() - 0.5) * size);
    }
    gguf_add_tensor(file, tensor);
  }
};

void add_weights(Weights& weights, std::int64_t vocabulary) {
  const double size = 4.0 / std::sqrt(static_cast<double>(kWidth));
  const std::int64_t head = kWidth / kHeads;
  weights.add("token_embd.weight", kWidth, vocabulary, size);
  weights.add("output_norm.weight", kWidth, 1, 0);
  for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
    const std::string block = fmt::format("blk.{}.", layer);
    weights.add(block + "attn_norm.weight", kWidth, 1, 0);
    weights.add(block + "attn_q.weight", kWidth, kWidth, size);
    weights.add(block + "attn_k.weight", kWidth, kKvHeads * head, size);
    weights.add(block + "attn_v.weight", kWidth, kKvHeads * head, size);
    weights.add(block + "attn_output.weight", kWidth, kWidth, size);
    weights.add(block + "ffn_norm.weight", kWidth, 1, 0);
    weights.add(block + "ffn_gate.weight", kWidth, kInner, size);
    weights.add(block + "ffn_up.weight", kWidth, kInner, size);
    weights.add(block + "ffn_down.weight", kInner, kWidth, size);
  }
}

struct TinyModelFile {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("sluice-tiny-model-{}.gguf", ::getpid());

  TinyModelFile() {
    const char* source = std::getenv("SLUICE_TEST_MODEL");
    std::unique_ptr<gguf_context, decltype(&gguf_free)> given(
        source ? gguf_init_from_file(source, {.no_alloc = true, .ctx = nullptr}) : nullptr,
        gguf_free);
    if (!given) throw std::runtime_error("SLUICE_TEST_MODEL names no model; run through ctest");
    std::unique_ptr<gguf_context, decltype(&gguf_free)> file(gguf_init_empty(), gguf_free);
    gguf_set_kv(file.get(), given.get());
    gguf_remove_key(file.get(), "general.file_type");
    gguf_set_val_u32(file.get(), "llama.block_count", kLayers);
    gguf_set_val_u32(file.get(), "llama.embedding_length", kWidth);
    gguf_set_val_u32(file.get(), "llama.feed_forward_length", kInner);
    gguf_set_val_u32(file.get(), "llama.attention.head_count", kHeads);
    gguf_set_val_u32(file.get(), "llama.attention.head_count_kv", kKvHeads);
    gguf_set_val_u32(file.get(), "llama.rope.dimension_count", kWidth / kHeads);
    auto tokens = static_cast<std::int64_t>(
        gguf_get_arr_n(file.get(), gguf_find_key(file.get(), "tokenizer.ggml.tokens")));
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({.mem_size = std::size_t{32} << 20, .mem_buffer = nullptr, .no_alloc = false}),
        ggml_free);
    Weights weights{.context = context.get(), .file = file.get()};
    add_weights(weights, tokens);
    if (!gguf_write_to_file(file.get(), path.c_str(), false)) {
      throw std::runtime_error("cannot write " + path.string());
    }
  }
  ~TinyModelFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

}  // namespace

const std::filesystem::path& tiny_model_file() {
  static const TinyModelFile file;
  return file.path;
}

}  // namespace sluice::test
