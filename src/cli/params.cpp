#include "cli/params.h"

#include <fmt/format.h>

#include <utility>

#include "data/json.h"
#include "host/files/read_file.h"
#include "host/files/row_file.h"
#include "plan/names.h"
#include "plan/text_tree.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMaxParamBytes = std::size_t{256} << 20;

using Members = std::vector<Value::Member>;

Result<void> add_value(const Plan& plan, const std::string& argument, Members& out) {
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0) {
    return fail(ErrorCode::kUsage,
                fmt::format("--param takes NAME=VALUE, not '{}'", shown(argument)));
  }
  const std::string name = argument.substr(0, equals);
  std::string text = argument.substr(equals + 1);
  if (text.starts_with("@@")) {
    text.erase(0, 1);
  } else if (text.starts_with('@')) {
    auto content = read_file(text.substr(1), kMaxParamBytes);
    if (!content) return std::unexpected(content.error());
    text = std::move(*content);
  }
  auto value = parse_param_value(plan.find_param(name), name, text);
  if (!value) return std::unexpected(value.error());
  out.emplace_back(name, std::move(*value));
  return {};
}

// YAML, of which JSON is a part.
Result<void> add_file(const std::string& file, Members& out) {
  auto text = read_file(file, kMaxParamBytes);
  if (!text) return std::unexpected(text.error());
  if (text->find_first_not_of(" \t\r\n") == std::string::npos) {
    return fail(ErrorCode::kParamInvalid,
                fmt::format("{} is empty; write a map of parameters", file));
  }
  Diagnostics findings;
  ParseLimits limits;
  limits.max_bytes = kMaxParamBytes;
  auto tree = read_text_tree(*text, 0, limits, findings);
  if (!tree || findings.has_errors()) {
    for (const Diagnostic& finding : findings.all()) {
      return fail(ErrorCode::kParamInvalid, fmt::format("{}:{}:{}: {}", file, finding.pos.line,
                                                        finding.pos.column, finding.message));
    }
    return fail(ErrorCode::kParamInvalid, fmt::format("{} is not well-formed", file));
  }
  const Value value = tree->to_value();
  if (!value.is_object()) {
    return fail(ErrorCode::kParamInvalid,
                fmt::format("{} holds {}, not a map of parameters", file, kind_name(value.kind())));
  }
  for (const auto& member : value.members()) out.push_back(member);
  return {};
}

std::vector<std::string> list_params(const Plan& plan) {
  std::vector<std::string> lists;
  for (const ParamSpec& param : plan.params) {
    const Type type = param.schema ? param.schema->type() : Type::any();
    if (!type.is_any() && type.can_be(Type::kArray)) lists.push_back(param.id);
  }
  return lists;
}

Result<std::string> row_param(const Plan& plan, const std::string& given) {
  if (!given.empty()) return given;
  const std::vector<std::string> lists = list_params(plan);
  if (lists.size() == 1) return lists.front();
  return fail(ErrorCode::kUsage,
              fmt::format("the plan has {} parameters that take a list; {}say which one the rows "
                          "are with --input-param NAME",
                          lists.empty() ? "no" : "several",
                          lists.empty() ? "run it for each row with sluice batch, or " : ""));
}

}  // namespace

bool takes_list(const Plan& plan) { return !list_params(plan).empty(); }

void add_param_options(CLI::App& app, ParamArguments& arguments) {
  app.add_option("-p,--param", arguments.values,
                 "A parameter as NAME=VALUE; NAME=@FILE takes the file's text")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("--params", arguments.files, "Parameters from a YAML or JSON map")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--input", arguments.input, "Rows from .jsonl, .csv, .tsv or .json, as one list")
      ->type_name("FILE");
  app.add_option("--input-param", arguments.input_param,
                 "The parameter that the rows are (default: the only one that takes a list)")
      ->type_name("NAME");
}

Result<Value> parse_param_value(const ParamSpec* spec, const std::string& name,
                                const std::string& text) {
  const Type type = spec != nullptr && spec->schema ? spec->schema->type() : Type::any();
  auto as_text = [&]() -> Result<Value> {
    auto value = Value::from_utf8(text);
    if (value) return value;
    return fail(ErrorCode::kParamInvalid, fmt::format("parameter {} is not UTF-8 text", name));
  };
  if (type.kinds() == Type::kString) return as_text();
  auto value = parse_json(text);
  if (value) return value;
  if (type.can_be(Type::kString)) return as_text();
  return fail(ErrorCode::kParamInvalid,
              fmt::format("parameter {} takes {}, and '{}' is not JSON: {}", name, type.to_string(),
                          shown(text), value.error().message()));
}

Result<Value> collect_params(const Plan& plan, const ParamArguments& arguments) {
  Members members;
  for (const std::string& file : arguments.files) {
    if (auto added = add_file(file, members); !added) return std::unexpected(added.error());
  }
  if (!arguments.input.empty()) {
    auto name = row_param(plan, arguments.input_param);
    if (!name) return std::unexpected(name.error());
    auto rows = read_rows(arguments.input);
    if (!rows) return std::unexpected(rows.error());
    members.emplace_back(*name, std::move(*rows));
  } else if (!arguments.input_param.empty()) {
    return fail(ErrorCode::kUsage, "--input-param needs --input FILE");
  }
  for (const std::string& value : arguments.values) {
    if (auto added = add_value(plan, value, members); !added) return std::unexpected(added.error());
  }
  return Value::object(std::move(members));
}

}  // namespace sluice::cli
