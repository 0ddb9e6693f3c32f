#include "cli/optimizer_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "base/ids.h"
#include "plan/names.h"

namespace sluice::cli {
namespace {

std::vector<std::string_view> pass_names() {
  std::vector<std::string_view> names;
  for (const PassInfo& pass : optimizer_passes()) names.push_back(pass.name);
  return names;
}

}  // namespace

void add_optimizer_options(CLI::App& app, OptimizerOptions& options) {
  app.add_flag("--no-optimize", options.off, "Run the plan as it is written");
  app.add_option("--without", options.without,
                 fmt::format("Without this optimizer pass; may stand several times: {}",
                             fmt::join(pass_names(), ", ")))
      ->type_name("PASS")
      ->allow_extra_args(false);
}

Result<OptimizerSettings> optimizer_settings(const OptimizerOptions& options,
                                             const std::vector<std::string_view>& also) {
  std::vector<std::string_view> known = pass_names();
  known.insert(known.end(), also.begin(), also.end());
  OptimizerSettings settings;
  settings.off = options.off;
  for (const std::string& name : options.without) {
    if (std::ranges::find(known, name) == known.end()) {
      const std::string close = closest_name(name, known);
      return fail(ErrorCode::kUsage,
                  fmt::format("there is no optimizer pass {}{} (there are {})", shown(name),
                              close.empty() ? "" : fmt::format("; did you mean {}?", close),
                              fmt::join(known, ", ")));
    }
    settings.without.insert(name);
  }
  return settings;
}

}  // namespace sluice::cli
