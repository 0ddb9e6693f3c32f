#include "base/failpoint.h"

#include <algorithm>
#include <array>

namespace sluice {
namespace {

constexpr auto kFailpoints = std::to_array<FailpointInfo>({
#define SLUICE_FAILPOINT(enumerator, name, mistake) \
  {Failpoint::enumerator, name, mistake, #enumerator},
#include "base/failpoints.def"
#undef SLUICE_FAILPOINT
});

constexpr auto kPassFailpoints = std::to_array<FailpointInfo>({
#define SLUICE_PASS_FAILPOINT(enumerator, name, mistake) \
  {Failpoint::enumerator, name, mistake, #enumerator},
#include "base/pass_failpoints.def"
#undef SLUICE_PASS_FAILPOINT
});

}  // namespace

namespace detail {
std::array<std::atomic<std::uint64_t>, kFailpointWords> active_failpoints{};
}

std::span<const FailpointInfo> failpoints() { return kFailpoints; }
std::span<const FailpointInfo> pass_failpoints() { return kPassFailpoints; }

std::optional<Failpoint> failpoint_from_name(std::string_view name) {
  auto found = std::ranges::find(kFailpoints, name, &FailpointInfo::name);
  if (found == kFailpoints.end()) return std::nullopt;
  return found->point;
}

FailpointScope::FailpointScope(Failpoint point)
    : word_(detail::active_failpoints[static_cast<std::size_t>(point) / detail::kFailpointBits]),
      bit_(1ULL << static_cast<std::size_t>(point) % detail::kFailpointBits) {
  word_.fetch_or(bit_, std::memory_order_relaxed);
}
FailpointScope::~FailpointScope() { word_.fetch_and(~bit_, std::memory_order_relaxed); }

}  // namespace sluice
