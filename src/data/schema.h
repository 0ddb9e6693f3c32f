// The one JSON Schema compiler (a stated subset of draft 2020-12): it gives the validator, the
// Type, and says what a grammar can enforce while a model decodes. The declared keywords are
// listed by schema_keywords() and in docs/formats/json-schema.md; others are refused by name in
// plans (kStrict) and reported as warnings in schemas that tools advertise (kLenient, ignored).
// Patterns are RE2. A Schema is immutable; validate from any thread.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/type.h"
#include "data/value.h"

namespace sluice {

enum class SchemaMode { kStrict, kLenient };

struct SchemaProblem {
  std::string pointer;                         // JSON Pointer into the schema
  ErrorCode code = ErrorCode::kSchemaInvalid;  // or kSchemaUnsupported
  std::string message;
};

struct SchemaViolation {
  std::string instance_pointer;  // "/headline"
  std::string schema_pointer;    // "/properties/headline/maxLength"
  std::string message;           // "must have at most 90 characters, has 131"
};

struct SchemaOptions {
  SchemaMode mode = SchemaMode::kStrict;
  // Resolves a `$ref` that is not inside the schema itself, e.g. "#/schemas/ID" of a plan. Returns
  // nullptr when unknown. The pointee must stay alive during the compile.
  std::function<const Value*(std::string_view uri)> resolve;
};

class Schema;
using SchemaPtr = std::shared_ptr<const Schema>;

struct SchemaCompilation {
  SchemaPtr schema;                     // null when there are errors
  std::vector<SchemaProblem> problems;  // errors (kStrict) or warnings (kLenient)
};

class Schema {
 public:
  static SchemaCompilation compile(const Value& schema, const SchemaOptions& options = {});
  // For schemas written in our own code: asserts that they compile.
  static SchemaPtr literal(std::string_view json);

  virtual ~Schema() = default;
  // Empty when valid; at most `max_violations`. Work is bounded by schema size times value size.
  virtual std::vector<SchemaViolation> validate(const Value& value,
                                                std::size_t max_violations = 8) const = 0;
  virtual bool valid(const Value& value) const = 0;
  virtual const Type& type() const = 0;
  virtual const Value& source() const = 0;  // as given, `$ref`s to outside inlined under "$defs"
  // The value of `default` at the root of each property, for parameters and settings.
  virtual Value with_defaults(const Value& object) const = 0;
  // Keywords (with pointers) that decoding under a grammar does not enforce: validate afterwards.
  virtual std::span<const std::string> not_in_grammar() const = 0;
};

// The keywords this compiler declares.
std::span<const std::string_view> schema_keywords();
// "at /headline: must have ...; at ..." for messages.
std::string describe(std::span<const SchemaViolation> violations);

}  // namespace sluice
