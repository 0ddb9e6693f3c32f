// Failpoints of the optimizer: mistakes of its passes, switched on by tests while the program runs,
// to prove that the law of exact passes (tests/laws/law.h) would find them. A list of their own, so
// that those of durability (failpoint.h) keep theirs. One relaxed load when none is on. Any thread;
// switching is for tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

enum class PassFailpoint : std::uint8_t {
#define SLUICE_PASS_FAILPOINT(enumerator, name, mistake) enumerator,
#include "base/pass_failpoints.def"
#undef SLUICE_PASS_FAILPOINT
  kEnd
};
static_assert(static_cast<unsigned>(PassFailpoint::kEnd) <= 64, "the set has 64 bits");

struct PassFailpointInfo {
  PassFailpoint point;
  std::string_view name;     // "merge_reads"
  std::string_view mistake;  // one line
  std::string_view enumerator;
};
std::span<const PassFailpointInfo> pass_failpoints();

namespace detail {
extern std::atomic<std::uint64_t> active_pass_failpoints;
}

// Whether the mistake is to be made here.
inline bool failpoint(PassFailpoint point) {
  const std::uint64_t active = detail::active_pass_failpoints.load(std::memory_order_relaxed);
  return active != 0 && (active >> static_cast<unsigned>(point) & 1) != 0;
}

// On for the life of the object.
class PassFailpointScope {
 public:
  explicit PassFailpointScope(PassFailpoint point);
  ~PassFailpointScope();
  PassFailpointScope(const PassFailpointScope&) = delete;
  PassFailpointScope& operator=(const PassFailpointScope&) = delete;

 private:
  std::uint64_t bit_;
};

}  // namespace sluice
