// ValueStore: where large values rest between tasks. The state machine holds what `keep` gives; the
// binder and the Host call `load` before they read. In memory by default; the host's store spills.
#pragma once

#include <string>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

// The run's thread only.
class ValueStore {
 public:
  virtual ~ValueStore() = default;
  // The value itself, or a blob reference with media type kSpilledMediaType in its place. Then
  // `encoded`, unless null, gets the bytes (encode_value) whose SHA-256 the reference holds.
  virtual Value keep(Value value, std::string* encoded = nullptr) = 0;
  // Spilled values inside (also in arrays and objects) replaced by themselves. kIo.
  virtual Result<Value> load(const Value& value) = 0;
};

inline constexpr const char* kSpilledMediaType = "application/x-sluice-spilled";

// Keeps everything in memory.
class MemoryValueStore final : public ValueStore {
 public:
  Value keep(Value value, std::string*) override { return value; }
  Result<Value> load(const Value& value) override { return value; }
};

}  // namespace sluice
