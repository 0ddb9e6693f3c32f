// Ledger: what the tools of a simulated world really did, whoever remembers it. It lies outside of
// all processes: no crash touches it. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/value.h"
#include "plan/tool_spec.h"
#include "runtime/task_ref.h"

namespace sluice {

// A call arrived at a tool and had its effect.
struct Deed {
  CallRef call;
  std::string task;      // TaskId text
  std::string key;       // idempotency key
  std::string function;  // "t.pay"
  Effect effect = Effect::kPure;
  Value args;
  Value output;           // what the tool gave, whether or not the answer arrived
  bool repeated = false;  // the tool knew the key and did nothing new
  bool undo = false;
  SteadyNs at = 0;
  std::uint32_t process = 0;  // which one sent it
};

class Ledger {
 public:
  // The deed that this key stands for already; null: none.
  const Deed* find(const std::string& key) const;
  const Deed& add(Deed deed);
  const std::vector<Deed>& deeds() const { return deeds_; }

 private:
  std::vector<Deed> deeds_;
  std::map<std::string, std::size_t> first_;  // by key: index of the first deed
};

}  // namespace sluice
