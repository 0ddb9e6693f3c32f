// The schema of several answers in one object. Pure; any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "data/schema.h"

namespace sluice {

struct JointField {
  std::string name;
  SchemaPtr schema;           // null: a text
  std::uint64_t longest = 0;  // of a text, in characters; 0: not bounded
};

// An object with exactly these fields; what their schemas define moves to the object's own
// definitions. The error says what is in the way, for people.
std::expected<SchemaPtr, std::string> joint_schema(const std::vector<JointField>& fields);

}  // namespace sluice
