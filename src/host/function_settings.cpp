#include "host/function_settings.h"

#include <fmt/format.h>

#include "plan/duration.h"

namespace sluice {
namespace {

Result<void> apply_schema(const Value* source, const FunctionSpec& spec, SchemaPtr& out) {
  if (source == nullptr) return {};
  SchemaCompilation compiled = Schema::compile(*source);
  if (compiled.schema == nullptr) {
    return fail(ErrorCode::kSettingInvalid,
                fmt::format("the schema stated for function {} is wrong: {}", spec.name,
                            compiled.problems.empty() ? "it does not compile"
                                                      : compiled.problems.front().message));
  }
  out = compiled.schema;
  return {};
}

Result<void> apply_keys(const Value& keys, FunctionSpec& spec) {
  if (const Value* text = keys.find("description"); text != nullptr && text->is_string()) {
    spec.description = text->as_string();
  }
  if (const Value* name = keys.find("effect"); name != nullptr && name->is_string()) {
    spec.effect = effect_from_name(name->as_string()).value_or(spec.effect);
  }
  if (const Value* text = keys.find("timeout"); text != nullptr && text->is_string()) {
    auto ms = parse_duration_ms(text->as_string());
    if (!ms) return std::unexpected(ms.error());
    spec.timeout_ms = *ms;
  }
  if (const Value* number = keys.find("concurrency"); number != nullptr && number->is_int()) {
    spec.concurrency = static_cast<std::uint32_t>(number->as_int());
  }
  if (const Value* number = keys.find("max_bytes"); number != nullptr && number->is_int()) {
    spec.max_bytes = static_cast<std::uint64_t>(number->as_int());
  }
  if (const Value* probe = keys.find("probe")) {
    spec.probe = *probe;
    spec.has_probe = true;
  }
  if (const Value* undo = keys.find("undo")) spec.undo = *undo;
  if (auto input = apply_schema(keys.find("input"), spec, spec.input); !input) return input;
  return apply_schema(keys.find("output"), spec, spec.output);
}

}  // namespace

Result<void> apply_function_settings(const Value& settings, FunctionSpec& spec) {
  if (auto common = apply_keys(settings, spec); !common) return common;
  const Value* functions = settings.find("functions");
  const Value* own = functions == nullptr ? nullptr : functions->find(spec.name);
  return own == nullptr ? Result<void>() : apply_keys(*own, spec);
}

}  // namespace sluice
