// SimValues: the ValueStore of a simulated process. Larger values rest in the journal's content
// store; what this process has kept itself it finds in memory, all else it reads back. One thread.
#pragma once

#include <functional>
#include <map>

#include "runtime/value_store.h"

namespace sluice {

class SimValues final : public ValueStore {
 public:
  using Fetch = std::function<Result<std::string>(const Hash256& hash)>;
  // `spills` false: everything stays in memory.
  SimValues(bool spills, Fetch fetch) : spills_(spills), fetch_(std::move(fetch)) {}

  Value keep(Value value, std::string* encoded = nullptr) override;
  Result<Value> load(const Value& value) override;

 private:
  bool spills_;
  Fetch fetch_;
  std::map<Hash256, Value> kept_;
};

}  // namespace sluice
