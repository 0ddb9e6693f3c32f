// Options that several commands share: which model, and where relative paths start.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

struct MachineOptions {
  std::string model;
  std::string model_name;
  std::string directory;  // of --dir; "" is the plan's folder
  std::uint32_t workers = 0;
};

// Where relative paths start; a folder that is there.
void add_directory_option(CLI::App& app, MachineOptions& options);
void add_machine_options(CLI::App& app, MachineOptions& options);
RunSettings settings_of(const MachineOptions& options, const std::filesystem::path& plan_folder);

// "256", "64k", "256M", "1.5G" or with B, iB behind; kUsage.
Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace sluice::cli
