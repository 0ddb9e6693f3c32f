#include "tools/settings.h"

#include <fmt/format.h>

#include "data/json.h"
#include "plan/logical.h"
#include "plan/tool_catalog.h"

namespace sluice {

std::string setting_text(const Value& settings, std::string_view key, std::string_view otherwise) {
  const Value* found = settings.find(key);
  return std::string(found != nullptr && found->is_string() ? found->as_string() : otherwise);
}

bool setting_flag(const Value& settings, std::string_view key, bool otherwise) {
  const Value* found = settings.find(key);
  return found != nullptr && found->is_bool() ? found->as_bool() : otherwise;
}

std::filesystem::path setting_path(const ToolSettings& settings, std::string_view key,
                                   std::string_view otherwise) {
  std::filesystem::path path = setting_text(settings.values, key, otherwise);
  return (settings.environment.work_dir / path).lexically_normal();
}

Result<std::vector<std::pair<std::string, std::string>>> setting_pairs(const Value& settings,
                                                                       std::string_view key) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const Value* found = settings.find(key);
  if (found == nullptr || found->is_null()) return pairs;
  if (!found->is_object()) {
    return fail(ErrorCode::kSettingInvalid, fmt::format("{} must be a map of names to texts", key));
  }
  for (const auto& [name, value] : found->members()) {
    std::string text = argument_text(value);
    // A line break would start a header of its own; a zero byte ends a text for the system.
    if (name.empty() || name.find_first_of(std::string_view("\r\n\0=: ", 6)) != std::string::npos ||
        text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return fail(ErrorCode::kSettingInvalid,
                  fmt::format("{}: the entry {} has a character that is not allowed there", key,
                              to_json(Value::string(name))));
    }
    pairs.emplace_back(name, std::move(text));
  }
  return pairs;
}

Result<std::vector<std::string>> setting_command(const ToolSettings& settings) {
  std::vector<std::string> argv;
  const Value* command = settings.values.find("command");
  if (command != nullptr && command->is_string()) argv.emplace_back(command->as_string());
  if (command != nullptr && command->is_array()) {
    for (const Value& part : command->items()) argv.push_back(argument_text(part));
  }
  if (argv.empty() || argv[0].empty()) {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("command must be a list that begins with the program, such as "
                            "[\"sort\", \"-u\"]"));
  }
  std::filesystem::path name = argv[0];
  if (name.is_relative() && argv[0].contains('/')) {
    argv[0] = (settings.environment.work_dir / name).lexically_normal().string();
  }
  return argv;
}

Result<ChildOptions> setting_program(const ToolSettings& settings) {
  ChildOptions program;
  auto argv = setting_command(settings);
  if (!argv) return std::unexpected(argv.error());
  program.argv = std::move(*argv);
  program.work_dir = setting_path(settings, "cwd", ".");
  auto variables = setting_pairs(settings.values, "env");
  if (!variables) return std::unexpected(variables.error());
  program.environment = std::move(*variables);
  return program;
}

std::string argument_text(const Value& value) {
  if (value.is_string()) return std::string(value.as_string());
  return to_json(value, {.redact_secrets = false});
}

Result<std::string> body_bytes(const Value& value) {
  if (value.kind() != Value::Kind::kBlob) return argument_text(value);
  auto bytes = value.blob_bytes();
  if (!bytes) return fail(ErrorCode::kToolFailed, "the bytes of a blob are not in memory");
  return std::string(*bytes);
}

std::vector<FunctionSpec> functions_of_kind(std::string_view kind, const Value& settings) {
  // The catalog of a plan with this one tool knows what settings mean for functions.
  Plan plan;
  NamedSettings tool;
  tool.id = "tool";
  tool.kind = kind;
  tool.settings = settings;
  plan.tools.push_back(std::move(tool));
  auto catalog = catalog_of(plan);
  std::vector<FunctionSpec> functions;
  for (std::string_view name : catalog->function_names("tool")) {
    functions.push_back(*catalog->find("tool", name));
  }
  return functions;
}

}  // namespace sluice
