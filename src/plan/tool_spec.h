// What the rest of Sluice knows about a tool: its kind's settings and its functions with effect,
// schemas and limits. Pure data; immutable once built; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/schema.h"
#include "data/value.h"

namespace sluice {

// What a crash may repeat and what the optimizer may merge; weakest promise last.
enum class Effect : std::uint8_t { kPure, kRead, kIdempotent, kOnce };
std::string_view effect_name(Effect effect);
std::optional<Effect> effect_from_name(std::string_view name);

// One function of a tool.
struct FunctionSpec {
  std::string name;
  std::string description;
  Effect effect = Effect::kOnce;
  SchemaPtr input;   // of the whole `with` map; null: anything
  SchemaPtr output;  // null: anything
  std::int64_t timeout_ms = 60'000;
  std::uint32_t concurrency = 8;
  std::uint64_t max_bytes = 16ull << 20;
  bool streams = false;    // emits items as they come (process lines, a generator)
  std::uint32_t bulk = 0;  // calls that one may carry (effects pure and read only); 0: one
  bool has_probe = false;
  Value probe;  // settings of `probe`, `undo` as written; null: none
  Value undo;
};

// A kind of tool (process, http, sql, python, mcp, files, table): what its settings look like and
// the functions that it always has. Kinds with functions of their own (python, mcp) have `open`
// set: their functions are known once the tool has been asked.
struct ToolKind {
  std::string_view name;
  SchemaPtr settings;                   // of the map under the tool's id, without `kind`
  std::vector<FunctionSpec> functions;  // defaults; a plan's settings override
  bool open = false;
  std::string_view default_function;  // for `tool: NAME` without a function; "" when none
};

// The explicit table; adding a kind is one row. process, http, sql, python, mcp, files,
// table.
std::span<const ToolKind> tool_kinds();
const ToolKind* find_tool_kind(std::string_view name);

}  // namespace sluice
