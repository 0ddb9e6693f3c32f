#include "base/ensure.h"

#include <cstdio>
#include <cstdlib>

namespace sluice {

void ensure_failed(const char* condition, const char* file, int line, std::string_view message) {
  // Plain stdio: the process is broken, so nothing that allocates or locks of ours is used.
  std::fprintf(stderr, "sluice: internal error: %.*s [%s] at %s:%d\n",
               static_cast<int>(message.size()), message.data(), condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace sluice
