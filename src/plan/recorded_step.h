// A step of a physical plan as it is recorded. Internal to the codec of physical plans. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "plan/physical.h"
#include "plan/recorded_fields.h"

namespace sluice {

// `plan`: the place of the step's sub-plan among the recorded plans, or kNoIndex.
Value record_step(const PhysicalStep& step, std::uint32_t plan);
// Sets `plan` likewise; what it names is for the caller to fill in. `self` is the step's own index:
// a step reads only those before it.
PhysicalStep read_step(const Value& record, std::uint32_t self, std::uint32_t& plan,
                       Damage& damage);

// Edges and inputs, of a step or of a plan's result; edges come from steps before `end`.
Value record_edges(const std::vector<Edge>& edges);
Value record_inputs(const std::vector<StepInput>& inputs);
std::vector<Edge> read_edges(FieldReader& from, std::string_view key, std::uint32_t end,
                             std::span<const StepInput> inputs);
// `edges`: how many edges there are.
std::vector<StepInput> read_inputs(FieldReader& from, std::string_view key, std::size_t edges);

Value record_budget(const Budget& budget);
Budget read_budget(FieldReader& from, std::string_view key);

namespace recorded {

inline constexpr NameTable<7> kOperators = {"llm",   "tool", "code", "plan",
                                            "value", "wait", "table"};
inline constexpr NameTable<4> kEdgeModes = {"whole", "slot", "status", "order"};
inline constexpr NameTable<3> kEdgeUses = {"items", "when", "body"};
inline constexpr NameTable<10> kSources = {"param",    "run_id", "item",  "index", "round",
                                           "previous", "output", "error", "edge",  "status"};
inline constexpr NameTable<4> kEffects = {"pure", "read", "idempotent", "once"};
inline constexpr NameTable<3> kJoins = {"skip", "fail", "value"};
inline constexpr NameTable<4> kOnError = {"fail", "skip", "value", "step"};

}  // namespace recorded

}  // namespace sluice
