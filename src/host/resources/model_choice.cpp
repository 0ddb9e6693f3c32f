#include "host/resources/model_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "host/files/read_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHowToGetOne =
    "fetch the default one with `make demo`, or name yours with --model FILE.gguf or --model "
    "http://HOST:PORT/v1";

std::vector<fs::path> cached_models(const fs::path& cache_dir) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (fs::directory_iterator at(cache_dir / "models", ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    if (at->path().extension() == ".gguf") files.push_back(at->path());
  }
  std::ranges::sort(files);
  return files;
}

Result<ModelLocation> checked(ModelLocation location) {
  if (location.embedded) {
    if (auto file = check_model_file(location.file); !file) return std::unexpected(file.error());
  }
  return location;
}

}  // namespace

fs::path default_cache_dir() {
  if (const char* given = std::getenv("SLUICE_CACHE"); given != nullptr && *given != '\0') {
    return given;
  }
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "." : home) / ".cache" / "sluice";
}

Result<bool> own_attention() {
  const char* given = std::getenv("SLUICE_ATTENTION");
  const std::string_view choice = given == nullptr || *given == '\0' ? "own" : given;
  if (choice == "own" || choice == "ggml") return choice == "own";
  return fail(ErrorCode::kUsage, fmt::format("SLUICE_ATTENTION may be `own` or `ggml`, the kernel "
                                             "for attention on the CPU, and it is '{}'",
                                             choice));
}

ModelPreferences model_preferences(std::string location, std::string name) {
  ModelPreferences preferences{std::move(location), std::move(name), {}, default_cache_dir()};
  if (const char* given = std::getenv("SLUICE_MODEL"); given != nullptr && *given != '\0') {
    preferences.environment = given;
  }
  return preferences;
}

ModelLocation parse_model_location(std::string_view text, std::string_view name) {
  ModelLocation location;
  location.name = name;
  location.named_by_person = true;
  if (!text.starts_with("http://") && !text.starts_with("https://")) {
    location.file = text;
    return location;
  }
  location.embedded = false;
  const std::size_t mark = text.find('#');
  location.url = text.substr(0, mark);
  if (location.name.empty() && mark != std::string_view::npos) {
    location.name = text.substr(mark + 1);
  }
  return location;
}

Result<void> check_model_file(const fs::path& file) {
  std::error_code ignored;
  if (fs::is_directory(file, ignored)) {
    return fail(ErrorCode::kModelLoad,
                fmt::format("{} is a directory; name a .gguf file in it", file.string()));
  }
  if (!fs::exists(file, ignored)) {
    auto missing = read_file(file, 0);  // says what is close
    return fail(
        ErrorCode::kModelLoad,
        fmt::format("{}; {}", missing ? "the model file is gone" : missing.error().message(),
                    kHowToGetOne));
  }
  std::ifstream input(file, std::ios::binary);
  std::string magic(4, '\0');
  if (!input) {
    return fail(ErrorCode::kModelLoad, fmt::format("no permission to read {}", file.string()));
  }
  if (!input.read(magic.data(), 4) || magic != "GGUF") {
    return fail(ErrorCode::kModelLoad,
                fmt::format("{} is not a GGUF model file (it does not begin with GGUF); {}",
                            file.string(), kHowToGetOne));
  }
  return {};
}

Result<ModelLocation> choose_default_model(const ModelPreferences& preferences) {
  if (!preferences.location.empty()) {
    return checked(parse_model_location(preferences.location, preferences.name));
  }
  if (preferences.environment) {
    return checked(parse_model_location(*preferences.environment, preferences.name));
  }
  auto files = cached_models(preferences.cache_dir);
  if (files.empty()) {
    return fail(
        ErrorCode::kModelLoad,
        fmt::format("no model: the plan names none, SLUICE_MODEL is not set and {} holds no "
                    ".gguf file; {}",
                    (preferences.cache_dir / "models").string(), kHowToGetOne));
  }
  if (files.size() > 1) {
    std::string names;
    for (const auto& file : files) names += "\n  --model " + file.string();
    return fail(
        ErrorCode::kModelLoad,
        fmt::format("there are {} models to choose from; name one:{}", files.size(), names));
  }
  return checked({true, files.front(), "", preferences.name});
}

}  // namespace sluice
