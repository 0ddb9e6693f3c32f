// SETTING_INVALID: a tool says `bulk` of functions whose calls cannot go out together: those with
// effects, those that stream, and kinds that have no form for it.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

std::string_view text_setting(const NamedSettings& tool, std::string_view key,
                              std::string_view fallback) {
  const Value* value = tool.settings.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : fallback;
}

// Why no call of the tool can carry several; "" when one can.
std::string kind_refuses(const NamedSettings& tool) {
  if (tool.kind == "process") {
    const std::string_view mode = text_setting(tool, "stdout", "json");
    if (mode == "json") return "";
    return fmt::format("with stdout: {} a program's output is no list of results; bulk needs json",
                       mode);
  }
  if (tool.kind == "http") {
    const std::string_view method = text_setting(tool, "method", "GET");
    if (method == "POST" || method == "PUT" || method == "PATCH") return "";
    return fmt::format(
        "{} sends no body that could hold several calls; bulk needs POST, PUT or "
        "PATCH (and an effect of pure or read)",
        method);
  }
  if (tool.kind == "python" || tool.kind == "mcp") return "";
  return fmt::format("a {} tool has no bulk calls", tool.kind);
}

std::string function_refuses(const FunctionSpec& function) {
  if (function.effect > Effect::kRead) {
    return fmt::format(
        "{} has effect {}, and a bulk call that fails is made again call by call; only pure and "
        "read functions can be called in bulk (if it is one, say effect: pure or effect: read)",
        function.name, effect_name(function.effect));
  }
  if (function.streams) {
    return fmt::format("{} streams its items, and a bulk call gives its results at once",
                       function.name);
  }
  return "";
}

class BulkCheck {
 public:
  BulkCheck(const NamedSettings& tool, const ToolCatalog& tools, Diagnostics& out)
      : tool_(tool), tools_(tools), out_(out) {}

  void run() {
    const Value* functions = tool_.settings.find("functions");
    std::vector<std::string_view> own;  // functions that say it themselves
    if (functions != nullptr && functions->is_object()) {
      for (const auto& [name, settings] : functions->members()) {
        if (settings.find("bulk") != nullptr) own.push_back(name);
      }
    }
    const bool everywhere = tool_.settings.find("bulk") != nullptr;
    if (!everywhere && own.empty()) return;
    if (std::string why = kind_refuses(tool_); !why.empty()) {
      return refuse(everywhere ? "/bulk" : pointer_of(own.front()), why);
    }
    for (std::string_view name : own) check(name, pointer_of(name));
    if (!everywhere) return;
    for (std::string_view name : tools_.function_names(tool_.id)) {
      if (std::ranges::find(own, name) == own.end()) check(name, "/bulk");
    }
  }

 private:
  static std::string pointer_of(std::string_view function) {
    return fmt::format("/functions/{}/bulk", function);
  }

  // What effect a function has that has not been asked for is known where the plan says it.
  bool knows_effect(std::string_view name) const {
    if (tools_.complete(tool_.id) || tool_.settings.find("effect") != nullptr) return true;
    const Value* functions = tool_.settings.find("functions");
    const Value* own = functions != nullptr ? functions->find(name) : nullptr;
    return own != nullptr && own->find("effect") != nullptr;
  }

  void check(std::string_view name, const std::string& at) {
    const FunctionSpec* function = tools_.find(tool_.id, name);
    if (function == nullptr || !knows_effect(name)) return;  // looked at when the tool is open
    if (std::string why = function_refuses(*function); !why.empty()) refuse(at, why);
  }

  void refuse(const std::string& pointer, const std::string& why) {
    SourcePos pos = tool_.pos;
    for (std::string_view at = pointer; !at.empty(); at = at.substr(0, at.rfind('/'))) {
      auto found = tool_.positions.find(at);
      if (found == tool_.positions.end()) continue;
      pos = found->second;
      break;
    }
    out_.error(ErrorCode::kSettingInvalid, pos, fmt::format("tool {}: bulk: {}", tool_.id, why));
  }

  const NamedSettings& tool_;
  const ToolCatalog& tools_;
  Diagnostics& out_;
};

}  // namespace

void rule_bulk(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  for (const NamedSettings& tool : context.plan.tools) {
    if (!tool.inherited && find_tool_kind(tool.kind) != nullptr)
      BulkCheck(tool, context.tools, out).run();
  }
}

}  // namespace sluice
