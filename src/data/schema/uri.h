// The part of RFC 3986 that `$id` and `$ref` need. Pure functions of src/data only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::json_schema {

// Section 5.2: `reference` as seen from `base`. An empty base leaves it as it is.
std::string resolve_uri(std::string_view base, std::string_view reference);

struct SplitUri {
  std::string resource;                 // without the fragment and its #
  std::optional<std::string> fragment;  // percent-decoded; nullopt when there is no #
};
SplitUri split_fragment(std::string_view uri);

// JSON Pointer (RFC 6901): one token escaped, and a pointer as its tokens (nullopt: none).
std::string escape_pointer_token(std::string_view token);
std::optional<std::vector<std::string>> pointer_tokens(std::string_view pointer);

}  // namespace sluice::json_schema
