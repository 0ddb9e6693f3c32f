#include "plan/tool_spec.h"

#include <algorithm>
#include <array>

#include "fmt/format.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 4> kEffectNames = {"pure", "read", "idempotent", "once"};

// What every kind takes beside its own settings, at the tool and again at each function.
constexpr std::string_view kCommonKeys = R"(
  "description": {"type": "string"},
  "effect": {"enum": ["pure", "read", "idempotent", "once"]},
  "input": {"type": ["object", "boolean"]},
  "output": {"type": ["object", "boolean"]},
  "timeout": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
  "concurrency": {"type": "integer", "minimum": 1, "maximum": 100000},
  "max_bytes": {"type": "integer", "minimum": 1},
  "bulk": {"type": "integer", "minimum": 2, "maximum": 10000},
  "probe": {"$ref": "#/$defs/call"},
  "undo": {"$ref": "#/$defs/call"})";

// A settings schema: the kind's own keys, the common ones, and the same for each function.
SchemaPtr settings_schema(std::string_view own, std::string_view required) {
  return Schema::literal(fmt::format(R"({{
    "type": "object", "additionalProperties": false, "required": [{}],
    "properties": {{ {}, {},
      "functions": {{"type": "object", "additionalProperties": {{"$ref": "#/$defs/function"}}}} }},
    "$defs": {{
      "call": {{"type": "object", "additionalProperties": false, "required": ["tool"],
        "properties": {{"tool": {{"type": "string"}}, "with": {{"type": "object"}}}} }},
      "function": {{"type": "object", "additionalProperties": false, "properties": {{ {} }} }}
    }} }})",
                                     required, own, kCommonKeys, kCommonKeys));
}

struct FunctionRow {
  std::string_view name;
  std::string_view description;
  Effect effect;
  std::string_view input;
  std::string_view output;  // "" means anything
};

FunctionSpec function_of(const FunctionRow& row) {
  FunctionSpec spec;
  spec.name = row.name;
  spec.description = row.description;
  spec.effect = row.effect;
  spec.input = Schema::literal(row.input);
  if (!row.output.empty()) spec.output = Schema::literal(row.output);
  return spec;
}

constexpr FunctionRow kProcessRun = {
    "run", "Starts the command with more arguments and an input", Effect::kOnce,
    R"({"type": "object", "additionalProperties": false, "properties": {
      "args": {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
      "stdin": {"description": "text as it is, all else as JSON"}}})",
    ""};
constexpr FunctionRow kHttpRequest = {
    "request", "One request; the body of the answer as JSON or text", Effect::kOnce,
    R"({"type": "object", "additionalProperties": false, "properties": {
      "path": {"type": "string"},
      "query": {"type": "object"},
      "body": {}}})",
    ""};
constexpr FunctionRow kSqlQuery = {
    "query", "Rows of one statement that reads, each an object", Effect::kRead,
    R"({"type": "object", "additionalProperties": false, "required": ["sql"], "properties": {
      "sql": {"type": "string", "minLength": 1},
      "args": {"type": ["array", "object"]},
      "tables": {"type": "object", "additionalProperties": {"type": "array"}}}})",
    R"({"type": "array", "items": {"type": "object"}})"};
constexpr FunctionRow kSqlExec = {
    "exec", "One statement that changes the database", Effect::kOnce,
    R"({"type": "object", "additionalProperties": false, "required": ["sql"], "properties": {
      "sql": {"type": "string", "minLength": 1},
      "args": {"type": ["array", "object"]}}})",
    ""};
constexpr FunctionRow kFilesGlob = {
    "glob", "The files that match a pattern, sorted, relative to root", Effect::kRead,
    R"({"type": "object", "additionalProperties": false, "required": ["pattern"], "properties": {
      "pattern": {"type": "string", "minLength": 1},
      "limit": {"type": "integer", "minimum": 1}}})",
    R"({"type": "array", "items": {"type": "string"}})"};
constexpr FunctionRow kFilesRead = {
    "read", "A file's text; a .gz is unpacked", Effect::kRead,
    R"({"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
      "path": {"type": "string", "minLength": 1},
      "gz": {"type": "boolean"},
      "max_bytes": {"type": "integer", "minimum": 1},
      "as": {"enum": ["text", "blob"]},
      "encoding": {"enum": ["utf-8", "latin-1"]}}})",
    ""};
constexpr FunctionRow kFilesWrite = {
    "write", "Replaces a file as a whole", Effect::kIdempotent,
    R"({"type": "object", "additionalProperties": false, "required": ["path", "text"],
      "properties": {"path": {"type": "string", "minLength": 1}, "text": {}}})",
    ""};

constexpr FunctionRow kTableRows = {
    "rows", "The rows of the file, each an object, in their order", Effect::kRead,
    R"({"type": "object", "additionalProperties": false, "properties": {
      "limit": {"type": "integer", "minimum": 1}}})",
    R"({"type": "object"})"};
constexpr FunctionRow kTableBegin = {
    "begin", "Opens the work file of a run", Effect::kIdempotent,
    R"({"type": "object", "additionalProperties": false, "required": ["run"],
      "properties": {"run": {"type": "string", "minLength": 1}}})",
    R"({"type": "null"})"};
