#include "plan/model_spec.h"

#include <algorithm>
#include <string>
#include <vector>

#include "fmt/format.h"

namespace sluice {
namespace {

constexpr std::string_view kSamplingKeys = R"(
  "max_tokens": {"type": "integer", "minimum": 1},
  "temperature": {"type": "number", "minimum": 0, "maximum": 10},
  "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
  "seed": {"type": "integer", "minimum": 0},
  "stop": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16})";

SchemaPtr model_settings(std::string_view own, std::string_view required) {
  return Schema::literal(fmt::format(R"({{
    "type": "object", "additionalProperties": false, "required": [{}],
    "properties": {{ {},
      "concurrency": {{"type": "integer", "minimum": 1, "maximum": 100000}},
      "timeout": {{"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}},
      "deterministic": {{"type": "boolean"}},
      "first": {{"type": "string", "minLength": 1}},
      "least_confidence": {{"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
      "sampling": {{"type": "object", "additionalProperties": false,
        "properties": {{ {} }} }} }} }})",
                                     required, own, kSamplingKeys));
}

FunctionSpec make_llm_function() {
  FunctionSpec spec;
  spec.name = "llm";
  spec.description = "Asks a language model";
  spec.effect = Effect::kPure;
  spec.timeout_ms = 0;
  spec.input = Schema::literal(fmt::format(R"({{
    "type": "object", "additionalProperties": false,
    "properties": {{
      "messages": {{"type": "array", "minItems": 1, "items": {{
        "type": "object", "required": ["role", "content"], "additionalProperties": false,
        "properties": {{
          "role": {{"enum": ["system", "user", "assistant", "tool"]}},
          "content": {{}},
          "tool_calls": {{"type": "array"}},
          "tool_call_id": {{"type": "string"}} }} }} }},
      "prompt": {{"type": "string"}},
      "tools": {{"type": "array", "items": {{"type": "string"}}}},
      "turns": {{"type": "integer", "minimum": 1, "maximum": 1000}},
      "logprobs": {{"type": "boolean"}},
      "top_logprobs": {{"type": "integer", "minimum": 0, "maximum": 20}},
      {} }} }})",
                                           kSamplingKeys));
  return spec;
}

}  // namespace

std::span<const ModelKind> model_kinds() {
  static const std::vector<ModelKind> kinds = {
      {"embedded", model_settings(R"(
        "file": {"type": "string", "minLength": 1},
        "context": {"type": "integer", "minimum": 16},
        "pool": {"type": "integer", "minimum": 16},
        "policies": {"type": "object", "additionalProperties": false,
          "properties": {
            "order": {"enum": ["program", "arrival", "deadline", "sharing"]},
            "batch": {"enum": ["cost", "fixed"]},
            "admission": {"enum": ["expected", "worst_case"]},
            "lifetime": {"enum": ["cost", "recent", "drop"]},
            "fairness": {"enum": ["service", "none"]} } })",
                                  "\"file\"")},
      {"openai", model_settings(R"(
        "url": {"type": "string", "pattern": "^https?://"},
        "model": {"type": "string"},
        "key": {"type": "string"},
        "price": {"type": "object", "additionalProperties": false,
          "properties": {
            "prompt": {"type": "number", "minimum": 0},
            "completion": {"type": "number", "minimum": 0} } })",
                                "\"url\"")},
  };
  return kinds;
}

const ModelKind* find_model_kind(std::string_view name) {
  auto kinds = model_kinds();
  auto found = std::ranges::find(kinds, name, &ModelKind::name);
  return found == kinds.end() ? nullptr : &*found;
}

const FunctionSpec& llm_function() {
  static const FunctionSpec spec = make_llm_function();
  return spec;
}

}  // namespace sluice
