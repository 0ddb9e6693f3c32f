// Which optimizer passes a command does without. Prints nothing; the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "optimize/optimizer.h"

namespace sluice::cli {

struct OptimizerOptions {
  bool off = false;                  // --no-optimize
  std::vector<std::string> without;  // --without PASS
};

void add_optimizer_options(CLI::App& app, OptimizerOptions& options);
// kUsage for a pass that does not exist: what was meant, and which there are. `also`: names that
// the command knows beside those of passes.
Result<OptimizerSettings> optimizer_settings(const OptimizerOptions& options,
                                             const std::vector<std::string_view>& also = {});

}  // namespace sluice::cli
