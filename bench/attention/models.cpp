#include "bench/attention/models.h"

#include <fmt/format.h>
#include <ggml-backend.h>
#include <gguf.h>
#include <llama.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "bench/attention/measure.h"

namespace sluice::bench {
namespace {

constexpr std::uint32_t kLayers = 6;
constexpr std::uint32_t kWidth = 1024;
constexpr std::uint32_t kHeads = 8;
constexpr std::uint32_t kKvHeads = 2;
constexpr std::uint32_t kHeadSize = 128;
constexpr std::uint32_t kInner = 3072;
constexpr std::uint32_t kVocabulary = 8192;

struct GgufDeleter {
  void operator()(gguf_context* file) const { gguf_free(file); }
};
using GgufHandle = std::unique_ptr<gguf_context, GgufDeleter>;

struct GgmlDeleter {
  void operator()(ggml_context* context) const { ggml_free(context); }
};

bool is_q8_0(const std::string& file) {
  const GgufHandle head(gguf_init_from_file(file.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (!head) fail(fmt::format("{} is not a GGUF model file", file));
  const auto key = gguf_find_key(head.get(), "general.file_type");
  return key >= 0 && gguf_get_val_u32(head.get(), key) == LLAMA_FTYPE_MOSTLY_Q8_0;
}

void quantize(const std::string& from, const std::string& to) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // it tells of each tensor
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = LLAMA_FTYPE_MOSTLY_Q8_0;
  params.allow_requantize = true;
  if (llama_model_quantize(from.c_str(), to.c_str(), &params) != 0) {
    std::filesystem::remove(to);
    fail(fmt::format("{} cannot be written with Q8_0 weights", from));
  }
}

GgufHandle describe_random_model() {
  GgufHandle file(gguf_init_empty());
  auto number = [&](const char* key, std::uint32_t value) {
    gguf_set_val_u32(file.get(), (std::string("qwen3.") + key).c_str(), value);
  };
  gguf_set_val_str(file.get(), "general.architecture", "qwen3");
  gguf_set_val_str(file.get(), "tokenizer.ggml.model", "none");
  number("vocab_size", kVocabulary);
  number("context_length", 8192);
  number("embedding_length", kWidth);
  number("block_count", kLayers);
  number("feed_forward_length", kInner);
  number("attention.head_count", kHeads);
  number("attention.head_count_kv", kKvHeads);
  number("attention.key_length", kHeadSize);
  number("attention.value_length", kHeadSize);
  gguf_set_val_f32(file.get(), "qwen3.attention.layer_norm_rms_epsilon", 1e-5F);
  return file;
}

// llama.cpp takes the types of the weights from here, and F32 for what is not here.
void declare_q8_0(gguf_context* file) {
  constexpr std::size_t kTensors = 2 + 7 * kLayers;
  const std::unique_ptr<ggml_context, GgmlDeleter> context(ggml_init(
      {.mem_size = kTensors * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}));
  auto declare = [&](const std::string& name, std::int64_t columns, std::int64_t rows) {
    ggml_tensor* tensor = ggml_new_tensor_2d(context.get(), GGML_TYPE_Q8_0, columns, rows);
    ggml_set_name(tensor, name.c_str());
    gguf_add_tensor(file, tensor);
  };
  declare("token_embd.weight", kWidth, kVocabulary);
  declare("output.weight", kWidth, kVocabulary);
  for (std::uint32_t layer = 0; layer < kLayers; ++layer) {
    const std::string block = fmt::format("blk.{}.", layer);
    declare(block + "attn_q.weight", kWidth, std::int64_t{kHeads} * kHeadSize);
    declare(block + "attn_k.weight", kWidth, std::int64_t{kKvHeads} * kHeadSize);
    declare(block + "attn_v.weight", kWidth, std::int64_t{kKvHeads} * kHeadSize);
    declare(block + "attn_output.weight", std::int64_t{kHeads} * kHeadSize, kWidth);
    declare(block + "ffn_gate.weight", kWidth, kInner);
    declare(block + "ffn_up.weight", kWidth, kInner);
    declare(block + "ffn_down.weight", kInner, kWidth);
  }
}

// Norms of one, no biases, and weights that keep the size of what goes through them.
void fill_tensor(ggml_tensor* tensor, void* random) {
  const std::string_view name = ggml_get_name(tensor);
  const bool norm = name.ends_with("norm.weight");
  const bool bias = name.ends_with(".bias");
  auto& chance = *static_cast<Random*>(random);
  std::vector<float> numbers(static_cast<std::size_t>(ggml_nelements(tensor)), norm ? 1.0F : 0.0F);
  if (!norm && !bias) {
    for (float& number : numbers) number = static_cast<float>(chance.unit() - 0.5) * 0.1F;
  }
  std::vector<std::uint8_t> bytes(ggml_nbytes(tensor));
  if (tensor->type == GGML_TYPE_F32) {
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
  } else {
    ggml_quantize_chunk(tensor->type, numbers.data(), bytes.data(), 0, ggml_nrows(tensor),
                        tensor->ne[0], nullptr);
  }
  ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
}

}  // namespace

std::string q8_0_file(const std::string& file) {
  if (is_q8_0(file)) return file;
  const std::filesystem::path given = file;
  const std::filesystem::path folder = given.parent_path() / "bench";
  std::string name = given.filename().string();
  if (const auto at = name.rfind(".Q4_1."); at != std::string::npos) {
    name.replace(at, 6, ".Q8_0.");
  } else {
    name += ".Q8_0.gguf";
  }
  const std::string wanted = (folder / name).string();
  if (!std::filesystem::exists(wanted)) {
    std::filesystem::create_directories(folder);
    progress(fmt::format("writing {} (once; Q8_0 weights made from {})", wanted, file));
    const std::string unfinished = fmt::format("{}.{}", wanted, getpid());
    quantize(file, unfinished);
    std::filesystem::rename(unfinished, wanted);
  }
  return wanted;
}

ModelHandle random_model() {
  const GgufHandle file = describe_random_model();
  declare_q8_0(file.get());
  Random random(1);
  ModelHandle model(
      llama_model_init_from_user(file.get(), fill_tensor, &random, llama_model_default_params()));
  if (!model) fail(fmt::format("the random model cannot be made: {}", take_llama_complaint()));
  return model;
}

}  // namespace sluice::bench
