// Failpoints: injected bugs and stops, switched on by tests while the program runs. One relaxed
// load when none is on. Any thread; switching is for tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sluice {

enum class Failpoint : std::uint8_t {
#define SLUICE_FAILPOINT(enumerator, name, mistake) enumerator,
#include "base/failpoints.def"
#undef SLUICE_FAILPOINT
#define SLUICE_INJECTED_FAULT(enumerator, what) enumerator,
#include "base/injected_faults.def"
#undef SLUICE_INJECTED_FAULT
  kEnd
};
static_assert(static_cast<unsigned>(Failpoint::kEnd) <= 64, "active_failpoints has 64 bits");

struct FailpointInfo {
  Failpoint point;
  std::string_view name;     // "skip_sync"
  std::string_view mistake;  // one line
  std::string_view enumerator;
};
std::span<const FailpointInfo> failpoints();  // mistakes of ours; faults from below are not listed
std::optional<Failpoint> failpoint_from_name(std::string_view name);

namespace detail {
extern std::atomic<std::uint64_t> active_failpoints;
}

// Whether the mistake is to be made here.
inline bool failpoint(Failpoint point) {
  const std::uint64_t active = detail::active_failpoints.load(std::memory_order_relaxed);
  return active != 0 && (active >> static_cast<unsigned>(point) & 1) != 0;
}

// On for the life of the object.
class FailpointScope {
 public:
  explicit FailpointScope(Failpoint point);
  ~FailpointScope();
  FailpointScope(const FailpointScope&) = delete;
  FailpointScope& operator=(const FailpointScope&) = delete;

 private:
  std::uint64_t bit_;
};

}  // namespace sluice
