// Resources: the opened tools and models of one run. Opening resolves secrets and default models;
// discovery asks open kinds for their functions. The same tool with the same settings in two plans
// is opened once. The run's thread only, but for open_models, which blocks and may run elsewhere.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "host/resources/model_choice.h"
#include "host/resources/plan_scope.h"
#include "host/resources/secrets.h"
#include "host/resources/small_model_first.h"
#include "plan/physical.h"
#include "tools/tool.h"

namespace sluice {

struct ResourceOptions {
  ModelPreferences models;
  std::uint32_t threads = 0;                  // of an embedded engine; 0: the machine's cores
  std::vector<std::string> kept_hashes = {};  // of the models that a run began with, if it goes on
};

class Resources {
 public:
  Resources(ResourceOptions options, ToolEnvironment environment);
  ~Resources();
  Resources(const Resources&) = delete;
  Resources& operator=(const Resources&) = delete;

  // Scopes and tools of the plan and of all plans inside it; nothing is started yet.
  Result<void> open_tools(const PlanPtr& plan);
  // Loads the models that its steps name. Call it after open_tools, before the run.
  Result<void> open_models();
  // Asks all open kinds for their functions; `done` is called once, on the I/O executor or at once.
  void discover(std::function<void(Result<void>)> done);

  const PlanScope* scope(const Plan* plan) const;
  // A produced plan: sees of `parent` what `limits` lists.
  const PlanScope* add_produced(const PlanPtr& plan, const PlanScope& parent, const Limits& limits);

  // What stands for the model `default` where the plan leaves that open; once models are open.
  const std::optional<ModelLocation>& default_model() const { return default_model_; }

  // Whether a server stands behind the name, also before models are open. `stated`: by the plan;
  // null where it does not list it.
  bool asks_server(std::string_view id, const NamedSettings* stated) const;

  // GGUF files that models were opened from, or from prepared copies of; once models are open.
  const std::set<std::filesystem::path>& model_files() const { return model_files_; }

  // What a step calls that is advised to ask another model first: both as one. `own` where the
  // other one is not there.
  ModelEntry* small_model_first(const StepAdvice& advice, const PlanScope& scope, ModelEntry* own);
  // What came of the models that were asked first, a sentence each.
  std::vector<std::string> first_model_notices() const;

  Redactor& redactor() { return redactor_; }
  const std::vector<std::unique_ptr<ToolEntry>>& tools() const { return tools_; }
  const std::vector<std::unique_ptr<ModelEntry>>& models() const { return models_; }

 private:
  struct WantedModel {
    PlanScope* scope;
    std::string id;
    const NamedSettings* stated;  // null: the plan does not list it (`default`)
    bool certain;                 // false: every step that asks it may be skipped
  };
  struct Discovery;
  // Two models as one.
  struct FirstModel {
    ModelEntry entry;
    std::string first;
    std::string own;
    const SmallModelFirst* both = nullptr;  // entry.instance; null: the first one is not there
    std::string problem;                    // and why
  };

  Result<void> open_scope(const PlanPtr& plan, const PlanScope* parent);
  Result<ToolEntry*> open_named_tool(const NamedSettings& named);
  Result<ModelEntry*> open_named_model(const WantedModel& wanted);
  Result<EngineOptions> engine_options(const std::string& id, const ModelLocation& location,
                                       const Value& settings) const;
  Result<std::unique_ptr<ModelInstance>> open_instance(const std::string& id,
                                                       const ModelLocation& location,
                                                       const Value& settings);
  void note_models(PlanScope& scope, const Plan& plan);
  static bool asks_first(const PlanScope& scope);

  ResourceOptions options_;
  ToolEnvironment environment_;
  SecretSources secret_sources_;
  Redactor redactor_;
  std::map<const Plan*, std::unique_ptr<PlanScope>> scopes_;
  std::vector<PlanPtr> plans_;  // keeps the keys of scopes_ alive
  std::vector<std::unique_ptr<ToolEntry>> tools_;
  std::vector<std::unique_ptr<ModelEntry>> models_;
  std::map<std::string, ToolEntry*> tools_by_settings_;
  std::map<std::string, ModelEntry*> models_by_settings_;
  std::vector<WantedModel> wanted_models_;
  std::map<std::string, std::unique_ptr<FirstModel>> first_models_;  // gone before those in it
  std::optional<ModelLocation> default_model_;
  std::set<std::filesystem::path> model_files_;
};

}  // namespace sluice
