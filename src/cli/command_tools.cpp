// sluice tools: what kinds of tools there are, or what the tools of a plan can do.
#include <fmt/format.h>

#include <memory>
#include <set>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/plan_file.h"
#include "cli/run_options.h"
#include "data/json.h"
#include "host/runs/list_tools.h"
#include "plan/tool_spec.h"

namespace sluice::cli {
namespace {

struct ToolsArguments {
  std::string plan;
  MachineOptions machine;
  bool json = false;
};

// "sql, args?, tables?": what must be given, then what may be.
std::string arguments_text(const FunctionSpec& spec) {
  if (!spec.input) return "...";
  const Value* properties = spec.input->source().find("properties");
  if (properties == nullptr || !properties->is_object()) return "";
  std::string needed, optional;
  for (const auto& [name, schema] : properties->members()) {
    const bool required = spec.input->type().requires_property(name);
    std::string& list = required ? needed : optional;
    list += fmt::format("{}{}{}", list.empty() ? "" : ", ", name, required ? "" : "?");
  }
  return needed + (needed.empty() || optional.empty() ? "" : ", ") + optional;
}

std::string function_text(const FunctionSpec& spec) {
  std::string line = fmt::format("  {}({})", spec.name, arguments_text(spec));
  line += fmt::format("{:<{}} {}", "", line.size() < 40 ? 40 - line.size() : 1,
                      effect_name(spec.effect));
  const std::string description = harmless(spec.description.substr(0, spec.description.find('\n')));
  if (!description.empty())
    line += fmt::format("{:<{}} {}", "", 12 - effect_name(spec.effect).size(), description);
  return line + "\n";
}

Value function_value(const FunctionSpec& spec) {
  return Value::object({{"name", Value::string(spec.name)},
                        {"description", Value::from_utf8(spec.description).value_or(Value())},
                        {"effect", Value::string(effect_name(spec.effect))},
                        {"input", spec.input ? spec.input->source() : Value()},
                        {"output", spec.output ? spec.output->source() : Value()},
                        {"timeout_ms", Value::integer(spec.timeout_ms)},
                        {"concurrency", Value::integer(spec.concurrency)}});
}

std::vector<ListedTool> kinds_as_list() {
  std::vector<ListedTool> list;
  for (const ToolKind& kind : tool_kinds())
    list.push_back({std::string(kind.name), "", kind.functions});
  return list;
}

int print_tools(const std::vector<ListedTool>& tools, bool json) {
  std::string text;
  std::vector<Value> values;
  for (const ListedTool& tool : tools) {
    std::vector<Value> functions;
    text += tool.kind.empty() ? tool.id + "\n" : fmt::format("{} ({})\n", tool.id, tool.kind);
    for (const FunctionSpec& spec : tool.functions) {
      text += function_text(spec);
      functions.push_back(function_value(spec));
    }
    const bool asked_later = tool.functions.empty() && tool.kind.empty();
    if (asked_later) text += "  its own functions: sluice tools PLAN asks a plan's tool for them\n";
    values.push_back(
        Value::object({{"name", Value::string(tool.id)},
                       {"kind", Value::string(tool.kind.empty() ? tool.id : tool.kind)},
                       {"functions", Value::array(std::move(functions))}}));
  }
  if (json) text = to_json(Value::array(std::move(values)), {.indent = 2}) + "\n";
  return print_text(text);
}

int tools_command(const ToolsArguments& arguments) {
  if (arguments.plan.empty()) return print_tools(kinds_as_list(), arguments.json);
  auto checked = require_plan(arguments.plan, false);
  if (!checked) return checked.error();
  auto tools = list_tools(checked->plan, settings_of(arguments.machine, checked->folder));
  if (!tools) {
    write_err(error_text(tools.error(), checked->files, terminal_of(2)));
    return exit_code_of(tools.error());
  }
  if (tools->empty() && !arguments.json) write_err("the plan names no tools\n");
  return print_tools(*tools, arguments.json);
}

}  // namespace

void add_tools(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ToolsArguments>();
  app.add_option("PLAN", arguments->plan, "A plan whose tools are opened and asked");
  add_directory_option(app, arguments->machine);
  app.add_flag("--json", arguments->json, "As JSON, with schemas");
  app.footer(
      "Effects say what may be repeated: pure, read, idempotent, once.\n"
      "\n"
      "Examples:\n"
      "  sluice tools\n"
      "  sluice tools plan.yaml --json\n");
  app.callback([arguments, &status] { status = tools_command(*arguments); });
}

}  // namespace sluice::cli
