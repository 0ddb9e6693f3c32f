#include "cli/explain/cost_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "engine/calibrate.h"
#include "engine/model_file.h"
#include "host/resources/cost_inputs.h"
#include "host/resources/model_choice.h"
#include "host/resources/weights.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

// Whoever asks what a plan will cost does not want to wait for gigabytes to be read.
constexpr std::uintmax_t kMostHashed = std::uintmax_t{3} << 30;

const NamedSettings* find_named(const Plan& plan, std::string_view id) {
  if (const NamedSettings* named = plan.find_model(id)) return named;
  for (const auto& [unused, inner] : plan.plans) {
    if (inner == nullptr) continue;
    if (const NamedSettings* named = find_named(*inner, id)) return named;
  }
  return nullptr;
}

// The file of an embedded model; nullopt: it is a server elsewhere, or there is none.
std::optional<fs::path> file_of(const NamedSettings* named, const RunSettings& settings) {
  const bool replaced =
      named != nullptr && named->id == "default" && !settings.models.location.empty();
  if (named == nullptr || replaced) {
    auto chosen = choose_default_model(settings.models);
    if (!chosen || !chosen->embedded) return std::nullopt;
    return chosen->file;
  }
  const Value* file = named->settings.find("file");
  if (named->kind == "openai" || file == nullptr || !file->is_string()) return std::nullopt;
  return settings.work_dir / std::string(file->as_string());
}

// Of the weights that a run would load; "" where that cannot be told, or not in time.
std::string hash_of(const fs::path& file, const RunSettings& settings) {
  auto weights = weights_for(file, settings.models.cache_dir, {});
  if (!weights) return "";
  std::error_code problem;
  const std::uintmax_t size = fs::file_size(*weights, problem);
  if (problem || size > kMostHashed) return "";
  return hash_file(*weights).value_or("");
}

}  // namespace

CostSources::CostSources(const PlanPtr& plan, const RunSettings& settings, const Value* params,
                         std::span<const RunModel> known)
    : history_(settings.cache_dir / "statistics.sqlite", system_clock()) {
  open(plan, settings, params);
  add_calibrations(*plan, settings, known);
}

void CostSources::open(const PlanPtr& plan, const RunSettings& settings, const Value* params) {
  inputs_.history = &history_;
  inputs_.params = params;
  inputs_.now = system_clock().wall_ns();
  auto temp = TempDir::make();
  if (!temp) return remarks_.push_back(temp.error().message());
  temp_.emplace(std::move(*temp));
  ToolEnvironment environment;
  environment.io = io_.get_executor();
  environment.blocking = pool_.get_executor();
  environment.work_dir = settings.work_dir;
  environment.temp_dir = temp_->path();
  environment.clock = &system_clock();
  resources_ =
      std::make_unique<Resources>(ResourceOptions{settings.models, settings.threads}, environment);
  if (auto opened = resources_->open_tools(plan); !opened) {
    remarks_.push_back(fmt::format("a run cannot begin like this: {}", opened.error().message()));
    return;
  }
  inputs_ = make_cost_inputs(*resources_->scope(plan.get()), *resources_, &history_, params);
}

void CostSources::add_calibrations(const Plan& plan, const RunSettings& settings,
                                   std::span<const RunModel> known) {
  const fs::path folder = calibration_folder(settings.models.cache_dir);
  for (auto& [id, cost] : inputs_.models) {
    if (cost.instance) continue;
    const auto file = file_of(find_named(plan, id), settings);
    const auto was = std::ranges::find(known, id, &RunModel::id);
    if (!file && was == known.end()) continue;
    std::error_code ignored;
    const bool any = fs::exists(folder, ignored);
    const std::string hash = was != known.end() ? was->identity
                             : any              ? hash_of(*file, settings)
                                                : "";
    auto attention = own_attention();
    if (!hash.empty() && attention) {
      const CalibrationOptions how{.threads = settings.threads, .own_attention = *attention};
      cost.instance = read_calibration(calibration_file(folder, hash, how));
    }
    const bool elsewhere = !file && hash.size() != 64;
    if (!cost.instance && !elsewhere) {
      remarks_.push_back(fmt::format(
          "model {} was not measured on this machine yet (sluice models calibrate, or its first "
          "run)",
          id));
    }
  }
}

std::vector<std::string> CostSources::remarks() const {
  std::vector<std::string> all = remarks_;
  if (const std::string problem = history_.problem(); !problem.empty()) all.push_back(problem);
  return all;
}

}  // namespace sluice::cli
