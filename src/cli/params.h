// The parameters that a command line gives: --param NAME=VALUE, --params FILE, --input ROWS. Pure
// but for the files they name.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "plan/logical.h"

namespace sluice::cli {

struct ParamArguments {
  std::vector<std::string> values;  // NAME=VALUE or NAME=@FILE
  std::vector<std::string> files;   // JSON or YAML maps
  std::string input;                // rows
  std::string input_param;          // which parameter they are; "" when only one takes a list
};

// --param, --params, --input and --input-param.
void add_param_options(CLI::App& app, ParamArguments& arguments);

// Whether a parameter of the plan is a list, as rows can be.
bool takes_list(const Plan& plan);

// One object of all; later ones win, --param over files. kUsage, kFileUnreadable, kParamInvalid.
// What the plan makes of it is for bind_params to say.
Result<Value> collect_params(const Plan& plan, const ParamArguments& arguments);

// `text` as the parameter takes it: text where its schema takes only that, else JSON.
Result<Value> parse_param_value(const ParamSpec* spec, const std::string& name,
                                const std::string& text);

}  // namespace sluice::cli
