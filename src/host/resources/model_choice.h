// Which model `default` is, and what --model puts in its place: a GGUF file, or the address of a
// server that speaks the OpenAI routes. Looks at files; any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

struct ModelLocation {
  bool embedded = true;
  std::filesystem::path file;    // embedded
  std::string url;               // otherwise
  std::string name;              // the server's name of the model; "" when not given
  bool named_by_person = false;  // by --model or SLUICE_MODEL, not by a plan
};

struct ModelPreferences {
  std::string location;                    // of --model; "" when not given
  std::string name;                        // of --model-name
  std::optional<std::string> environment;  // of SLUICE_MODEL
  std::filesystem::path cache_dir;         // its models/ is looked at last
};

// $SLUICE_CACHE, else ~/.cache/sluice.
std::filesystem::path default_cache_dir();
// Whether embedded engines use our attention kernel: SLUICE_ATTENTION, `own` (also when it is not
// set) or `ggml`. kUsage for anything else.
Result<bool> own_attention();
ModelPreferences model_preferences(std::string location, std::string name);

// "FILE.gguf", "http://host/v1" or "http://host/v1#name".
ModelLocation parse_model_location(std::string_view text, std::string_view name);
// The first of --model, SLUICE_MODEL, the one GGUF file in the cache. kModelLoad with what to do.
Result<ModelLocation> choose_default_model(const ModelPreferences& preferences);
// kModelLoad unless it is a file that begins as a GGUF file does.
Result<void> check_model_file(const std::filesystem::path& file);

}  // namespace sluice