constexpr FunctionRow kTablePut = {
    "put", "Keeps what became of a row", Effect::kIdempotent,
    R"({"type": "object", "additionalProperties": false, "required": ["row"], "properties": {
      "row": {"type": "integer", "minimum": 0},
      "value": {},
      "error": {},
      "input": {"type": ["object", "null"]}}})",
    R"({"type": "null"})"};
constexpr FunctionRow kTableFinish = {
    "finish", "Writes the file from all rows that were kept", Effect::kIdempotent,
    R"({"type": "object", "additionalProperties": false, "properties": {
      "order": {"enum": ["row", "arrival"]},
      "keep_null": {"type": "boolean"},
      "columns": {"type": "array", "items": {"type": "string"}}}})",
    R"({"type": "object"})"};
constexpr FunctionRow kTableTidy = {"tidy", "Removes the work file", Effect::kIdempotent,
                                    R"({"type": "object", "additionalProperties": false})",
                                    R"({"type": "null"})"};

ToolKind process_kind() {
  return {"process",
          settings_schema(R"(
      "command": {"type": ["string", "array"], "minLength": 1, "minItems": 1,
        "items": {"type": "string"}},
      "stdout": {"enum": ["json", "text", "lines"]},
      "cwd": {"type": "string"},
      "env": {"type": "object", "additionalProperties": {"type": "string"}})",
                          "\"command\""),
          {function_of(kProcessRun)},
          false,
          "run"};
}

ToolKind http_kind() {
  return {"http",
          settings_schema(R"(
      "url": {"type": "string", "pattern": "^https?://"},
      "method": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]},
      "headers": {"type": "object", "additionalProperties": {"type": "string"}})",
                          "\"url\""),
          {function_of(kHttpRequest)},
          false,
          "request"};
}

ToolKind sql_kind() {
  return {"sql",
          settings_schema(R"(
      "database": {"type": "string"},
      "init": {"type": "string"})",
                          ""),
          {function_of(kSqlQuery), function_of(kSqlExec)},
          false,
          ""};
}

ToolKind python_kind() {
  return {"python",
          settings_schema(R"(
      "file": {"type": "string", "minLength": 1},
      "code": {"type": "string", "minLength": 1},
      "function": {"type": "string", "minLength": 1})",
                          ""),
          {},
          true,
          ""};
}

ToolKind mcp_kind() {
  return {"mcp",
          settings_schema(R"(
      "command": {"type": ["string", "array"], "minLength": 1, "minItems": 1,
        "items": {"type": "string"}},
      "cwd": {"type": "string"},
      "env": {"type": "object", "additionalProperties": {"type": "string"}})",
                          "\"command\""),
          {},
          true,
          ""};
}

ToolKind files_kind() {
  return {"files",
          settings_schema(R"(
      "root": {"type": "string", "minLength": 1},
      "write": {"type": "boolean"})",
                          "\"root\""),
          {function_of(kFilesGlob), function_of(kFilesRead), function_of(kFilesWrite)},
          false,
          ""};
}

// Whole tables are read and written: an hour of it is no sign that something hangs.
ToolKind table_kind() {
  constexpr std::int64_t kDayMs = 24 * 3'600'000LL;
  constexpr std::uint32_t kRowsAtOnce = 256;  // they are stored together
  ToolKind kind{"table",
                settings_schema(R"(
      "file": {"type": "string", "minLength": 1},
      "format": {"enum": ["jsonl", "csv", "tsv", "sqlite"]},
      "query": {"type": "string", "minLength": 1},
      "table": {"type": "string", "minLength": 1},
      "write": {"type": "boolean"},
      "whole": {"type": "boolean"},
      "columns": {"type": "object", "additionalProperties": {"type": ["object", "boolean"]}})",
                                "\"file\""),
                {function_of(kTableRows), function_of(kTableBegin), function_of(kTablePut),
                 function_of(kTableFinish), function_of(kTableTidy)},
                false,
                ""};
  for (FunctionSpec& function : kind.functions) {
    function.timeout_ms = kDayMs;
    function.concurrency = kRowsAtOnce;
    function.streams = function.name == "rows";
  }
  return kind;
}

}  // namespace

std::string_view effect_name(Effect effect) {
  return kEffectNames[static_cast<std::size_t>(effect)];
}

std::optional<Effect> effect_from_name(std::string_view name) {
  const auto* found = std::ranges::find(kEffectNames, name);
  if (found == kEffectNames.end()) return std::nullopt;
  return static_cast<Effect>(found - kEffectNames.begin());
}

std::span<const ToolKind> tool_kinds() {
  static const std::vector<ToolKind> kinds = {process_kind(), http_kind(), sql_kind(),
                                              python_kind(),  mcp_kind(),  files_kind(),
                                              table_kind()};
  return kinds;
}

const ToolKind* find_tool_kind(std::string_view name) {
  auto kinds = tool_kinds();
  auto found = std::ranges::find(kinds, name, &ToolKind::name);
  return found == kinds.end() ? nullptr : &*found;
}

}  // namespace sluice
