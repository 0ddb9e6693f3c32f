// The command line of `sluice batch`. The main thread only.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/batch/batch_quality.h"
#include "cli/optimizer_options.h"
#include "cli/params.h"
#include "cli/run_end.h"

namespace sluice::cli {

struct BatchArguments {
  std::string plan;
  std::string input, input_format, query;
  std::string output, output_format, table;
  ParamArguments params;  // that are the same for all rows
  LiveOptions live;
  OptimizerOptions optimizer;
  QualityOptions quality;
  std::vector<std::string> budget;
  std::uint64_t limit = 0;
  std::uint64_t sample = 0;
  std::uint32_t concurrency = 0;
  bool estimate = false;
  bool force = false;
  bool with_input = false;
  bool keep_null = false;
  bool unordered = false;
};
void add_batch_options(CLI::App& app, BatchArguments& arguments);

}  // namespace sluice::cli
