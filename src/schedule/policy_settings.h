// Which policies an engine uses and their few settings. The defaults are good without any setting.
// Names are those of the tables in schedule/policies.h, one file each. Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace sluice {

// Names of policies; "" where somebody has no wish.
struct PolicyNames {
  std::string order;      // program | arrival | deadline | sharing
  std::string batch;      // cost | fixed
  std::string admission;  // expected | worst_case
  std::string lifetime;   // cost | recent | drop
  std::string fairness;   // service | none
};

struct PolicySettings {
  PolicyNames names{.order = "program",
                    .batch = "cost",
                    .admission = "expected",
                    .lifetime = "cost",
                    .fairness = "service"};
  // Decoding sequences get their next token within this time where prefill can be cut so.
  std::int64_t between_tokens_ms = 250;
  // A request that waits or is passed over for this long, and for several times what all that is
  // here would take, goes first within its priority and tenant, whatever its order says.
  std::int64_t aged_ms = 30'000;
  // Part of the pool that admission by expected lengths may fill.
  double fill = 0.95;
  std::map<std::string, double> tenant_weights;  // 1 for those not named
};

}  // namespace sluice
