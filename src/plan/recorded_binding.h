// Values with expressions as they are recorded: constants as themselves, expressions as their text.
// Internal to the codec of physical plans. One thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "plan/physical.h"
#include "plan/recorded_fields.h"

namespace sluice {

Value record_binding(const Binding& binding);
Value record_tree(const BoundTree& tree);
void write_tree(FieldWriter& into, std::string_view key, const std::optional<BoundTree>& tree);

// `where` is for messages.
Binding read_binding(const Value& record, const std::string& where, Damage& damage);
// `inputs`: what its expressions may read.
BoundTree read_tree(const Value& record, std::span<const StepInput> inputs,
                    const std::string& where, Damage& damage);
std::optional<BoundTree> read_tree(FieldReader& from, std::string_view key,
                                   std::span<const StepInput> inputs);

}  // namespace sluice
