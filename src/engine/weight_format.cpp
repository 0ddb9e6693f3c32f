#include "engine/weight_format.h"

#include <fmt/format.h>
#include <gguf.h>
#include <llama.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <system_error>
#include <vector>

#include "data/json.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kFormatNames{"as-is", "f16", "q8_0", "q4_0"};
constexpr std::array<std::string_view, 2> kPurposeNames{"throughput", "latency"};

std::optional<Value> read_json_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  auto value = parse_json(text.str());
  return value && value->is_object() ? std::optional(std::move(*value)) : std::nullopt;
}

std::string text_of(const Value& object, std::string_view key) {
  const Value* value = object.find(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

bool is_source(const Value& about, const FileIdentity& identity) {
  const Value* source = about.find("source");
  if (source == nullptr || !source->is_object()) return false;
  const Value* bytes = source->find("bytes");
  const Value* modified = source->find("modified_ns");
  return text_of(*source, "path") == identity.path && bytes != nullptr && bytes->is_int() &&
         static_cast<std::uint64_t>(bytes->as_int()) == identity.bytes && modified != nullptr &&
         modified->is_int() && modified->as_int() == identity.modified_ns;
}

// The JSON files of this folder that end so and are about this source.
std::vector<std::pair<fs::path, Value>> about_source(const fs::path& source, const fs::path& folder,
                                                     std::string_view what) {
  std::vector<std::pair<fs::path, Value>> found;
  auto identity = identify_file(source);
  if (!identity) return found;
  const std::string end = fmt::format("-{}.json", what);
  std::error_code ignored;
  for (fs::directory_iterator at(folder, ignored), last; !ignored && at != last;
       at.increment(ignored)) {
    if (!at->path().filename().string().ends_with(end)) continue;
    auto about = read_json_file(at->path());
    if (about && is_source(*about, *identity)) found.emplace_back(at->path(), std::move(*about));
  }
  return found;
}

}  // namespace

std::string_view weight_format_name(WeightFormat format) {
  return kFormatNames[static_cast<std::size_t>(format)];
}

std::optional<WeightFormat> weight_format_of(std::string_view name) {
  auto found = std::ranges::find(kFormatNames, name);
  if (found == kFormatNames.end()) return std::nullopt;
  return static_cast<WeightFormat>(found - kFormatNames.begin());
}

std::string_view weight_purpose_name(WeightPurpose purpose) {
  return kPurposeNames[static_cast<std::size_t>(purpose)];
}

Result<WeightChoice> parse_weight_choice(std::string_view text) {
  if (text == "auto") return WeightChoice{};
  if (text == "throughput") return WeightChoice{};
  if (text == "latency") return WeightChoice{.purpose = WeightPurpose::kLatency};
  if (auto format = weight_format_of(text)) {
    return WeightChoice{.automatic = false, .format = *format};
  }
  return fail(
      ErrorCode::kUsage,
      fmt::format("SLUICE_WEIGHTS may be auto, latency, as-is, q8_0, q4_0 or f16, the format of an "
                  "embedded model's weights, and it is '{}'",
                  text));
}

WeightFormat format_of_file(const fs::path& gguf) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> head(
      gguf_init_from_file(gguf.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
  if (!head) return WeightFormat::kAsIs;
  const auto key = gguf_find_key(head.get(), "general.file_type");
  if (key < 0 || gguf_get_kv_type(head.get(), key) != GGUF_TYPE_UINT32) return WeightFormat::kAsIs;
  switch (gguf_get_val_u32(head.get(), key)) {
    case LLAMA_FTYPE_MOSTLY_F16:
      return WeightFormat::kF16;
    case LLAMA_FTYPE_MOSTLY_Q8_0:
      return WeightFormat::kQ8_0;
    case LLAMA_FTYPE_MOSTLY_Q4_0:
      return WeightFormat::kQ4_0;
    default:
      return WeightFormat::kAsIs;
  }
}

Result<FileIdentity> identify_file(const fs::path& file) {
  std::error_code error;
  FileIdentity identity;
  fs::path whole = fs::canonical(file, error);
  if (!error) identity.bytes = fs::file_size(whole, error);
  fs::file_time_type modified;
  if (!error) modified = fs::last_write_time(whole, error);
  if (error) {
    return fail(ErrorCode::kFileUnreadable,
                fmt::format("cannot read the model file {}: {}", file.string(), error.message()));
  }
  identity.path = whole.string();
  identity.modified_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(modified.time_since_epoch()).count();
  return identity;
}

Value to_value(const FileIdentity& identity) {
  return Value::object({{"path", Value::from_utf8(identity.path).value_or(Value::string(""))},
                        {"bytes", Value::integer(static_cast<std::int64_t>(identity.bytes))},
                        {"modified_ns", Value::integer(identity.modified_ns)}});
}

std::optional<PreparedFile> find_prepared(const fs::path& source, const fs::path& folder,
                                          WeightFormat format) {
  if (format == WeightFormat::kAsIs) return std::nullopt;
  for (auto& [file, about] : about_source(source, folder, weight_format_name(format))) {
    fs::path gguf = file;
    gguf.replace_extension(".gguf");
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(gguf, error);
    const Value* stated = about.find("bytes");
    const std::string hash = text_of(about, "sha256");
    if (error || stated == nullptr || !stated->is_int() || hash.empty() ||
        static_cast<std::uintmax_t>(stated->as_int()) != bytes) {
      continue;
    }
    return PreparedFile{gguf, format, hash, std::move(about)};
  }
  return std::nullopt;
}

std::optional<WeightFormat> find_choice(const fs::path& source, const fs::path& folder,
                                        WeightPurpose purpose) {
  for (const auto& [file, about] : about_source(source, folder, weight_purpose_name(purpose))) {
    if (auto format = weight_format_of(text_of(about, "format"))) return format;
  }
  return std::nullopt;
}

Result<ChosenWeights> choose_weights(const fs::path& source, const fs::path& folder,
                                     const WeightChoice& choice,
                                     std::span<const std::string> kept_hashes) {
  const ChosenWeights as_it_is{.file = source};
  if (!kept_hashes.empty()) {
    for (WeightFormat format : kPreparedFormats) {
      auto prepared = find_prepared(source, folder, format);
      if (prepared && std::ranges::find(kept_hashes, prepared->hash) != kept_hashes.end()) {
        return ChosenWeights{prepared->file, format};
      }
    }
    return as_it_is;
  }
  WeightFormat format = choice.format;
  if (choice.automatic) {
    format = find_choice(source, folder, choice.purpose).value_or(WeightFormat::kAsIs);
  }
  if (format == WeightFormat::kAsIs) return as_it_is;
  if (auto prepared = find_prepared(source, folder, format)) {
    return ChosenWeights{prepared->file, format};
  }
  if (choice.automatic || format_of_file(source) == format) return as_it_is;
  return fail(ErrorCode::kModelLoad,
              fmt::format("SLUICE_WEIGHTS asks for {} weights of {}, and there are none yet; "
                          "write them with: sluice models prepare --format {} {}",
                          weight_format_name(format), source.string(), weight_format_name(format),
                          source.string()));
}

}  // namespace sluice
