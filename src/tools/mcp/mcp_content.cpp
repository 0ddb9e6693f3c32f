#include "tools/mcp/mcp_content.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "data/json.h"
#include "tools/base64.h"
#include "tools/text.h"

namespace sluice {
namespace {

std::string_view text_of(const Value& object, std::string_view key) {
  const Value* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string_view();
}

Result<Value> blob_of(std::string_view data, std::string_view media_type) {
  auto bytes = from_base64(data);
  if (!bytes) return std::unexpected(bytes.error());
  return Value::blob(std::move(*bytes),
                     std::string(media_type.empty() ? "application/octet-stream" : media_type));
}

Result<Value> part_of(const Value& part) {
  std::string_view type = text_of(part, "type");
  if (type == "text") return Value::string(text_of(part, "text"));
  if (type == "image" || type == "audio") {
    return blob_of(text_of(part, "data"), text_of(part, "mimeType"));
  }
  const Value* resource = part.find("resource");
  if (type == "resource" && resource != nullptr && resource->find("blob") != nullptr) {
    auto blob = blob_of(text_of(*resource, "blob"), text_of(*resource, "mimeType"));
    if (!blob) return blob;
    return Value::object({{"uri", Value::string(text_of(*resource, "uri"))},
                          {"mimeType", Value::string(text_of(*resource, "mimeType"))},
                          {"blob", std::move(*blob)}});
  }
  if (type == "resource" && resource != nullptr) return *resource;
  return part;
}

SchemaPtr schema_of(const Value& source, std::string_view tool) {
  auto compiled = Schema::compile(source, {.mode = SchemaMode::kLenient});
  for (const SchemaProblem& problem : compiled.problems) {
    log(LogLevel::kDebug, fmt::format("schema of the MCP tool {}: at {}: {}",
                                      one_line_start(tool, 60), problem.pointer, problem.message));
  }
  return compiled.schema;
}

}  // namespace

std::optional<FunctionSpec> mcp_function(const Value& tool) {
  FunctionSpec spec;
  spec.name = text_of(tool, "name");
  if (spec.name.empty()) return std::nullopt;
  spec.description = text_of(tool, "description");
  // A server's own hints (readOnlyHint, idempotentHint) are not proof: the plan says what may be
  // repeated.
  spec.effect = Effect::kOnce;
  if (const Value* input = tool.find("inputSchema"); input != nullptr && input->is_object()) {
    spec.input = schema_of(*input, spec.name);
  }
  if (const Value* output = tool.find("outputSchema"); output != nullptr && output->is_object()) {
    spec.output = schema_of(*output, spec.name);
  }
  return spec;
}

Result<Value> mcp_output(const Value& result) {
  std::vector<Value> parts;
  std::string words;
  const Value* content = result.find("content");
  if (content != nullptr && content->is_array()) {
    for (const Value& part : content->items()) {
      auto value = part_of(part);
      if (!value) return value;
      if (value->is_string()) words += (words.empty() ? "" : " ") + std::string(value->as_string());
      parts.push_back(std::move(*value));
    }
  }
  const Value* failed = result.find("isError");
  if (failed != nullptr && failed->is_bool() && failed->as_bool()) {
    return fail(ErrorCode::kToolFailed, words.empty() ? "the server reports an error without words"
                                                      : one_line_start(words, 1000));
  }
  const Value* structured = result.find("structuredContent");
  if (structured != nullptr && !structured->is_null()) return *structured;
  if (parts.empty()) return Value();
  if (parts.size() == 1) return std::move(parts[0]);
  return Value::array(std::move(parts));
}

}  // namespace sluice
