#include "cli/models_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/table.h"

namespace sluice::cli {

void add_model_file_argument(CLI::App& app, std::string& model) {
  app.add_option("MODEL", model,
                 "A GGUF file (default: SLUICE_MODEL, else the one .gguf file in the cache)")
      ->type_name("FILE");
}

Result<std::filesystem::path> embedded_model_file(const std::string& model) {
  auto location = choose_default_model(model_preferences(model, ""));
  if (!location) return std::unexpected(location.error());
  if (location->embedded) return location->file;
  return fail(ErrorCode::kUsage,
              fmt::format("{} is a server elsewhere; this command takes a GGUF file",
                          harmless(location->url)));
}

void StepLine::show(std::string_view text) {
  if (!terminal_.interactive) {
    write_err(fmt::format("{}\n", text));
    return;
  }
  const auto width = static_cast<std::size_t>(std::max(20, terminal_.columns() - 1));
  write_err(fmt::format("\r\x1b[K{}", fitted_text(text, width)));
  drawn_ = true;
}

void StepLine::clear() {
  if (drawn_) write_err("\r\x1b[K");
  drawn_ = false;
}

}  // namespace sluice::cli
