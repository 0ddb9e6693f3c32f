// What the rest of Sluice knows about models: the kinds of a plan's `models` section, and what an
// llm step takes in `with`. Pure data; any thread.
#pragma once

#include <span>
#include <string_view>

#include "plan/tool_spec.h"

namespace sluice {

struct ModelKind {
  std::string_view name;
  SchemaPtr settings;  // of the map under the model's id, without `kind`
};

// The explicit table: embedded, openai.
std::span<const ModelKind> model_kinds();
const ModelKind* find_model_kind(std::string_view name);

// An llm step's `with`: messages or prompt, tools, turns and sampling. Its output is a string.
const FunctionSpec& llm_function();

}  // namespace sluice
