// A file that a run reads from beginning to end and that must be the same when it goes on. Blocks
// while it reads; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

struct RunInput {
  std::string path;  // absolute
  std::uint64_t bytes = 0;
  std::string sha256;  // hex
  friend bool operator==(const RunInput&, const RunInput&) = default;
};

// kFileUnreadable.
Result<RunInput> look_at_input(const std::filesystem::path& file);

// Of those that a run began with: one sentence for each that is gone or is not what it was.
std::vector<std::string> changed_inputs(const std::vector<RunInput>& before);

Value encode_inputs(const std::vector<RunInput>& inputs);
std::vector<RunInput> decode_inputs(const Value* inputs);  // null: there are none

}  // namespace sluice
