#include "plan/tool_catalog.h"

#include <algorithm>
#include <map>

#include "plan/duration.h"

namespace sluice {
namespace {

SchemaPtr schema_of(const Value& source, const Plan& plan) {
  SchemaOptions options;
  options.resolve = [&plan](std::string_view uri) -> const Value* {
    constexpr std::string_view kPrefix = "#/schemas/";
    if (!uri.starts_with(kPrefix)) return nullptr;
    for (const auto& [id, schema] : plan.schemas) {
      if (uri.substr(kPrefix.size()) == id) return &schema;
    }
    return nullptr;
  };
  return Schema::compile(source, options).schema;  // verify reports what is wrong with it
}

struct ToolEntry {
  std::vector<FunctionSpec> functions;
  std::string default_name;
  bool complete = true;
};

std::string_view text_setting(const Value& settings, std::string_view key) {
  const Value* value = settings.find(key);
  return value && value->is_string() ? value->as_string() : std::string_view();
}

// What a kind's own settings say of its functions.
void apply_kind(const NamedSettings& tool, std::vector<FunctionSpec>& functions) {
  const Value& settings = tool.settings;
  if (tool.kind == "process") {
    std::string_view mode = text_setting(settings, "stdout");
    for (FunctionSpec& function : functions) {
      function.streams = mode == "lines";
      if (mode == "lines" || mode == "text")
        function.output = Schema::literal(R"({"type": "string"})");
    }
  }
  if (tool.kind == "http") {
    std::string_view method = text_setting(settings, "method");
    bool reads = method.empty() || method == "GET" || method == "HEAD";
    for (FunctionSpec& function : functions) {
      function.effect = reads ? Effect::kRead : Effect::kOnce;
    }
  }
  if (tool.kind == "files") {
    const Value* write = settings.find("write");
    if (!write || !write->is_bool() || !write->as_bool()) {
      std::erase_if(functions, [](const FunctionSpec& f) { return f.name == "write"; });
    }
  }
  if (tool.kind == "table") {
    const Value* write = settings.find("write");
    if (!write || !write->is_bool() || !write->as_bool()) {
      std::erase_if(functions, [](const FunctionSpec& f) { return f.name != "rows"; });
    }
  }
}

ToolEntry entry_of(const NamedSettings& tool, const Plan& plan, const DiscoveredTool* discovered) {
  ToolEntry entry;
  entry.default_name = default_function(tool);
  const ToolKind* kind = find_tool_kind(tool.kind);
  if (discovered) {
    entry.functions = discovered->functions;
    if (entry.default_name.empty() && entry.functions.size() == 1) {
      entry.default_name = entry.functions[0].name;
    }
  } else if (kind) {
    entry.functions = kind->functions;
  }
  entry.complete = discovered || (kind && !kind->open);
  if (!discovered) apply_kind(tool, entry.functions);
  const Value* own = tool.settings.find("functions");
  if (!entry.complete && own) {  // a function that the settings speak of is there
    for (const auto& member : own->members()) {
      entry.functions.push_back({});
      entry.functions.back().name = member.first;
    }
  }
  for (FunctionSpec& function : entry.functions) {
    apply_settings(tool.settings, plan, function);
    const Value* more = own ? own->find(function.name) : nullptr;
    if (more) apply_settings(*more, plan, function);
  }
  return entry;
}

class PlanCatalog final : public ToolCatalog {
 public:
  PlanCatalog(const Plan& plan, std::span<const DiscoveredTool> discovered,
              const ToolCatalog* outer)
      : outer_(outer) {
    for (const NamedSettings& tool : plan.tools) {
      if (outer && tool.inherited) continue;
      auto found = std::ranges::find(discovered, tool.id, &DiscoveredTool::tool);
      entries_.emplace(tool.id,
                       entry_of(tool, plan, found == discovered.end() ? nullptr : &*found));
    }
  }

  const FunctionSpec* find(std::string_view tool, std::string_view function) const override {
    auto entry = entries_.find(tool);
    if (entry == entries_.end()) return outer_ ? outer_->find(tool, function) : nullptr;
    if (function.empty()) function = entry->second.default_name;
    auto found = std::ranges::find(entry->second.functions, function, &FunctionSpec::name);
    return found == entry->second.functions.end() ? nullptr : &*found;
  }
  bool complete(std::string_view tool) const override {
    auto entry = entries_.find(tool);
    if (entry == entries_.end()) return outer_ == nullptr || outer_->complete(tool);
    return entry->second.complete;
  }
  std::vector<std::string_view> function_names(std::string_view tool) const override {
    auto entry = entries_.find(tool);
    if (entry == entries_.end()) {
      return outer_ ? outer_->function_names(tool) : std::vector<std::string_view>{};
    }
    std::vector<std::string_view> names;
    for (const FunctionSpec& function : entry->second.functions) names.push_back(function.name);
    return names;
  }

 private:
  std::map<std::string, ToolEntry, std::less<>> entries_;
  const ToolCatalog* outer_;
};

}  // namespace

void apply_settings(const Value& settings, const Plan& plan, FunctionSpec& function) {
  if (auto effect = effect_from_name(text_setting(settings, "effect"))) function.effect = *effect;
  if (auto text = text_setting(settings, "description"); !text.empty()) function.description = text;
  if (const Value* input = settings.find("input")) function.input = schema_of(*input, plan);
  if (const Value* output = settings.find("output")) function.output = schema_of(*output, plan);
  if (auto ms = parse_duration_ms(text_setting(settings, "timeout"))) function.timeout_ms = *ms;
  if (const Value* limit = settings.find("concurrency");
      limit && limit->is_int() && limit->as_int() > 0 && limit->as_int() <= 100'000) {
    function.concurrency = static_cast<std::uint32_t>(limit->as_int());
  }
  if (const Value* bytes = settings.find("max_bytes");
      bytes && bytes->is_int() && bytes->as_int() > 0) {
    function.max_bytes = static_cast<std::uint64_t>(bytes->as_int());
  }
  if (const Value* bulk = settings.find("bulk");
      bulk && bulk->is_int() && bulk->as_int() > 1 && bulk->as_int() <= 10'000) {
    function.bulk = static_cast<std::uint32_t>(bulk->as_int());
  }
  if (const Value* probe = settings.find("probe")) {
    function.has_probe = true;
    function.probe = *probe;
  }
  if (const Value* undo = settings.find("undo")) function.undo = *undo;
}

std::string default_function(const NamedSettings& tool) {
  if (tool.kind == "python") {
    if (auto name = text_setting(tool.settings, "function"); !name.empty())
      return std::string(name);
    const Value* functions = tool.settings.find("functions");
    if (functions && functions->members().size() == 1) return functions->members()[0].first;
    return "";
  }
  const ToolKind* kind = find_tool_kind(tool.kind);
  return kind ? std::string(kind->default_function) : "";
}

std::unique_ptr<ToolCatalog> catalog_of(const Plan& plan,
                                        std::span<const DiscoveredTool> discovered) {
  return std::make_unique<PlanCatalog>(plan, discovered, nullptr);
}

std::unique_ptr<ToolCatalog> catalog_within(const Plan& sub_plan, const ToolCatalog& outer) {
  return std::make_unique<PlanCatalog>(sub_plan, std::span<const DiscoveredTool>(), &outer);
}

}  // namespace sluice
