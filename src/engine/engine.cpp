#include "engine/engine.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <future>
#include <thread>

#include "base/log.h"
#include "data/value.h"
#include "engine/calibrate.h"
#include "engine/engine_instance.h"

namespace sluice {
namespace {

constexpr std::uint32_t kMostContext = 8192;     // unless asked for
constexpr std::uint32_t kCellsPerRequest = 768;  // what a request needs on average, by default
constexpr std::uint32_t kCellNote = 12;  // bytes that a saved cell takes beside its keys and values
constexpr double kFirstUseS = 5;         // for measuring, where nothing is measured yet
constexpr std::uint64_t kPoolBytes = std::uint64_t{1} << 30;  // of the pool chosen by default

std::uint64_t meta_number(const llama_model* model, const std::string& key) {
  std::array<char, 64> text{};
  if (llama_model_meta_val_str(model, key.c_str(), text.data(), text.size()) < 0) return 0;
  return std::strtoull(text.data(), nullptr, 10);
}

std::string meta_text(const llama_model* model, const char* key) {
  std::array<char, 256> text{};
  if (llama_model_meta_val_str(model, key, text.data(), text.size()) < 0) return {};
  return text.data();
}

// Bytes of keys and values of one token in all layers, as 16-bit numbers.
std::uint64_t cell_bytes(const llama_model* model) {
  std::string arch = meta_text(model, "general.architecture");
  auto heads = static_cast<std::uint64_t>(std::max(1, llama_model_n_head(model)));
  auto width = static_cast<std::uint64_t>(llama_model_n_embd(model)) / heads;
  std::uint64_t key = meta_number(model, arch + ".attention.key_length");
  std::uint64_t value = meta_number(model, arch + ".attention.value_length");
  auto layers = static_cast<std::uint64_t>(llama_model_n_layer(model));
  auto kv_heads = static_cast<std::uint64_t>(std::max(1, llama_model_n_head_kv(model)));
  return layers * kv_heads * ((key ? key : width) + (value ? value : width)) * 2;
}

// Whether a part of a sequence can be copied and cut: not in a recurrent state, and not where cells
// outside of a sliding window may have been given to others.
bool can_share(const llama_model* model) {
  return !llama_model_is_recurrent(model) && !llama_model_is_hybrid(model) &&
         llama_model_n_swa(model) == 0;
}

void choose_sizes(EngineOptions& options, const llama_model* model) {
  auto trained = static_cast<std::uint32_t>(std::max(256, llama_model_n_ctx_train(model)));
  options.threads =
      options.threads ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  options.max_running = std::clamp(options.max_running, 1U, 200U);
  options.batch_tokens = std::clamp(options.batch_tokens, 32U, 8192U);
  if (options.context_tokens == 0) options.context_tokens = std::min(trained, kMostContext);
  options.context_tokens = std::max(options.context_tokens, 16U);
  if (options.pool_tokens == 0) {
    std::uint64_t fits = kPoolBytes / std::max<std::uint64_t>(1, cell_bytes(model));
    std::uint64_t wish = std::uint64_t{options.max_running} * kCellsPerRequest;
    options.pool_tokens = static_cast<std::uint32_t>(std::min(wish, fits));
  }
  options.pool_tokens = std::max(options.pool_tokens, options.context_tokens);
  options.batch_tokens = std::max(options.batch_tokens, options.max_running);
  if (!options.clock) options.clock = &system_clock();
}

// What a cell takes in host memory is known without measuring.
void set_cell_bytes(EngineOptions& options, const llama_model* model) {
  InstanceCost::Parts cost = options.cost.value_or(InstanceCost::defaults()).parts();
  if (!cost.measured_on.empty()) return;
  cost.cell_bytes = static_cast<std::uint32_t>(cell_bytes(model)) + kCellNote;
  if (auto made = InstanceCost::make(std::move(cost))) options.cost = std::move(*made);
}

ModelInfo describe_model(const EngineOptions& options, const llama_model* model,
                         bool has_template) {
  std::string name = meta_text(model, "general.name");
  if (name.empty() || !valid_utf8(name)) name = options.file.stem().string();
  if (!valid_utf8(name)) name = "a model";
  std::array<char, 128> kind{};
  llama_model_desc(model, kind.data(), kind.size());
  ModelInfo info;
  info.id = options.id;
  info.description = fmt::format("{} ({}), {} tokens", name, kind.data(), options.context_tokens);
  info.context_tokens = options.context_tokens;
  info.embedded = true;
  info.has_chat_template = has_template;
  info.can_embed = true;
  return info;
}

// What a batch costs: said, kept from an earlier measurement, or measured now. A measurement that
// fails leaves the defaults.
void choose_cost(EngineOptions& options, llama_model* model, std::string_view file_hash) {
  if (options.cost || options.calibration_dir.empty()) return;
  CalibrationOptions how{
      .threads = options.threads, .own_attention = options.own_attention, .most_s = kFirstUseS};
  const auto file = calibration_file(options.calibration_dir, file_hash, how);
  options.cost = read_calibration(file);
  if (options.cost || !options.calibrate) return;
  auto measured = measure_cost(model, how);
  if (!measured) {
    log(LogLevel::kWarning,
        fmt::format("the engine's speed could not be measured: {}", measured.error().message()));
    return;
  }
  options.cost = *measured;
  if (auto kept = write_calibration(file, *measured); !kept) {
    log(LogLevel::kWarning, kept.error().message());
  }
}

}  // namespace

Result<std::unique_ptr<ModelInstance>> open_engine(const EngineOptions& options) {
  if (auto checked = check_gguf(options.file); !checked) return std::unexpected(checked.error());
  auto hash = std::async(std::launch::async, hash_file, options.file);
  auto model = load_model(options.file);
  if (!model) return std::unexpected(model.error());
  EngineInstance::Parts parts;
  parts.options = options;
  choose_sizes(parts.options, model->get());
  parts.vocabulary = std::make_unique<Vocabulary>(model->get());
  if (const char* source = llama_model_chat_template(model->get(), nullptr)) {
    auto parsed =
        ChatTemplate::parse(source, parts.vocabulary->begin_text(), parts.vocabulary->end_text());
    if (!parsed) return std::unexpected(parsed.error());
    parts.chat_template = std::move(*parsed);
  }
  parts.info = describe_model(parts.options, model->get(), parts.chat_template.has_value());
  parts.can_share = can_share(model->get());
  parts.model = std::move(*model);
  auto digest = hash.get();
  if (!digest) return std::unexpected(digest.error());
  parts.info.file_hash = *digest;
  choose_cost(parts.options, parts.model.get(), parts.info.file_hash);
  set_cell_bytes(parts.options, parts.model.get());
  auto engine = std::make_unique<EngineInstance>(std::move(parts));
  if (auto started = engine->start(); !started) return std::unexpected(started.error());
  return engine;
}

std::optional<EngineStats> engine_stats(const ModelInstance& instance) {
  const auto* engine = dynamic_cast<const EngineInstance*>(&instance);
  if (!engine) return std::nullopt;
  return engine->stats();
}

std::optional<EnginePace> engine_pace(const ModelInstance& instance) {
  const auto* engine = dynamic_cast<const EngineInstance*>(&instance);
  if (!engine) return std::nullopt;
  const EngineOptions& options = engine->options();
  const InstanceCost cost = options.cost.value_or(InstanceCost::defaults());
  return EnginePace{cost, !cost.parts().measured_on.empty(), options.max_running};
}

}  // namespace sluice
