// JSON text in and out. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/hash.h"
#include "data/value.h"

namespace sluice {

struct JsonLimits {
  std::size_t max_depth = 512;
  std::size_t max_bytes = std::size_t{1} << 30;
};

// Strict RFC 8259: no comments, no trailing commas, duplicate keys refused, valid UTF-8 only.
// Integers keep all their digits. Errors: kJsonInvalid with line and column in the message's pos.
Result<Value> parse_json(std::string_view text, const JsonLimits& limits = {});

// Canonical form: RFC 8785 (members sorted by UTF-16 code units, shortest round-trip numbers),
// except that integers keep all their digits. A blob becomes {"$blob":{sha256,media_type,size}},
// a vector {"$vector":[...]}.
std::string canonical_json(const Value& value);
Hash256 content_hash(const Value& value);  // sha256 of the canonical form

struct JsonFormat {
  int indent = 0;              // 0: one line
  bool redact_secrets = true;  // values labelled secret print as "[secret]"
};
// For people and for output: insertion order kept.
std::string to_json(const Value& value, const JsonFormat& format = {});

// At most `max_bytes`, cut at a character with "..." where longer; secrets redacted. For messages.
std::string preview(const Value& value, std::size_t max_bytes = 120);

}  // namespace sluice
