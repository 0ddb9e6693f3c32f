// Measures on this machine what an instance of a model costs (cost/instance_cost.h), in a few
// seconds, and keeps what was measured: <folder>/<hash of file, settings and processor>.json.
// Blocks; any thread, but nothing else should compute meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "cost/instance_cost.h"

struct llama_model;

namespace sluice {

struct CalibrationOptions {
  std::uint32_t threads = 0;  // 0: the machine's cores
  bool own_attention = true;
  double most_s = 8;  // no new measurement is begun after this long
  std::function<void(std::string_view what)> on_step;
  const Clock* clock = nullptr;  // null: system_clock()
};

// kModelLoad when there is no memory for a small context, kDecodeFailed.
Result<InstanceCost> measure_cost(llama_model* model, const CalibrationOptions& options);

// "AMD EPYC 9B45, 2 threads".
std::string machine_text(const CalibrationOptions& options);
// Where the measurement of the file with this hash is kept.
std::filesystem::path calibration_file(const std::filesystem::path& folder,
                                       std::string_view file_hash,
                                       const CalibrationOptions& options);
// nullopt: not measured yet, or the file is damaged.
std::optional<InstanceCost> read_calibration(const std::filesystem::path& file);
// Replaces the file in one step. kIo with the reason.
Result<void> write_calibration(const std::filesystem::path& file, const InstanceCost& cost);

}  // namespace sluice
