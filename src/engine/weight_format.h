// Formats of a model's weights: their names, what a GGUF file has, and which prepared copy of a
// file stands in the cache. A copy is <source hash>-<format>.gguf with a .json of the same name
// that states its source, its loss and what was measured; <source hash>-<purpose>.json states the
// choice for a purpose, also when that is to leave the file as it is.
//
// Any thread; looks at small files only.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

enum class WeightFormat : std::uint8_t { kAsIs, kF16, kQ8_0, kQ4_0 };
inline constexpr std::array kPreparedFormats{WeightFormat::kQ8_0, WeightFormat::kQ4_0,
                                             WeightFormat::kF16};
enum class WeightPurpose : std::uint8_t { kThroughput, kLatency };

std::string_view weight_format_name(WeightFormat format);  // "as-is", "f16", "q8_0", "q4_0"
std::optional<WeightFormat> weight_format_of(std::string_view name);
std::string_view weight_purpose_name(WeightPurpose purpose);  // "throughput", "latency"

// What is asked for by SLUICE_WEIGHTS: the choice that `sluice models prepare` made for a purpose,
// or one format.
struct WeightChoice {
  bool automatic = true;
  WeightPurpose purpose = WeightPurpose::kThroughput;  // where automatic
  WeightFormat format = WeightFormat::kAsIs;           // where not
};
// "auto" (for throughput), a purpose's or a format's name; kUsage.
Result<WeightChoice> parse_weight_choice(std::string_view text);

// kAsIs: another one than those of ours.
WeightFormat format_of_file(const std::filesystem::path& gguf);

// A file by what can be seen without reading it whole.
struct FileIdentity {
  std::string path;  // absolute
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
Result<FileIdentity> identify_file(const std::filesystem::path& file);
Value to_value(const FileIdentity& identity);

struct PreparedFile {
  std::filesystem::path file;
  WeightFormat format = WeightFormat::kAsIs;
  std::string hash;  // of the copy; SHA-256 in hex
  Value about;       // its .json
};
// The copy in this format; nullopt when there is none, or the source has changed since.
std::optional<PreparedFile> find_prepared(const std::filesystem::path& source,
                                          const std::filesystem::path& folder, WeightFormat format);
// The format that was chosen for the purpose; nullopt when nobody has chosen.
std::optional<WeightFormat> find_choice(const std::filesystem::path& source,
                                        const std::filesystem::path& folder, WeightPurpose purpose);

struct ChosenWeights {
  std::filesystem::path file;
  WeightFormat format = WeightFormat::kAsIs;
};
// The file to load in place of `source`. With `kept_hashes` the copy that has one of them, else the
// source itself: a run goes on with the weights that it began with. kModelLoad when a format is
// asked for that has not been prepared.
Result<ChosenWeights> choose_weights(const std::filesystem::path& source,
                                     const std::filesystem::path& folder,
                                     const WeightChoice& choice,
                                     std::span<const std::string> kept_hashes = {});

}  // namespace sluice
