// How much the attention tests do: part in `make test`, all with SLUICE_TEST_LONG, and little under
// a sanitizer, where each step takes many times as long.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace sluice::attention_test {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

inline std::size_t how_much(std::size_t sanitized, std::size_t part, std::size_t all) {
  if (std::getenv("SLUICE_TEST_LONG")) return all;
  return kSanitized ? sanitized : part;
}

}  // namespace sluice::attention_test
