#include "base/pass_failpoint.h"

#include <array>

namespace sluice {
namespace {

constexpr auto kFailpoints = std::to_array<PassFailpointInfo>({
#define SLUICE_PASS_FAILPOINT(enumerator, name, mistake) \
  {PassFailpoint::enumerator, name, mistake, #enumerator},
#include "base/pass_failpoints.def"
#undef SLUICE_PASS_FAILPOINT
});

}  // namespace

namespace detail {
std::atomic<std::uint64_t> active_pass_failpoints{0};
}

std::span<const PassFailpointInfo> pass_failpoints() { return kFailpoints; }

PassFailpointScope::PassFailpointScope(PassFailpoint point)
    : bit_(1ULL << static_cast<unsigned>(point)) {
  detail::active_pass_failpoints.fetch_or(bit_, std::memory_order_relaxed);
}
PassFailpointScope::~PassFailpointScope() {
  detail::active_pass_failpoints.fetch_and(~bit_, std::memory_order_relaxed);
}

}  // namespace sluice
