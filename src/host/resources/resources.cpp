#include "host/resources/resources.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "data/json.h"
#include "host/resources/tool_identity.h"
#include "host/resources/weights.h"
#include "models/openai_client.h"
#include "plan/duration.h"
#include "schedule/policies.h"

namespace sluice {
namespace {

std::string text_setting(const Value& settings, std::string_view key) {
  const Value* value = settings.find(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

// 0: not set.
std::uint32_t count_setting(const Value& settings, std::string_view key) {
  const Value* value = settings.find(key);
  const bool set = value != nullptr && value->is_int() && value->as_int() > 0;
  return set ? static_cast<std::uint32_t>(std::min<std::int64_t>(value->as_int(), 1 << 30)) : 0;
}

// Equal text for equal settings, so that a sub-plan shares what its parent has opened.
std::string settings_key(const NamedSettings& named) {
  return fmt::format("{} {} {}", named.id, named.kind, canonical_json(named.settings));
}

ModelDefaults defaults_of(const Value& settings) {
  ModelDefaults defaults;
  if (const Value* sampling = settings.find("sampling")) defaults.sampling = *sampling;
  const Value* deterministic = settings.find("deterministic");
  defaults.deterministic =
      deterministic != nullptr && deterministic->is_bool() && deterministic->as_bool();
  if (auto ms = parse_duration_ms(text_setting(settings, "timeout"))) defaults.timeout_ms = *ms;
  return defaults;
}

// An error about the named thing, at its place in the plan.
std::unexpected<Error> about(const NamedSettings& named, std::string_view what,
                             const Error& cause) {
  return std::unexpected(
      Error(cause.code(), fmt::format("{} {}: {}", what, named.id, cause.message()), named.pos));
}

}  // namespace

Resources::Resources(ResourceOptions options, ToolEnvironment environment)
    : options_(std::move(options)), environment_(std::move(environment)) {
  secret_sources_.work_dir = environment_.work_dir;
}
Resources::~Resources() = default;

Result<void> Resources::open_tools(const PlanPtr& plan) { return open_scope(plan, nullptr); }

Result<void> Resources::open_scope(const PlanPtr& plan, const PlanScope* parent) {
  auto [found, is_new] = scopes_.try_emplace(plan.get());
  if (!is_new) return {};
  plans_.push_back(plan);
  found->second = std::make_unique<PlanScope>(plan, parent);
  PlanScope& scope = *found->second;
  for (const NamedSettings& named : plan->tools) {
    // What a sub-plan inherits has the same settings and is the same tool.
    auto entry = open_named_tool(named);
    if (!entry) return std::unexpected(entry.error());
    scope.add_tool(named.id, *entry);
  }
  note_models(scope, *plan);
  for (const auto& [id, inner] : plan->plans) {
    if (inner == nullptr) continue;
    if (auto opened = open_scope(inner, &scope); !opened) return opened;
  }
  return {};
}

// Whether the plan, or one around it, allows that another model is asked before a step's own.
bool Resources::asks_first(const PlanScope& scope) {
  for (const PlanScope* at = &scope; at != nullptr; at = at->parent()) {
    const bool allowed = std::ranges::any_of(
        at->plan().allow, [](const auto& pass) { return pass.value == "small_model_first"; });
    if (allowed) return true;
  }
  return false;
}

void Resources::note_models(PlanScope& scope, const Plan& plan) {
  std::map<std::string, bool> ids;  // certain to be asked
  const bool first_too = asks_first(scope);
  for (const Step& step : plan.steps) {
    if (step.op == OperatorKind::kLlm) {
      ids[step.target] |= !step.when.has_value();
      const NamedSettings* own = first_too ? plan.find_model(step.target) : nullptr;
      const std::string first = own == nullptr ? "" : text_setting(own->settings, "first");
      if (!first.empty()) ids[first] |= !step.when.has_value();
    }
    if (!step.limits) continue;
    for (const std::string& id : step.limits->models) ids.try_emplace(id, false);
  }
  for (const auto& [id, certain] : ids) {
    wanted_models_.push_back({&scope, id, plan.find_model(id), certain});
  }
}

Result<ToolEntry*> Resources::open_named_tool(const NamedSettings& named) {
  ToolEntry*& known = tools_by_settings_[settings_key(named)];
  if (known != nullptr) return known;
  auto settings =
      resolve_secrets(named.settings, fmt::format("tool {}", named.id), secret_sources_, redactor_);
  if (!settings) return std::unexpected(settings.error().with_pos(named.pos));
  auto tool = open_tool(named.id, named.kind, *settings, environment_);
  if (!tool) return about(named, "tool", tool.error());
  auto entry = std::make_unique<ToolEntry>();
  entry->id = named.id;
  entry->kind = named.kind;
  entry->identity = tool_identity(named.kind, *settings, environment_.work_dir);
  entry->settings = std::move(*settings);
  entry->tool = std::move(*tool);
  const ToolKind* kind = find_tool_kind(named.kind);
  entry->open_kind = kind != nullptr && kind->open;
  known = entry.get();
  tools_.push_back(std::move(entry));
  return known;
}

Result<void> Resources::open_models() {
  for (const WantedModel& wanted : wanted_models_) {
    auto entry = open_named_model(wanted);
    if (!entry && wanted.certain) return std::unexpected(entry.error());
    if (!entry) {
      // Its steps may all be skipped: only a call that really comes fails.
      auto missing = std::make_unique<ModelEntry>();
      missing->id = wanted.id;
      missing->problem = entry.error();
      entry = missing.get();
      models_.push_back(std::move(missing));
    }
    wanted.scope->add_model(wanted.id, *entry);
  }
  wanted_models_.clear();
  return {};
}

bool Resources::asks_server(std::string_view id, const NamedSettings* stated) const {
  const bool replaced = id == "default" && !options_.models.location.empty();
  if (stated != nullptr && !replaced) return stated->kind == "openai";
  const auto chosen = choose_default_model(options_.models);
  return chosen && !chosen->embedded;
}

Result<ModelEntry*> Resources::open_named_model(const WantedModel& wanted) {
  static const NamedSettings kUnlisted{.id = "default", .settings = Value::object({})};
  const NamedSettings& named = wanted.stated != nullptr ? *wanted.stated : kUnlisted;
  const std::string key = settings_key(named);
  if (auto known = models_by_settings_.find(key); known != models_by_settings_.end()) {
    return known->second;
  }
  auto settings = resolve_secrets(named.settings, fmt::format("model {}", named.id),
                                  secret_sources_, redactor_);
  if (!settings) return std::unexpected(settings.error().with_pos(named.pos));
  const bool replaced = wanted.id == "default" && !options_.models.location.empty();
  ModelLocation location;
  if (replaced || wanted.stated == nullptr) {
    auto chosen = choose_default_model(options_.models);
    if (!chosen) return std::unexpected(chosen.error());
    location = std::move(*chosen);
    default_model_ = location;
  } else if (named.kind == "openai") {
    location = {false, {}, text_setting(*settings, "url"), text_setting(*settings, "model")};
  } else {
    location.file = environment_.work_dir / text_setting(*settings, "file");
    if (auto file = check_model_file(location.file); !file)
      return about(named, "model", file.error());
  }
  if (location.embedded) {
    auto weights = weights_for(location.file, options_.models.cache_dir, options_.kept_hashes);
    if (!weights) return about(named, "model", weights.error());
    model_files_.insert(location.file);
    location.file = std::move(*weights);
  }
  auto instance = open_instance(wanted.id, location, *settings);
  if (!instance) return about(named, "model", instance.error());
  auto entry = std::make_unique<ModelEntry>();
  entry->id = wanted.id;
  entry->defaults = defaults_of(*settings);
  entry->price = price_of(*settings);
  entry->identity = location.embedded ? (*instance)->info().file_hash
                                      : fmt::format("{}#{}", location.url, location.name);
  entry->what = location.embedded
                    ? fmt::format("{} ({})", location.file.string(), entry->identity.substr(0, 12))
                    : entry->identity;
  entry->instance = std::move(*instance);
  models_.push_back(std::move(entry));
  return models_by_settings_[key] = models_.back().get();
}

Result<EngineOptions> Resources::engine_options(const std::string& id,
                                                const ModelLocation& location,
                                                const Value& settings) const {
  EngineOptions engine;
  engine.id = id;
  engine.file = location.file;
  auto attention = own_attention();
  if (!attention) return std::unexpected(attention.error());
  engine.own_attention = *attention;
  engine.threads = options_.threads;
  engine.calibration_dir = calibration_folder(options_.models.cache_dir);
  engine.clock = environment_.clock;
  engine.deterministic = defaults_of(settings).deterministic;
  engine.context_tokens = count_setting(settings, "context");
  engine.pool_tokens = count_setting(settings, "pool");
  if (const Value* policies = settings.find("policies"); policies != nullptr) {
    PolicyNames& names = engine.policies.names;
    for (auto [key, name] :
         {std::pair("order", &names.order), std::pair("batch", &names.batch),
          std::pair("admission", &names.admission), std::pair("lifetime", &names.lifetime),
          std::pair("fairness", &names.fairness)}) {
      if (std::string wished = text_setting(*policies, key); !wished.empty()) *name = wished;
    }
    if (auto known = check_policy_names(names); !known) return std::unexpected(known.error());
  }
  return engine;
}

Result<std::unique_ptr<ModelInstance>> Resources::open_instance(const std::string& id,
                                                                const ModelLocation& location,
                                                                const Value& settings) {
  if (location.embedded) {
    auto engine = engine_options(id, location, settings);
    if (!engine) return std::unexpected(engine.error());
    return open_engine(*engine);
  }
  OpenAiOptions client;
  client.id = id;
  client.url = location.url;
  client.model = location.name;
  client.key = text_setting(settings, "key");
  // Only to a server that the person named: a plan must not be able to send the key elsewhere.
  if (client.key.empty() && location.named_by_person) {
    if (const char* key = std::getenv("OPENAI_API_KEY")) client.key = key;
  }
  redactor_.learn(client.key);
  return open_openai_client(client);
}

ModelEntry* Resources::small_model_first(const StepAdvice& advice, const PlanScope& scope,
                                         ModelEntry* own) {
  if (advice.first_model.empty() || own == nullptr || own->instance == nullptr) return own;
  const ModelEntry* first = scope.model(advice.first_model);
  if (first == own) return own;
  const bool there = first != nullptr && first->instance != nullptr;
  const std::string identity =
      fmt::format("{} from {} on, else {}", there ? first->identity : advice.first_model,
                  advice.least_logprob, own->identity);
  std::unique_ptr<FirstModel>& made = first_models_[identity + " " + own->id];
  if (made == nullptr) {
    made = std::make_unique<FirstModel>();
    made->first = advice.first_model;
    made->own = own->id;
    if (!there) {
      made->problem = first == nullptr || !first->problem ? "there is none of that name"
                                                          : first->problem->message();
      return own;
    }
    auto both = std::make_unique<SmallModelFirst>(
        SmallModelFirst::Model{first->instance.get(), first->price},
        SmallModelFirst::Model{own->instance.get(), own->price}, advice.least_logprob);
    made->both = made->entry.both = both.get();
    made->entry.id = own->id;
    made->entry.defaults = own->defaults;  // the price is counted where both are known
    made->entry.identity = identity;
    made->entry.what = fmt::format("{}, asked after {}", own->what, first->what);
    made->entry.instance = std::move(both);
  }
  return made->both == nullptr ? own : &made->entry;
}

std::vector<std::string> Resources::first_model_notices() const {
  std::vector<std::string> notices;
  for (const auto& [identity, model] : first_models_) {
    if (model->both == nullptr) {
      notices.push_back(fmt::format("model {} could not be asked before {}: {}", model->first,
                                    model->own, model->problem));
      continue;
    }
    const SmallModelFirst::Counts counts = model->both->counts();
    if (counts.asked == 0) continue;
    std::string text =
        fmt::format("model {} was asked first {} times and answered {}; {} was asked else",
                    model->first, counts.asked, counts.taken, model->own);
    if (counts.untold > 0) {
      text += fmt::format(
          "; {} of its answers came without log probabilities and could not be taken, which is "
          "how servers behave that do not give any",
          counts.untold);
    }
    if (counts.failed > 0) {
      text += fmt::format("; it failed {} times, first: {}", counts.failed, counts.first_failure);
    }
    notices.push_back(std::move(text));
  }
  return notices;
}

// Counts the tools that have not answered yet.
struct Resources::Discovery {
  std::size_t open = 1;  // 1 until all have been asked
  Result<void> result;
  std::function<void(Result<void>)> done;

  void end_one() {
    if (--open == 0) done(std::move(result));
  }
};

void Resources::discover(std::function<void(Result<void>)> done) {
  auto discovery = std::make_shared<Discovery>();
  discovery->done = [this, done = std::move(done)](Result<void> result) {
    for (const auto& [plan, scope] : scopes_) scope->take_discovered();
    done(std::move(result));
  };
  for (const auto& owned : tools_) {
    ToolEntry* entry = owned.get();
    if (!entry->open_kind) continue;
    ++discovery->open;
    entry->tool->discover([entry, discovery](Result<std::vector<FunctionSpec>> functions) {
      if (!functions) {
        discovery->result =
            fail(functions.error().code(),
                 fmt::format("tool {}: {}", entry->id, functions.error().message()));
      } else {
        entry->functions = std::move(*functions);
        entry->discovered = true;
      }
      discovery->end_one();
    });
  }
  discovery->end_one();
}

const PlanScope* Resources::scope(const Plan* plan) const {
  auto found = scopes_.find(plan);
  return found == scopes_.end() ? nullptr : found->second.get();
}

const PlanScope* Resources::add_produced(const PlanPtr& plan, const PlanScope& parent,
                                         const Limits& limits) {
  auto scope = std::make_unique<PlanScope>(plan, &parent);
  scope->restrict_to(limits);
  plans_.push_back(plan);
  return (scopes_[plan.get()] = std::move(scope)).get();
}

}  // namespace sluice
