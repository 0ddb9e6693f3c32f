// What a value carries about where it came from. Labels travel in the value's handle and are
// unioned when something is derived from it.
#pragma once

#include <cstdint>

namespace sluice {

struct Labels {
  bool secret = false;       // never printed: logs, journal views and traces show "[secret]"
  bool untrusted = false;    // from a model, a tool or another system; may not decide on its own
  std::uint32_t tenant = 0;  // 0: nobody's; kManyTenants: derived from values of several tenants

  static constexpr std::uint32_t kManyTenants = 0xFFFF'FFFF;

  bool none() const { return !secret && !untrusted && tenant == 0; }
  friend bool operator==(const Labels&, const Labels&) = default;
};

constexpr Labels operator|(Labels a, Labels b) {
  std::uint32_t tenant = a.tenant == b.tenant || b.tenant == 0 ? a.tenant
                         : a.tenant == 0                       ? b.tenant
                                                               : Labels::kManyTenants;
  return {a.secret || b.secret, a.untrusted || b.untrusted, tenant};
}

}  // namespace sluice
