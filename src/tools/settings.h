// Reads a tool's settings, which have been checked against the schema of the kind already: what is
// wrong here all the same is a kSettingInvalid, never a crash. Pure; any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "plan/tool_spec.h"
#include "tools/child.h"
#include "tools/tool.h"

namespace sluice {

// What every kind's factory gets.
struct ToolSettings {
  std::string id;  // as the plan names the tool
  const Value& values;
  const ToolEnvironment& environment;
};

std::string setting_text(const Value& settings, std::string_view key,
                         std::string_view otherwise = "");
bool setting_flag(const Value& settings, std::string_view key, bool otherwise);
// A file or folder, from the plan's folder where it is relative.
std::filesystem::path setting_path(const ToolSettings& settings, std::string_view key,
                                   std::string_view otherwise);
// {name: text or number}; headers, environment.
Result<std::vector<std::pair<std::string, std::string>>> setting_pairs(const Value& settings,
                                                                       std::string_view key);
// `command`: a program alone or a list that begins with it; there is no shell. A relative path to
// a program starts at the plan's folder. kSettingInvalid.
Result<std::vector<std::string>> setting_command(const ToolSettings& settings);
// The program that `command`, `cwd` and `env` describe.
Result<ChildOptions> setting_program(const ToolSettings& settings);
// A scalar or anything else as the text that goes into an argument: strings as they are, the rest
// as JSON.
std::string argument_text(const Value& value);

// The bytes that go out for a value: a string's or blob's own bytes, JSON for the rest. kToolFailed
// for a blob whose bytes are not here.
Result<std::string> body_bytes(const Value& value);

// The functions of a closed kind with what the settings say over them.
std::vector<FunctionSpec> functions_of_kind(std::string_view kind, const Value& settings);

}  // namespace sluice
