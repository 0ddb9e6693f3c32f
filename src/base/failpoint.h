// Failpoints: injected bugs and stops, switched on by tests while the program runs, to prove that
// the laws of durability (docs/injected_bugs.md) and of exact passes (docs/injected_pass_bugs.md)
// would find them. One relaxed load when none is on. Any thread; switching is for tests.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sluice {

enum class Failpoint : std::uint8_t {
#define SLUICE_FAILPOINT(enumerator, name, mistake) enumerator,
#include "base/failpoints.def"
#undef SLUICE_FAILPOINT
#define SLUICE_PASS_FAILPOINT(enumerator, name, mistake) enumerator,
#include "base/pass_failpoints.def"
#undef SLUICE_PASS_FAILPOINT
#define SLUICE_INJECTED_FAULT(enumerator, what) enumerator,
#include "base/injected_faults.def"
#undef SLUICE_INJECTED_FAULT
  kEnd
};

struct FailpointInfo {
  Failpoint point;
  std::string_view name;     // "skip_sync"
  std::string_view mistake;  // one line
  std::string_view enumerator;
};
// Mistakes of ours; faults from below are not listed.
std::span<const FailpointInfo> failpoints();       // of durability
std::span<const FailpointInfo> pass_failpoints();  // of optimizer passes
std::optional<Failpoint> failpoint_from_name(std::string_view name);

namespace detail {
inline constexpr std::size_t kFailpointBits = 64;
inline constexpr std::size_t kFailpointWords =
    (static_cast<std::size_t>(Failpoint::kEnd) + kFailpointBits - 1) / kFailpointBits;
extern std::array<std::atomic<std::uint64_t>, kFailpointWords> active_failpoints;
}  // namespace detail

// Whether the mistake is to be made here.
inline bool failpoint(Failpoint point) {
  const auto number = static_cast<std::size_t>(point);
  const std::uint64_t active =
      detail::active_failpoints[number / detail::kFailpointBits].load(std::memory_order_relaxed);
  return active != 0 && (active >> number % detail::kFailpointBits & 1) != 0;
}

// On for the life of the object.
class FailpointScope {
 public:
  explicit FailpointScope(Failpoint point);
  ~FailpointScope();
  FailpointScope(const FailpointScope&) = delete;
  FailpointScope& operator=(const FailpointScope&) = delete;

 private:
  std::atomic<std::uint64_t>& word_;
  std::uint64_t bit_;
};

}  // namespace sluice
