// Which copy of an embedded model's weights a process uses, and the copy that is prepared for later
// ones: SLUICE_WEIGHTS is auto, latency, as-is, q8_0, q4_0 or f16. See
// docs/architecture/weight_formats.md. Any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "engine/weight_format.h"

namespace sluice {

std::filesystem::path prepared_folder(const std::filesystem::path& cache_dir);
std::filesystem::path calibration_folder(const std::filesystem::path& cache_dir);

// What SLUICE_WEIGHTS asks for, auto where it is not set; kUsage.
Result<WeightChoice> weight_choice();
// The file to load in place of `source`. `kept_hashes`: of all
// models that a run began with, where it goes on.
Result<std::filesystem::path> weights_for(const std::filesystem::path& source,
                                          const std::filesystem::path& cache_dir,
                                          std::span<const std::string> kept_hashes);

// Begins `sluice models prepare FILE` in a process of its own, with the lowest priority, that
// outlives this one; for the end of a first use. Gives what to tell the person, nullopt where there
// is nothing to do: switched off, chosen before, begun before, or nobody is there to read it (auto
// must be asked for by name then).
std::optional<std::string> prepare_in_background(const std::filesystem::path& source,
                                                 const std::filesystem::path& cache_dir,
                                                 bool person_reads);

}  // namespace sluice
