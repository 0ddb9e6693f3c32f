#include "cli/run_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <system_error>

namespace sluice::cli {

void add_directory_option(CLI::App& app, MachineOptions& options) {
  app.add_option("--dir", options.directory,
                 "Where relative paths in the plan's settings start (default: the plan's folder)")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIR");
}

void add_machine_options(CLI::App& app, MachineOptions& options) {
  app.add_option(
         "--model", options.model,
         "What the plan's model `default` is: FILE.gguf, or the URL of a server that speaks "
         "the OpenAI routes, as http://127.0.0.1:8080/v1#NAME (its key from OPENAI_API_KEY)")
      ->type_name("FILE|URL");
  app.add_option("--model-name", options.model_name, "The server's name of that model")
      ->type_name("NAME");
  add_directory_option(app, options);
  app.add_option("--workers", options.workers,
                 "Threads of the engine and Python workers (default: the machine's cores)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
}

RunSettings settings_of(const MachineOptions& options, const std::filesystem::path& plan_folder) {
  RunSettings settings;
  std::error_code ignored;
  const std::filesystem::path chosen =
      options.directory.empty() ? plan_folder : std::filesystem::path(options.directory);
  settings.work_dir = std::filesystem::absolute(chosen, ignored).lexically_normal();
  settings.models = model_preferences(options.model, options.model_name);
  settings.cache_dir = settings.models.cache_dir;
  settings.threads = options.workers;
  return settings;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, text.data() + text.size());
  if (unit.ends_with("iB")) {
    unit.remove_suffix(2);
  } else if (unit.ends_with("B")) {
    unit.remove_suffix(1);
  }
  const std::size_t power = unit.empty() ? 0 : std::string_view("kKmMgGtT").find(unit);
  const bool good = error == std::errc() && unit.size() <= 1 && power != std::string_view::npos &&
                    std::isfinite(number) && number >= 0;
  const double shift = unit.empty() ? 0 : 10 * (static_cast<double>(power / 2) + 1);
  const double bytes = good ? number * std::exp2(shift) : -1;
  if (bytes < 0 || bytes > 9e18) {
    return fail(ErrorCode::kUsage,
                fmt::format("'{}' is no amount of memory; write 64M or 1.5G", text));
  }
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace sluice::cli
