// What the commands of `sluice models` that work on one file share: which file is meant, and a line
// that says what takes so long. The main thread only.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/terminal.h"
#include "host/resources/model_choice.h"

namespace sluice::cli {

void add_model_file_argument(CLI::App& app, std::string& model);
// The file of MODEL, else of the model `default`; kUsage where that is a server elsewhere.
Result<std::filesystem::path> embedded_model_file(const std::string& model);

// One line on stderr, drawn again on a terminal, printed once per step elsewhere.
class StepLine {
 public:
  void show(std::string_view text);
  void clear();

 private:
  Terminal terminal_ = terminal_of(2);
  bool drawn_ = false;
};

}  // namespace sluice::cli
