#include "base/failpoint.h"

#include <algorithm>
#include <array>

namespace sluice {
namespace {

constexpr auto kFailpoints = std::to_array<FailpointInfo>({
#define SLUICE_FAILPOINT(enumerator, name, mistake) {Failpoint::enumerator, name, mistake, #enumerator},
#include "base/failpoints.def"
#undef SLUICE_FAILPOINT
});

}  // namespace

namespace detail {
std::atomic<std::uint64_t> active_failpoints{0};
}

std::span<const FailpointInfo> failpoints() { return kFailpoints; }

std::optional<Failpoint> failpoint_from_name(std::string_view name) {
  auto found = std::ranges::find(kFailpoints, name, &FailpointInfo::name);
  if (found == kFailpoints.end()) return std::nullopt;
  return found->point;
}

FailpointScope::FailpointScope(Failpoint point) : bit_(1ULL << static_cast<unsigned>(point)) {
  detail::active_failpoints.fetch_or(bit_, std::memory_order_relaxed);
}
FailpointScope::~FailpointScope() {
  detail::active_failpoints.fetch_and(~bit_, std::memory_order_relaxed);
}

}  // namespace sluice
