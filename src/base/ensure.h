// SLUICE_ENSURE: invariants of our own code, always on. Never for what came from outside.
#pragma once

#include <string_view>

namespace sluice {

// Prints the condition, the place and the message to stderr, then aborts.
[[noreturn]] void ensure_failed(const char* condition, const char* file, int line,
                                std::string_view message);

}  // namespace sluice

#define SLUICE_ENSURE(condition, message)                                 \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::sluice::ensure_failed(#condition, __FILE__, __LINE__, (message)); \
  } while (false)
