#include "serve/served_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/ids.h"
#include "host/resources/model_choice.h"
#include "host/resources/weights.h"
#include "models/openai_client.h"

namespace sluice {
namespace {

constexpr std::string_view kDefault = "default";

bool may_be_id(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
  });
}

Result<std::unique_ptr<ModelInstance>> open_instance(const std::string& id,
                                                     const ModelLocation& location,
                                                     EngineOptions engine) {
  if (location.embedded) {
    engine.id = id;
    auto weights = weights_for(location.file, default_cache_dir(), {});
    if (!weights) return std::unexpected(weights.error());
    engine.file = std::move(*weights);
    engine.calibration_dir = calibration_folder(default_cache_dir());
    engine.calibrate = true;
    return open_engine(engine);
  }
  OpenAiOptions client{.id = id, .url = location.url, .model = location.name};
  if (const char* key = std::getenv("OPENAI_API_KEY")) client.key = key;
  return open_openai_client(client);
}

std::string id_of(const ModelLocation& location) {
  if (location.embedded) return location.file.stem().string();
  return location.name.empty() ? location.url : location.name;
}

}  // namespace

ModelArgument parse_model_argument(std::string_view text) {
  const std::size_t at = text.find('=');
  std::error_code ignored;
  if (at == std::string_view::npos || !may_be_id(text.substr(0, at)) ||
      std::filesystem::exists(std::filesystem::path(text), ignored)) {
    return {.location = std::string(text)};
  }
  return {.id = std::string(text.substr(0, at)), .location = std::string(text.substr(at + 1))};
}

Result<ServedModels> ServedModels::open(const std::vector<std::string>& arguments,
                                        const EngineOptions& options, std::int64_t now_s) {
  std::vector<ServedModel> models;
  for (const std::string& text : arguments) {
    const ModelArgument argument = parse_model_argument(text);
    ModelLocation location;
    if (argument.location.empty()) {  // what `sluice run` would take
      auto chosen = choose_default_model(model_preferences("", ""));
      if (!chosen) return std::unexpected(chosen.error());
      location = std::move(*chosen);
    } else {
      location = parse_model_location(argument.location, "");
    }
    const std::string id = argument.id.empty() ? id_of(location) : argument.id;
    for (const ServedModel& other : models) {
      if (other.id != id) continue;
      return fail(ErrorCode::kUsage,
                  fmt::format("two models have the id {}; name one: --model other={}", id,
                              argument.location));
    }
    auto instance = open_instance(id, location, options);
    if (!instance) return std::unexpected(instance.error());
    const std::string& hash = (*instance)->info().file_hash;
    models.push_back({.id = id,
                      .instance = std::move(*instance),
                      .file = location.embedded ? location.file : std::filesystem::path(),
                      .created_s = now_s,
                      .fingerprint = fmt::format("sluice-{}-{}", SLUICE_VERSION,
                                                 hash.empty() ? "remote" : hash.substr(0, 12))});
  }
  return ServedModels(std::move(models));
}

void ServedModels::close() {
  closed_ = true;
  for (ServedModel& model : models_) model.instance.reset();
}

ApiResult<const ServedModel*> ServedModels::find(std::string_view id) const {
  if (closed_) return std::unexpected(going_down());
  std::vector<std::string_view> ids;
  for (const ServedModel& model : models_) {
    if (model.id == id) return &model;
    ids.push_back(model.id);
  }
  if (id == kDefault && !models_.empty()) return &models_.front();
  const std::string close = closest_name(id, ids);
  return std::unexpected(
      ApiError{.status = 404,
               .message = fmt::format("there is no model `{}`; {}", id.substr(0, 200),
                                      close.empty() ? "GET /v1/models lists them"
                                                    : fmt::format("did you mean `{}`?", close)),
               .param = "model",
               .code = "model_not_found"});
}

}  // namespace sluice
