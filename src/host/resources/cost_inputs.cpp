#include "host/resources/cost_inputs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "engine/engine.h"

namespace sluice {
namespace {

constexpr std::uint32_t kServerPlaces = 64;
constexpr std::size_t kCountedBytes = 48 << 10;  // in all: planning takes milliseconds
constexpr std::size_t kLongestCounted = 8 << 10;
constexpr std::size_t kMostRemembered = 4'096;

// Counts texts with the model's tokenizer, each once. After so many bytes further texts are taken
// to have as many tokens a byte as those before.
class TokenCounter {
 public:
  explicit TokenCounter(ModelInstance& instance) : instance_(instance) {}

  std::uint64_t count(std::string_view text) {
    if (const auto known = known_.find(text); known != known_.end()) return known->second;
    const std::string_view part = text.substr(0, cut_at(text, kLongestCounted));
    if (bytes_ + part.size() > kCountedBytes) return at_rate(text.size());
    const auto counted = instance_.count_tokens(part);
    if (!counted) return at_rate(text.size());
    bytes_ += part.size();
    tokens_ += *counted;
    const auto all = static_cast<double>(*counted) * static_cast<double>(text.size()) /
                     static_cast<double>(std::max<std::size_t>(part.size(), 1));
    const auto tokens = static_cast<std::uint64_t>(all + 0.5);
    if (known_.size() < kMostRemembered) known_.emplace(text, tokens);
    return tokens;
  }

 private:
  // Not inside a character.
  static std::size_t cut_at(std::string_view text, std::size_t most) {
    if (text.size() <= most) return text.size();
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    return most;
  }

  std::uint64_t at_rate(std::size_t bytes) const {
    const double a_token = tokens_ > 0 ? static_cast<double>(bytes_) / static_cast<double>(tokens_)
                                       : cost_defaults().bytes_per_token;
    return static_cast<std::uint64_t>(static_cast<double>(bytes) / a_token + 0.5);
  }

  ModelInstance& instance_;
  std::map<std::string, std::uint64_t, std::less<>> known_;
  std::size_t bytes_ = 0;
  std::uint64_t tokens_ = 0;
};

std::optional<double> max_tokens(const Value& sampling) {
  const Value* most = sampling.find("max_tokens");
  if (most == nullptr || !most->is_number()) return std::nullopt;
  return most->as_double();
}

// `server`: it is one, whether it is open or not.
ModelCost cost_of_model(const NamedSettings* named, const ModelEntry* entry, bool server) {
  ModelCost cost;
  if (server) cost.parallel = kServerPlaces;
  ModelPrice price = named != nullptr ? price_of(named->settings) : ModelPrice{};
  if (entry != nullptr) price = entry->price;
  cost.usd_per_prompt_token = price.usd_per_prompt_token;
  cost.usd_per_completion_token = price.usd_per_completion_token;
  const Value* sampling = named != nullptr ? named->settings.find("sampling") : nullptr;
  if (sampling != nullptr) cost.max_tokens = max_tokens(*sampling);
  if (entry == nullptr || entry->instance == nullptr) return cost;
  ModelInstance& instance = *entry->instance;
  const auto pace = engine_pace(instance);
  if (pace) cost.parallel = std::max(pace->most_running, 1U);
  if (pace && pace->measured) cost.instance = pace->cost;
  if (!instance.info().embedded) return cost;
  auto counter = std::make_shared<TokenCounter>(instance);
  cost.count_tokens = [counter](std::string_view text) { return counter->count(text); };
  return cost;
}

void add_models(const PlanScope& scope, const Resources& resources, CostInputs& inputs) {
  std::set<std::string> names;
  for (const NamedSettings& named : scope.plan().models) names.insert(named.id);
  for (const Step& step : scope.plan().steps) {
    if (step.op == OperatorKind::kLlm) names.insert(step.target);
  }
  for (const std::string& name : names) {
    if (inputs.models.contains(name)) continue;  // of a plan around it
    const ModelEntry* entry = scope.model(name);
    const NamedSettings* stated = scope.plan().find_model(name);
    const bool server = resources.asks_server(name, stated);
    inputs.models.emplace(name, cost_of_model(stated, entry, server));
  }
  for (const auto& [id, inner] : scope.plan().plans) {
    const PlanScope* within = inner == nullptr ? nullptr : resources.scope(inner.get());
    if (within != nullptr) add_models(*within, resources, inputs);
  }
}

}  // namespace

CostInputs make_cost_inputs(const PlanScope& scope, Resources& resources,
                            const StatisticsStore* history, const Value* params) {
  CostInputs inputs;
  inputs.history = history;
  inputs.params = params;
  inputs.now = system_clock().wall_ns();
  inputs.code_parallel = std::max(std::thread::hardware_concurrency(), 1U);
  add_models(scope, resources, inputs);
  return inputs;
}

}  // namespace sluice
