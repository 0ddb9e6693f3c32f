// PlanScope: what the names of tools and models in one plan stand for while it runs: opened tools
// with their functions, opened models with their defaults. A sub-plan sees what it names itself,
// then what its parent sees; a produced plan sees only what its limits list. Owned by Resources.
// The run's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cost/prices.h"
#include "data/value.h"
#include "plan/tool_catalog.h"
#include "schedule/model_instance.h"
#include "tools/tool.h"

namespace sluice {

class SmallModelFirst;

struct ToolEntry {
  std::string id;
  std::string kind;
  Value settings;  // secrets resolved
  std::unique_ptr<Tool> tool;
  bool open_kind = false;  // its functions are asked for
  bool discovered = false;
  std::vector<FunctionSpec> functions;  // as its server has them, once discovered
  std::string identity;                 // of what answers, for what is kept of it beyond the run
};

// What a plan's `models` section says about requests to one model.
struct ModelDefaults {
  Value sampling;  // an object or null
  bool deterministic = false;
  std::int64_t timeout_ms = 0;
};

struct ModelEntry {
  std::string id;
  std::unique_ptr<ModelInstance> instance;  // null: it could not be opened
  SmallModelFirst* both = nullptr;          // `instance`, where that asks another model first
  std::optional<Error> problem;             // and why, for the calls that come all the same
  ModelDefaults defaults;
  ModelPrice price;
  std::string identity;  // of the weights, for result keys: file hash, or address and name
  std::string what;      // its file or its address, for people
};

class PlanScope final : public ToolCatalog {
 public:
  PlanScope(PlanPtr plan, const PlanScope* parent);

  // Only what `limits` lists may be reached through the parent.
  void restrict_to(const Limits& limits) { limits_ = limits; }
  void add_tool(std::string id, ToolEntry* entry) { tools_[std::move(id)] = entry; }
  // Once open kinds have told their functions.
  void take_discovered();
  void add_model(std::string id, ModelEntry* entry) { models_[std::move(id)] = entry; }

  ToolEntry* tool(std::string_view id) const;
  ModelEntry* model(std::string_view id) const;
  // The scope of the plan that this one has the tool from: where names in its settings are known.
  const PlanScope& home_of(std::string_view tool) const;
  const Plan& plan() const { return *plan_; }
  const PlanScope* parent() const { return parent_; }

  const FunctionSpec* find(std::string_view tool, std::string_view function) const override;
  bool complete(std::string_view tool) const override;
  std::vector<std::string_view> function_names(std::string_view tool) const override;

 private:
  bool allows_tool(std::string_view tool, std::string_view function) const;

  PlanPtr plan_;
  const PlanScope* parent_;
  std::unique_ptr<ToolCatalog> own_;  // of the plan's own tools
  std::optional<Limits> limits_;
  std::map<std::string, ToolEntry*, std::less<>> tools_;
  std::map<std::string, ModelEntry*, std::less<>> models_;
};

}  // namespace sluice
